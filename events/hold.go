package events

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// HoldEvent says that a version of an image was put on hold for an
// application, or released.
type HoldEvent struct {
	Kind        Type       `json:"-"`
	Application string     `json:"application"`
	Image       string     `json:"image"` // repository
	Digest      string     `json:"digest,omitempty"`
	Tag         string     `json:"tag,omitempty"`
	Until       *time.Time `json:"until,omitempty"`
	Reason      string     `json:"reason,omitempty"`
	By          string     `json:"by,omitempty"`
	Commit      string     `json:"commit,omitempty"` // that changed it
}

// Type is the kind that the event was made with.
func (h HoldEvent) Type() Type { return h.Kind }

// Key is the application.
func (h HoldEvent) Key() string { return h.Application }

// SubjectID is "<application>/<image>", with what is held.
func (h HoldEvent) SubjectID() string {
	version := h.Digest
	if version == "" {
		version = h.Tag
	}
	return h.Application + "/" + h.Image + "@" + version
}

// Validate wants an image and a version.
func (h HoldEvent) Validate() error {
	var faults []error
	if !slices.Contains([]Type{HoldPlacedType, HoldReleasedType}, h.Kind) {
		faults = append(faults, fmt.Errorf("kind %q is none of a hold", h.Kind))
	}
	if h.Image == "" || h.Digest == "" && h.Tag == "" {
		faults = append(faults, errors.New("image, and digest or tag, are required"))
	}
	return errors.Join(append(faults, validApplication(h.Application))...)
}

func (h HoldEvent) halves() (content, custom any) { return h, nil }

func decodeHold(t Type) func(halves) (Payload, error) {
	return func(h halves) (Payload, error) {
		p := HoldEvent{Kind: t}
		err := h.into(&p, nil)
		return p, err
	}
}
