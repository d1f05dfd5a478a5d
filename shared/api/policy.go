package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
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

// Track is exactly one of its fields.
type Track struct {
	Semver *Semver `json:"semver,omitempty"`
}

// Semver chooses the greatest version in a range. It is written as the range
// alone, or as a mapping.
type Semver struct {
	Range       string   `json:"range"`
	Prereleases bool     `json:"prereleases,omitempty"`
	Match       string   `json:"match,omitempty"`
	Ignore      []string `json:"ignore,omitempty"`
}

// UnmarshalJSON takes the range alone or the mapping, strictly.
func (s *Semver) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &s.Range) == nil {
		return nil
	}
	type plain Semver
	return strictly("semver", data, (*plain)(s))
}

// strictly reads JSON and refuses unknown fields, in the words of users.
func strictly(what string, data []byte, into any) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return fmt.Errorf("%s must be a string or a mapping", what)
	}
	known := fieldsOf(indirect(into))
	for name := range fields {
		if _, ok := known[name]; !ok {
			return fmt.Errorf("%s: unknown field %q", what, name)
		}
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
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

// Validate wants exactly one track and expressions that compile.
func (t Track) Validate() error {
	if t.Semver == nil {
		return errors.New("exactly one of semver is required")
	}
	if t.Semver.Range == "" {
		return errors.New("semver: range is empty")
	}
	return Expressions(t.Semver.Match, t.Semver.Ignore)
}

// Expressions checks a match and a list of ignores.
func Expressions(match string, ignore []string) error {
	var faults []error
	for _, e := range append([]string{match}, ignore...) {
		if _, err := regexp.Compile(e); err != nil {
			faults = append(faults, fmt.Errorf("expression %q: %w", e, err))
		}
	}
	return errors.Join(faults...)
}
