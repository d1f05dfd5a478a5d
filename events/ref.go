package events

import (
	"errors"
	"fmt"
	"strings"
)

// RefUpdated says that a Git host told of a ref that moved: a claim, to be
// looked up.
type RefUpdated struct {
	Repository GitRepository
	// Ref is a full ref: refs/heads/main, refs/tags/v1.
	Ref string
	// Before and After are object ids in hex; empty on create and delete.
	Before, After string
	// Forced says that the ref moved other than forward, where it is told.
	Forced bool

	Provider, Source   string
	DeliveryID, Pusher string
	// ChangedFiles are the paths that the push touched; nil when the list
	// is not known to be complete.
	ChangedFiles []string
}

type refContent struct {
	Repository string `json:"repository"`
	Ref        string `json:"ref"`
	Before     string `json:"before"`
	After      string `json:"after"`
	Forced     bool   `json:"forced"`
}

type refCustom struct {
	Provider     string   `json:"provider"`
	Source       string   `json:"source"`
	DeliveryID   string   `json:"deliveryId,omitempty"`
	Pusher       string   `json:"pusher,omitempty"`
	ChangedFiles []string `json:"changedFiles,omitempty"`
}

// Type is [RefUpdatedType].
func (RefUpdated) Type() Type { return RefUpdatedType }

// Key is the Git repository.
func (r RefUpdated) Key() string { return string(r.Repository) }

// SubjectID is "<repository>@<ref>".
func (r RefUpdated) SubjectID() string { return string(r.Repository) + "@" + r.Ref }

// Validate holds ref and ids to Git's grammar (git-check-ref-format).
func (r RefUpdated) Validate() error {
	var faults []error
	if name, err := ParseGitRepository(string(r.Repository), nil); err != nil || name != r.Repository {
		faults = append(faults, fmt.Errorf("%w: repository %q", ErrName, r.Repository))
	}
	if !ValidRef(r.Ref) {
		faults = append(faults, fmt.Errorf("ref %q is not a full ref", r.Ref))
	}
	if r.Before != "" && !ValidObjectID(r.Before) {
		faults = append(faults, fmt.Errorf("before %q is not an object id", r.Before))
	}
	if r.After != "" && !ValidObjectID(r.After) {
		faults = append(faults, fmt.Errorf("after %q is not an object id", r.After))
	}
	if r.Provider == "" || r.Source == "" {
		faults = append(faults, errors.New("provider and source are required"))
	}
	return errors.Join(faults...)
}

func (r RefUpdated) halves() (content, custom any) {
	return refContent{r.Repository.URL(), r.Ref, r.Before, r.After, r.Forced},
		refCustom{r.Provider, r.Source, r.DeliveryID, r.Pusher, r.ChangedFiles}
}

func decodeRefUpdated(h halves) (Payload, error) {
	var content refContent
	var custom refCustom
	if err := h.into(&content, &custom); err != nil {
		return nil, err
	}
	return RefUpdated{
		Repository: GitRepository(strings.TrimPrefix(content.Repository, "https://")),
		Ref:        content.Ref, Before: content.Before, After: content.After, Forced: content.Forced,
		Provider: custom.Provider, Source: custom.Source, DeliveryID: custom.DeliveryID,
		Pusher: custom.Pusher, ChangedFiles: custom.ChangedFiles,
	}, nil
}

// ValidObjectID says whether s is a whole object id in hex, of SHA-1 or of
// SHA-256.
func ValidObjectID(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

// ValidRef says whether s is a full ref below refs/ that git-check-ref-format
// accepts.
func ValidRef(s string) bool {
	if !strings.HasPrefix(s, "refs/") || len(s) > 1024 || strings.Count(s, "/") < 2 {
		return false
	}
	if strings.ContainsAny(s, " ~^:?*[\\\x7f") || strings.Contains(s, "..") || strings.Contains(s, "@{") ||
		strings.HasSuffix(s, ".") || hasControl(s) {
		return false
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}
