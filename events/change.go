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

// ChangeCreated says that the automator opened a pull request, or brought its
// own one up to date.
type ChangeCreated struct {
	Repository  GitRepository `json:"repository"`
	Branch      string        `json:"branch"` // into which it shall be merged
	Head        string        `json:"head"`   // the branch of the pull request
	Number      int64         `json:"number"`
	URL         string        `json:"url"`
	Application string        `json:"application"`
	Image       string        `json:"image"`          // repository
	From        string        `json:"from,omitempty"` // reference before: tag[@digest]
	To          string        `json:"to"`             // reference after
}

// Type is [ChangeCreatedType].
func (ChangeCreated) Type() Type { return ChangeCreatedType }

// Key is the Git repository.
func (c ChangeCreated) Key() string { return string(c.Repository) }

// SubjectID is "<repository>#<number>/<application>/<image>".
func (c ChangeCreated) SubjectID() string {
	return fmt.Sprintf("%s#%d/%s/%s", c.Repository, c.Number, c.Application, c.Image)
}

// Validate wants a repository with both branches, and a reference.
func (c ChangeCreated) Validate() error {
	var fault error
	if c.Repository == "" || c.Branch == "" || c.Head == "" || c.To == "" {
		fault = errors.New("repository, branch, head and to are required")
	}
	return errors.Join(fault, validApplication(c.Application))
}

type changeContent struct {
	Description string `json:"description,omitempty"`
	repositoryRef
}

func (c ChangeCreated) halves() (content, custom any) {
	r := changeContent{Description: c.URL}
	r.Repository.ID = string(c.Repository)
	return r, c
}

func decodeChangeCreated(h halves) (Payload, error) {
	var p ChangeCreated
	err := h.into(nil, &p)
	return p, err
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
