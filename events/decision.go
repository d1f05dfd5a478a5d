package events

import (
	"errors"
	"fmt"
	"slices"
)

// Outcome is what the automator decided.
type Outcome string

// The outcomes of a decision.
const (
	Deploy  Outcome = "deploy"  // committed now
	Propose Outcome = "propose" // a person decides
	Waiting Outcome = "waiting" // for health, a signature, …
	Skip    Outcome = "skip"    // nothing better than the current
	Hold    Outcome = "hold"    // the version is held
	Frozen  Outcome = "frozen"  // inside a freeze window
	Blocked Outcome = "blocked" // it can't be done; the reason says why
)

// Outcomes lists every [Outcome].
var Outcomes = []Outcome{Deploy, Propose, Waiting, Skip, Hold, Frozen, Blocked}

// DecisionMade says what the automator decided for one application and image.
type DecisionMade struct {
	Application string  `json:"application"`
	Image       string  `json:"image"` // repository
	From        string  `json:"from,omitempty"`
	To          string  `json:"to,omitempty"`
	Outcome     Outcome `json:"outcome"`
	Rule        string  `json:"rule,omitempty"` // "<policy>[<index>]"
	Reason      string  `json:"reason"`
}

// Type is [DecisionMadeType].
func (DecisionMade) Type() Type { return DecisionMadeType }

// Key is the application.
func (d DecisionMade) Key() string { return d.Application }

// SubjectID is "<application>/<image>".
func (d DecisionMade) SubjectID() string { return d.Application + "/" + d.Image }

// Validate wants a known outcome and a reason.
func (d DecisionMade) Validate() error {
	var faults []error
	if !slices.Contains(Outcomes, d.Outcome) {
		faults = append(faults, fmt.Errorf("outcome %q is none of %v", d.Outcome, Outcomes))
	}
	if d.Reason == "" {
		faults = append(faults, errors.New("reason is empty"))
	}
	return errors.Join(append(faults, validApplication(d.Application))...)
}

func (d DecisionMade) halves() (content, custom any) { return d, nil }

func decodeDecisionMade(h halves) (Payload, error) {
	var p DecisionMade
	err := h.into(&p, nil)
	return p, err
}

func validApplication(s string) error {
	_, err := ParseApplication(s)
	return err
}
