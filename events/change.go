package events

import (
	"errors"
	"fmt"
)

// ChangeMerged says that the automator's commit is on the config repo's
// branch. A commit of several changes gives one event for each.
type ChangeMerged struct {
	Repository  GitRepository `json:"repository"`
	Branch      string        `json:"branch"`
	Commit      string        `json:"commit"`
	Application string        `json:"application"`
	Image       string        `json:"image"`          // repository
	From        string        `json:"from,omitempty"` // reference before: tag[@digest]
	To          string        `json:"to"`             // reference after
}

type repositoryRef struct {
	Repository struct {
		ID string `json:"id"`
	} `json:"repository"`
}

// Type is [ChangeMergedType].
func (ChangeMerged) Type() Type { return ChangeMergedType }

// Key is the Git repository.
func (c ChangeMerged) Key() string { return string(c.Repository) }

// SubjectID is "<repository>@<commit>/<application>/<image>".
func (c ChangeMerged) SubjectID() string {
	return string(c.Repository) + "@" + c.Commit + "/" + c.Application + "/" + c.Image
}

// Validate wants a whole commit id.
func (c ChangeMerged) Validate() error {
	var faults []error
	if !ValidObjectID(c.Commit) {
		faults = append(faults, fmt.Errorf("commit %q is not a commit id", c.Commit))
	}
	if c.Repository == "" || c.Branch == "" || c.To == "" {
		faults = append(faults, errors.New("repository, branch and to are required"))
	}
	return errors.Join(append(faults, validApplication(c.Application))...)
}

func (c ChangeMerged) halves() (content, custom any) {
	var r repositoryRef
	r.Repository.ID = string(c.Repository)
	return r, c
}

func decodeChangeMerged(h halves) (Payload, error) {
	var p ChangeMerged
	err := h.into(nil, &p)
	return p, err
}
