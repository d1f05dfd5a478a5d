// Package approval keeps what people are asked to decide: proposals, and the
// votes on them.
package approval

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
)

// Why a vote is not taken.
var (
	// ErrUnknown says that there is no such proposal.
	ErrUnknown = errors.New("there is no such proposal")
	// ErrClosed says that the vote comes too late.
	ErrClosed = errors.New("the proposal is closed")
	// ErrMayNot says that this person has no say in it.
	ErrMayNot = errors.New("this person may not vote on it")
	// ErrVote says that it is no vote.
	ErrVote = errors.New("not a vote")
)

// Binding is what a vote is for: were any of it another, the vote would count
// for nothing.
type Binding struct {
	Application string `json:"application"`
	Image       string `json:"image"` // repository
	From        string `json:"from,omitempty"`
	To          string `json:"to"`
	Digest      string `json:"digest,omitempty"`
	Rule        string `json:"rule"`
	RuleHash    string `json:"ruleHash"`
}

// Proposal is one move that waits for people, or did.
type Proposal struct {
	ID string `json:"id"`
	Binding
	// Chain is that of the push.
	Chain string `json:"chain"`
	// Pusher pushed the image, where that is told.
	Pusher string `json:"pusher,omitempty"`
	// Approvals are the rule's.
	Approvals *api.Approvals `json:"approvals,omitempty"`
	Opened    time.Time      `json:"opened"`
	Deadline  *time.Time     `json:"deadline,omitempty"`
	Votes     []Vote         `json:"votes,omitempty"`
	// Status is how it ended, as [events.ApprovalClosed] has it; empty while it
	// is open. Reason says it in words.
	Status string `json:"status,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Untold are events that are still to be published.
	Untold []told `json:"untold,omitempty"`
}

// Vote is what one person said last.
type Vote struct {
	Person string `json:"person"`
	// Account is the person's at an OIDC issuer, whatever it is named there;
	// empty for those whom the config names.
	Account  string    `json:"account,omitempty"`
	Groups   []string  `json:"groups,omitempty"`
	Decision string    `json:"decision"` // events.Approved or events.Rejected
	Comment  string    `json:"comment,omitempty"`
	At       time.Time `json:"at"`
	// OverridesFreeze says to deploy in spite of a freeze.
	OverridesFreeze bool `json:"overridesFreeze,omitempty"`
}

// Open makes a proposal; its id follows from what it binds, from the push, and
// from the ended proposal that it follows, if any, so that every replica makes
// the same.
func Open(b Binding, chain, pusher string, rule *api.Approvals, now time.Time, former string) Proposal {
	p := Proposal{Binding: b, Chain: chain, Pusher: pusher, Approvals: rule, Opened: now.UTC()}
	p.ID = events.FollowID(strings.Join([]string{chain, b.Application, b.Image, b.From, b.To, b.Digest, b.RuleHash, former}, "\n"), events.ApprovalCreatedType, b.Application)
	if rule != nil && rule.Deadline != nil && *rule.Deadline > 0 {
		end := p.Opened.Add(time.Duration(*rule.Deadline))
		p.Deadline = &end
	}
	return p
}

// Verdict is what the votes amount to.
type Verdict struct {
	// Status is empty while more votes are needed, else how the proposal ends.
	Status string
	Reason string
	// Approvers are those whose approval counts.
	Approvers []string
	// OverridesFreeze names who wants it deployed in spite of a freeze.
	OverridesFreeze string
}

// Verdict counts the votes: one rejection ends a proposal; enough approvals by
// people who may vote do.
func (p Proposal) Verdict(now time.Time) Verdict {
	var v Verdict
	for _, vote := range p.Votes {
		if p.may(vote.Person, vote.Groups) != nil {
			continue
		}
		if vote.Decision == events.Rejected {
			return Verdict{Status: events.Rejected, Reason: withComment("rejected by "+vote.Person, vote.Comment)}
		}
		if !slices.Contains(v.Approvers, vote.Person) {
			v.Approvers = append(v.Approvers, vote.Person)
		}
		if vote.OverridesFreeze {
			v.OverridesFreeze = vote.Person
		}
	}
	needed := p.Approvals.Needed()
	switch {
	case len(v.Approvers) >= needed:
		v.Status, v.Reason = events.Approved, "approved by "+strings.Join(v.Approvers, ", ")
	case p.Deadline != nil && !now.Before(*p.Deadline):
		v.Status, v.Reason = events.Expired, "nobody decided before "+p.Deadline.Format(time.RFC3339)
	default:
		v.Reason = fmt.Sprintf("%d of %d approvals", len(v.Approvers), needed)
	}
	return v
}

func withComment(what, comment string) string {
	if comment == "" {
		return what
	}
	return what + ": " + comment
}

// may says why a person has no say; nil when there is a say.
func (p Proposal) may(person string, groups []string) error {
	switch {
	case !p.Approvals.Allows(person, groups):
		return fmt.Errorf("%w: the rule asks %s", ErrMayNot, strings.Join(p.Approvals.From, ", "))
	case person == p.Pusher && (p.Approvals == nil || !p.Approvals.AllowAuthor):
		return fmt.Errorf("%w: who pushed the image does not approve it (the rule's allowAuthor)", ErrMayNot)
	}
	return nil
}

// maxComment bounds a comment, in bytes.
const maxComment = 2000

// with is the proposal with a vote more. A person counts once: the last vote.
func (p Proposal) with(v Vote, now time.Time) (Proposal, error) {
	switch {
	case v.Person == "":
		return p, fmt.Errorf("%w: nobody is named", ErrVote)
	case v.Decision != events.Approved && v.Decision != events.Rejected:
		return p, fmt.Errorf("%w: %q is neither approved nor rejected", ErrVote, v.Decision)
	case len(v.Comment) > maxComment:
		return p, fmt.Errorf("%w: the comment is longer than %d bytes", ErrVote, maxComment)
	}
	if p.Status != "" {
		return p, fmt.Errorf("%w: %s", ErrClosed, p.Reason)
	}
	// What is approved may wait for the end of a freeze: until it is deployed,
	// a person may still say no, or override that.
	if e := p.Verdict(now); e.Status != "" && e.Status != events.Approved {
		return p, fmt.Errorf("%w: %s", ErrClosed, e.Reason)
	}
	if err := p.may(v.Person, v.Groups); err != nil {
		return p, err
	}
	p.Votes = append(slices.DeleteFunc(slices.Clone(p.Votes), v.same), v)
	return p, nil
}

// same says whether two votes are one person's: by name, whatever its case, or
// by account, since some issuers let a person take another address.
func (v Vote) same(other Vote) bool {
	return strings.EqualFold(v.Person, other.Person) || (v.Account != "" && v.Account == other.Account)
}

// Event is the proposal as events tell it.
func (p Proposal) Event() events.Approval {
	return events.Approval{
		ID: p.ID, Application: p.Application, Image: p.Image, From: p.From, To: p.To, Digest: p.Digest,
		Rule: p.Rule, RuleHash: p.RuleHash, Needed: p.Approvals.Needed(), Deadline: p.Deadline, Approvers: p.Verdict(p.Opened).Approvers,
	}
}
