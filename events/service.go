package events

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Service is one image of an application, as it runs in a cluster.
type Service struct {
	Environment string `json:"-"`
	Artifact    string `json:"-"` // purl of the image; empty when removed

	Cluster      string     `json:"cluster"`
	Application  string     `json:"application"`
	Commit       string     `json:"commit"`
	Images       []string   `json:"images,omitempty"` // whole references of the application
	HealthySince *time.Time `json:"healthySince,omitempty"`
	// DurationSeconds is the time from the commit's arrival to healthy.
	DurationSeconds float64 `json:"durationSeconds,omitempty"`
	// Restated says that it was told before, and is told again since somebody
	// asked ([StateRequested]).
	Restated bool `json:"restated,omitempty"`
}

// ServiceEvent says that an application became healthy with an image, or
// was pruned: deployed, upgraded, rolledback or removed.
type ServiceEvent struct {
	Kind Type
	Service
}

// Type is the kind that the event was made with.
func (s ServiceEvent) Type() Type { return s.Kind }

// Key is the application.
func (s ServiceEvent) Key() string { return s.Application }

// SubjectID is the application.
func (s ServiceEvent) SubjectID() string { return s.Application }

// Validate wants an environment and, but for a removal, an artifact.
func (s ServiceEvent) Validate() error {
	var faults []error
	if !slices.Contains([]Type{ServiceDeployedType, ServiceUpgradedType, ServiceRolledBackType, ServiceRemovedType}, s.Kind) {
		faults = append(faults, fmt.Errorf("kind %q is none of a service", s.Kind))
	}
	if s.Environment == "" {
		faults = append(faults, errors.New("environment is empty"))
	}
	if s.Artifact == "" && s.Kind != ServiceRemovedType {
		faults = append(faults, errors.New("artifact is empty"))
	}
	return errors.Join(append(faults, validApplication(s.Application))...)
}

type serviceContent struct {
	Environment struct {
		ID string `json:"id"`
	} `json:"environment"`
	ArtifactID string `json:"artifactId,omitempty"`
}

func (s ServiceEvent) halves() (content, custom any) {
	var c serviceContent
	c.Environment.ID = s.Environment
	if s.Kind != ServiceRemovedType {
		c.ArtifactID = s.Artifact
	}
	return c, s.Service
}

func decodeService(t Type) func(halves) (Payload, error) {
	return func(h halves) (Payload, error) {
		var content serviceContent
		p := ServiceEvent{Kind: t}
		err := h.into(&content, &p.Service)
		p.Environment, p.Artifact = content.Environment.ID, content.ArtifactID
		return p, err
	}
}
