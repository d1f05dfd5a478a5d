package api

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// Substitute names the variables of an application: ${NAME} in what is
// rendered is replaced by the value of NAME.
type Substitute struct {
	// Vars win over From.
	Vars map[string]string `json:"vars,omitempty"`
	// From are ConfigMaps and Secrets of the Application's own namespace; a
	// later one wins over those before.
	From []VariableSource `json:"from,omitempty"`
}

// VariableSource is a ConfigMap or a Secret, exactly one. As one of a [Substitute]
// its keys are names of variables.
type VariableSource struct {
	ConfigMap string `json:"configMap,omitempty"`
	Secret    string `json:"secret,omitempty"`
	// Optional says that it may be absent.
	Optional bool `json:"optional,omitempty"`
}

// SubstituteAnnotation, as an annotation or a label, keeps an object as it was
// rendered when its value is [SubstituteDisabled]. Flux's own name for it,
// [FluxSubstituteAnnotation], is read alike.
const (
	SubstituteAnnotation     = "slipway.dev/substitute"
	FluxSubstituteAnnotation = "kustomize.toolkit.fluxcd.io/substitute"
	SubstituteDisabled       = "disabled"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// VariableName says whether a text can be a variable's name.
func VariableName(name string) bool { return variableName.MatchString(name) }

// resourceName is a DNS subdomain, as ConfigMaps and Secrets are named.
var resourceName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

func (s *Substitute) validate() error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(s.Vars)) {
		if !VariableName(name) {
			faults = append(faults, fmt.Errorf("spec.substitute.vars: %q is not a variable's name: write letters, digits and _, and no digit first", name))
		}
	}
	for i, from := range s.From {
		faults = append(faults, from.validate(fmt.Sprintf("spec.substitute.from[%d]", i)))
	}
	return errors.Join(faults...)
}

func (v VariableSource) validate(field string) error {
	if (v.ConfigMap == "") == (v.Secret == "") {
		return fmt.Errorf("%s names neither or both of configMap and secret: write one of them", field)
	}
	if name := v.ConfigMap + v.Secret; len(name) > 253 || !resourceName.MatchString(name) {
		return fmt.Errorf("%s: %q is not the name of a ConfigMap or Secret (it is looked for in the Application's own namespace)", field, name)
	}
	return nil
}
