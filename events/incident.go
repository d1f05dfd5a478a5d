package events

import (
	"errors"
	"fmt"
	"slices"
)

// Incident says that something of an application is wrong and needs somebody,
// or no longer is.
type Incident struct {
	Kind        Type   `json:"-"`
	Environment string `json:"-"`
	Description string `json:"-"` // in a sentence
	Application string `json:"application"`
	Commit      string `json:"commit,omitempty"`
	// Cause is [CauseDrift], or empty for what doesn't work.
	Cause string `json:"cause,omitempty"`
}

// CauseDrift says that others change what was applied; it may work all the same.
const CauseDrift = "drift"

// Type is the kind that the event was made with.
func (i Incident) Type() Type { return i.Kind }

// Key is the application.
func (i Incident) Key() string { return i.Application }

// SubjectID is the application.
func (i Incident) SubjectID() string { return i.Application }

// Validate wants an environment and a description.
func (i Incident) Validate() error {
	var faults []error
	if !slices.Contains([]Type{IncidentDetectedType, IncidentResolvedType}, i.Kind) {
		faults = append(faults, fmt.Errorf("kind %q is none of an incident", i.Kind))
	}
	if i.Environment == "" || i.Description == "" {
		faults = append(faults, errors.New("environment and description are required"))
	}
	return errors.Join(append(faults, validApplication(i.Application))...)
}

type incidentContent struct {
	Description string `json:"description,omitempty"`
	Environment struct {
		ID string `json:"id"`
	} `json:"environment"`
	Service struct {
		ID string `json:"id"`
	} `json:"service"`
}

func (i Incident) halves() (content, custom any) {
	c := incidentContent{Description: i.Description}
	c.Environment.ID, c.Service.ID = i.Environment, i.Application
	return c, i
}

func decodeIncident(t Type) func(halves) (Payload, error) {
	return func(h halves) (Payload, error) {
		var c incidentContent
		p := Incident{Kind: t}
		err := h.into(&c, &p)
		p.Description, p.Environment = c.Description, c.Environment.ID
		return p, err
	}
}
