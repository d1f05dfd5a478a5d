package events

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Approval is a proposal to move an application to an image, and what it
// binds: a vote for it counts for nothing else.
type Approval struct {
	ID          string `json:"-"`
	Application string `json:"application"`
	Image       string `json:"image"`          // repository
	From        string `json:"from,omitempty"` // reference in use
	To          string `json:"to"`             // reference to move to
	Digest      string `json:"digest,omitempty"`
	Rule        string `json:"rule"`     // "<policy>[<index>]"
	RuleHash    string `json:"ruleHash"` // of what the rule says
	// Needed is how many people must approve; Deadline when it expires.
	Needed   int        `json:"needed"`
	Deadline *time.Time `json:"deadline,omitempty"`
	// Approvers are those who have approved so far.
	Approvers []string `json:"approvers,omitempty"`
}

// What a person can decide, and how a proposal can end, as the draft of
// CDEvents 0.6 names it.
const (
	Approved  = "approved"
	Rejected  = "rejected"
	Cancelled = "cancelled" // something newer, or another rule, took its place
	Expired   = "expired"
)

// approvalContent has the field names of CDEvents' draft 0.6. The URLs are
// names, not addresses to call.
type approvalContent struct {
	Details   string `json:"approvalDetailsUrl"`
	Target    string `json:"resourceTargetUrl"`
	Requestor string `json:"requestor,omitempty"`
	Responder string `json:"responder,omitempty"`
	Decision  string `json:"decision,omitempty"`
	Status    string `json:"status,omitempty"`
}

func (a Approval) content() approvalContent {
	return approvalContent{Details: "slipway:approval/" + a.ID, Target: "slipway:" + a.Application}
}

// Key is the application.
func (a Approval) Key() string { return a.Application }

// SubjectID is the proposal's id.
func (a Approval) SubjectID() string { return a.ID }

// Validate wants what a proposal binds.
func (a Approval) Validate() error {
	var faults []error
	for _, need := range []struct{ name, value string }{{"id", a.ID}, {"image", a.Image}, {"to", a.To}, {"rule", a.Rule}, {"ruleHash", a.RuleHash}} {
		if need.value == "" {
			faults = append(faults, fmt.Errorf("%s is empty", need.name))
		}
	}
	return errors.Join(append(faults, validApplication(a.Application))...)
}

// personURN names a person as the draft wants it.
func personURN(name string) string {
	if name == "" {
		return ""
	}
	return "urn:slipway:person:" + name
}

// ApprovalCreated says that a person is to decide.
type ApprovalCreated struct {
	Approval
	// Requestor is who pushed the image, where that is told.
	Requestor string `json:"requestor,omitempty"`
}

// Type is [ApprovalCreatedType].
func (ApprovalCreated) Type() Type { return ApprovalCreatedType }

func (p ApprovalCreated) halves() (content, custom any) {
	c := p.content()
	c.Requestor = "urn:slipway:automator"
	return c, p
}

func decodeApprovalCreated(h halves) (Payload, error) {
	var p ApprovalCreated
	err := h.into(nil, &p)
	p.ID = h.subjectID
	return p, err
}

// Vote is what one person said.
type Vote struct {
	Person   string `json:"person"`
	Decision string `json:"decision"` // approved or rejected
	Comment  string `json:"comment,omitempty"`
	// OverridesFreeze says that it is to be deployed in spite of a freeze.
	OverridesFreeze bool `json:"overridesFreeze,omitempty"`
}

// ApprovalUpdated says that a person has voted.
type ApprovalUpdated struct {
	Approval
	Vote Vote `json:"vote"`
}

// Type is [ApprovalUpdatedType].
func (ApprovalUpdated) Type() Type { return ApprovalUpdatedType }

// Validate wants a person and a decision.
func (p ApprovalUpdated) Validate() error {
	var fault error
	if p.Vote.Person == "" || !slices.Contains([]string{Approved, Rejected}, p.Vote.Decision) {
		fault = fmt.Errorf("a vote needs a person, and a decision that is approved or rejected; it is %q by %q", p.Vote.Decision, p.Vote.Person)
	}
	return errors.Join(fault, p.Approval.Validate())
}

func (p ApprovalUpdated) halves() (content, custom any) {
	c := p.content()
	c.Responder, c.Decision = personURN(p.Vote.Person), p.Vote.Decision
	return c, p
}

func decodeApprovalUpdated(h halves) (Payload, error) {
	var p ApprovalUpdated
	err := h.into(nil, &p)
	p.ID = h.subjectID
	return p, err
}

// ApprovalClosed says how a proposal ended.
type ApprovalClosed struct {
	Approval
	Status string `json:"status"`
	// Reason says it in words.
	Reason string `json:"reason,omitempty"`
}

// Type is [ApprovalClosedType].
func (ApprovalClosed) Type() Type { return ApprovalClosedType }

// Validate wants one of the four ends.
func (p ApprovalClosed) Validate() error {
	var fault error
	if !slices.Contains([]string{Approved, Rejected, Cancelled, Expired}, p.Status) {
		fault = fmt.Errorf("status %q is none of approved, rejected, cancelled, expired", p.Status)
	}
	return errors.Join(fault, p.Approval.Validate())
}

func (p ApprovalClosed) halves() (content, custom any) {
	c := p.content()
	c.Status = p.Status
	return c, p
}

func decodeApprovalClosed(h halves) (Payload, error) {
	var p ApprovalClosed
	err := h.into(nil, &p)
	p.ID = h.subjectID
	return p, err
}
