package api

import (
	"errors"
	"fmt"
	"strings"
)

// HealthRule says when objects of a custom kind are healthy. Its expressions
// are CEL over object, metadata, spec and status; the synchronizer compiles
// them.
type HealthRule struct {
	Kind string `json:"kind"`
	// Group of the kind, such as cert-manager.io; a kind without one is
	// Kubernetes' own.
	Group string `json:"group,omitempty"`
	// Healthy gives true for an object that works.
	Healthy string `json:"healthy"`
	// Failed gives true for one that won't work by itself any more.
	Failed string `json:"failed,omitempty"`
	// Message gives a string that says why it isn't healthy.
	Message string `json:"message,omitempty"`
}

// maxExpression is how long an expression may be, in bytes.
const maxExpression = 4096

func validateHealth(rules []HealthRule) error {
	var faults []error
	seen := map[string]int{}
	for i, r := range rules {
		at := fmt.Sprintf("spec.health[%d]", i)
		if r.Kind == "" {
			faults = append(faults, errors.New(at+".kind is required"))
		}
		if r.Group == "" || strings.Contains(r.Group, "/") {
			faults = append(faults, fmt.Errorf("%s.group %q must be a custom kind's group, such as cert-manager.io, without a version", at, r.Group))
		}
		if strings.TrimSpace(r.Healthy) == "" {
			faults = append(faults, errors.New(at+".healthy is required: give a CEL expression such as status.phase == 'Ready'"))
		}
		for _, f := range []struct{ name, value string }{{"healthy", r.Healthy}, {"failed", r.Failed}, {"message", r.Message}} {
			if len(f.value) > maxExpression {
				faults = append(faults, fmt.Errorf("%s.%s has %d bytes, more than %d", at, f.name, len(f.value), maxExpression))
			}
		}
		key := r.Group + "/" + r.Kind
		if first, twice := seen[key]; twice {
			faults = append(faults, fmt.Errorf("%s is a second rule for %s of %s: spec.health[%d] is the first", at, r.Kind, r.Group, first))
		} else {
			seen[key] = i
		}
	}
	return errors.Join(faults...)
}
