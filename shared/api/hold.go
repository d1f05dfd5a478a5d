package api

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// Hold is a version that must not come back: no tag, webhook or sweep brings
// its digest in again. It lives in Git alone, in the repository that holds the
// reference, at [HoldFile].
type Hold struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Metadata   PolicyMeta `json:"metadata"`
	Spec       HoldSpec   `json:"spec"`
}

// HoldSpec says which version of which application, and why.
type HoldSpec struct {
	Application string `json:"application"` // cluster/namespace/name
	Image       string `json:"image"`       // repository
	// Digest or Tag name the version; at least one is required, and either
	// that fits is held.
	Digest string `json:"digest,omitempty"`
	Tag    string `json:"tag,omitempty"`
	// Until ends the hold; without it, it stands until the file is removed.
	Until  *time.Time `json:"until,omitempty"`
	Reason string     `json:"reason,omitempty"`
	By     string     `json:"by,omitempty"`
}

// HoldsPath is the folder of all holds in a repository: outside of every
// render.
const HoldsPath = ".slipway/holds"

// HoldFile is where the holds of an application (cluster/namespace/name) are.
func HoldFile(application string) string { return path.Join(HoldsPath, application+".yaml") }

// HoldApplication is the application whose holds a file keeps; ok is false for
// a path that is none of theirs.
func HoldApplication(file string) (application string, ok bool) {
	rest, below := strings.CutPrefix(path.Clean(file), HoldsPath+"/")
	application, yaml := strings.CutSuffix(rest, ".yaml")
	return application, below && yaml && strings.Count(application, "/") == 2
}

// Validate wants an application, an image and a version.
func (h *Hold) Validate() error {
	var faults []error
	for _, need := range []struct{ name, value string }{
		{"metadata.name", h.Metadata.Name}, {"spec.application", h.Spec.Application}, {"spec.image", h.Spec.Image},
	} {
		if need.value == "" {
			faults = append(faults, fmt.Errorf("%s is required", need.name))
		}
	}
	if h.Spec.Digest == "" && h.Spec.Tag == "" {
		faults = append(faults, errors.New("spec.digest or spec.tag is required: it names the version"))
	}
	return errors.Join(faults...)
}

// Stands says whether the hold is in force at that time.
func (h *Hold) Stands(now time.Time) bool { return h.Spec.Until == nil || now.Before(*h.Spec.Until) }
