package api

import (
	"errors"
	"fmt"
	"slices"
)

// DeploymentPolicy decides what is deployed, and how. It lives in Git alone.
type DeploymentPolicy struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Metadata   PolicyMeta `json:"metadata"`
	Spec       PolicySpec `json:"spec"`
}

// PolicyMeta names a policy; it has no namespace.
type PolicyMeta struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// PolicySpec is the list of rules; the first that matches decides.
type PolicySpec struct {
	Rules []Rule `json:"rules"`
}

// Mode is how a new version is brought in.
type Mode string

// The modes.
const (
	Automatic Mode = "automatic"
	Manual    Mode = "manual" // a person approves
	// PullRequest opens a pull request for each application: a person merges.
	PullRequest Mode = "pullRequest"
	Never       Mode = "never"
)

// modes lists them.
var modes = []Mode{Automatic, Manual, PullRequest, Never}

// Pin says what is written behind the repository.
type Pin string

// The ways to write a reference.
const (
	PinDigest     Pin = ""       // tag@digest, the default
	PinDigestName Pin = "digest" // the default by its name
	PinTag        Pin = "tag"    // tag alone
)

// Pulls says what is in one pull request.
type Pulls string

// The ways to make pull requests.
const (
	PullApplication Pulls = "application" // one application's changes; the default
	PullBatch       Pulls = "batch"       // those of all applications of the rule
)

// RollbackWay is how a version is taken back.
type RollbackWay string

// The ways to take a version back.
const (
	RollbackDirect RollbackWay = "direct" // by a commit; the default
	// RollbackPullRequest is by a pull request: until a person has merged it the
	// application is suspended.
	RollbackPullRequest RollbackWay = "pullRequest"
)

// Rule is one line of a policy.
type Rule struct {
	Applications []string `json:"applications"`
	Images       []string `json:"images"`
	Track        Track    `json:"track"`
	Mode         Mode     `json:"mode"`
	Pin          Pin      `json:"pin,omitempty"`
	// AllowDowngrade lets the track choose an older version.
	AllowDowngrade bool `json:"allowDowngrade,omitempty"`
	// Approvals say who approves where the mode is manual, and who may override
	// a freeze.
	Approvals *Approvals `json:"approvals,omitempty"`
	// Supersede lets a newer tag close the open proposal; default true.
	Supersede *bool `json:"supersede,omitempty"`
	// After wants the image to run elsewhere first.
	After *After `json:"after,omitempty"`
	// Freeze are windows in which nothing is deployed.
	Freeze []Freeze `json:"freeze,omitempty"`
	// Platforms must be there, such as linux/amd64; none means those of the
	// image in use.
	Platforms []string `json:"platforms,omitempty"`
	// Verify wants the image signed.
	Verify *Verify `json:"verify,omitempty"`
	// PullRequests says, where the mode is pullRequest, whether each
	// application has one of its own.
	PullRequests Pulls `json:"pullRequests,omitempty"`
	// Rollback is how a version is taken back.
	Rollback RollbackWay `json:"rollback,omitempty"`
}

// Supersedes says whether a newer tag closes the open proposal.
func (r Rule) Supersedes() bool { return r.Supersede == nil || *r.Supersede }

// Validate returns every fault that the struct alone shows. Ranges are the
// business of who uses them.
func (p *DeploymentPolicy) Validate() error {
	var faults []error
	if p.Metadata.Name == "" {
		faults = append(faults, errors.New("metadata.name is required"))
	}
	if len(p.Spec.Rules) == 0 {
		faults = append(faults, errors.New("spec.rules is empty"))
	}
	for i, r := range p.Spec.Rules {
		if err := r.validate(); err != nil {
			faults = append(faults, fmt.Errorf("spec.rules[%d]: %w", i, err))
		}
	}
	return errors.Join(faults...)
}

func (r Rule) validate() error {
	var faults []error
	for _, p := range []struct {
		name string
		list []string
	}{{"applications", r.Applications}, {"images", r.Images}} {
		if len(p.list) == 0 {
			faults = append(faults, fmt.Errorf("%s is empty", p.name))
		}
		if _, err := ParsePatterns(p.list); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	if !slices.Contains(modes, r.Mode) {
		faults = append(faults, fmt.Errorf("mode %q is none of %v", r.Mode, modes))
	}
	if !slices.Contains([]Pin{PinDigest, PinDigestName, PinTag}, r.Pin) {
		faults = append(faults, fmt.Errorf("pin %q is neither digest nor tag", r.Pin))
	}
	if !slices.Contains([]Pulls{"", PullApplication, PullBatch}, r.PullRequests) {
		faults = append(faults, fmt.Errorf("pullRequests %q is neither application nor batch", string(r.PullRequests)))
	}
	if r.PullRequests != "" && r.Mode != PullRequest {
		faults = append(faults, fmt.Errorf("pullRequests says how to make them, and the mode is %s", r.Mode))
	}
	if !slices.Contains([]RollbackWay{"", RollbackDirect, RollbackPullRequest}, r.Rollback) {
		faults = append(faults, fmt.Errorf("rollback %q is neither direct nor pullRequest", string(r.Rollback)))
	}
	for _, part := range []struct {
		name string
		err  error
	}{{"track", r.Track.Validate()}, {"approvals", r.Approvals.validate()}, {"after", r.After.validate()}, {"verify", r.Verify.validate()}} {
		if part.err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", part.name, part.err))
		}
	}
	for i, f := range r.Freeze {
		if err := f.validate(); err != nil {
			faults = append(faults, fmt.Errorf("freeze[%d]: %w", i, err))
		}
	}
	return errors.Join(faults...)
}
