package events

import (
	"errors"
	"strings"
)

// StateRequested asks synchronizers to tell again what their applications run:
// whoever asks has lost what was told before, or never heard it.
type StateRequested struct {
	// Cluster is the one whose synchronizer is asked; empty for all.
	Cluster string `json:"cluster,omitempty"`
	By      string `json:"by"` // the service that asks
}

// everyCluster stands for all of them in a key.
const everyCluster = "all"

// Type is StateRequestedType.
func (StateRequested) Type() Type { return StateRequestedType }

// Key is the cluster, or "all".
func (s StateRequested) Key() string {
	if s.Cluster == "" {
		return everyCluster
	}
	return s.Cluster
}

// SubjectID is the cluster, or "all".
func (s StateRequested) SubjectID() string { return s.Key() }

// Validate wants to know who asks.
func (s StateRequested) Validate() error {
	if s.By == "" || strings.Contains(s.Cluster, "/") {
		return errors.New("by is required, and cluster is a name without a slash")
	}
	return nil
}

func (s StateRequested) halves() (content, custom any) { return s, nil }

func decodeStateRequested(h halves) (Payload, error) {
	var p StateRequested
	err := h.into(&p, nil)
	return p, err
}
