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
	Never     Mode = "never"
)

// Pin says what is written behind the repository.
type Pin string

// The ways to write a reference.
const (
	PinDigest     Pin = ""       // tag@digest, the default
	PinDigestName Pin = "digest" // the default by its name
	PinTag        Pin = "tag"    // tag alone
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
}

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
	for name, list := range map[string][]string{"applications": r.Applications, "images": r.Images} {
		if len(list) == 0 {
			faults = append(faults, fmt.Errorf("%s is empty", name))
		}
		if _, err := ParsePatterns(list); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		}
	}
	if !slices.Contains([]Mode{Automatic, Never}, r.Mode) {
		faults = append(faults, fmt.Errorf("mode %q is neither automatic nor never", r.Mode))
	}
	if !slices.Contains([]Pin{PinDigest, PinDigestName, PinTag}, r.Pin) {
		faults = append(faults, fmt.Errorf("pin %q is neither digest nor tag", r.Pin))
	}
	if err := r.Track.Validate(); err != nil {
		faults = append(faults, fmt.Errorf("track: %w", err))
	}
	return errors.Join(faults...)
}
