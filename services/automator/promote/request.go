package promote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
)

// Request is what a person, or the automator itself, wants done in Git.
type Request struct {
	// ID is the chain of what follows.
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Application is cluster/namespace/name. Image is a repository; a rollback
	// without one is of all images that the last change moved.
	Application string `json:"application"`
	Image       string `json:"image,omitempty"`
	// To is where to roll back to: a commit or a version; empty for what the
	// application had before.
	To string `json:"to,omitempty"`
	// Digest or Tag name the version of a hold.
	Digest string     `json:"digest,omitempty"`
	Tag    string     `json:"tag,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
	Reason string     `json:"reason,omitempty"`
	By     string     `json:"by"`
	// At is when it was asked for.
	At time.Time `json:"at"`
}

// Kind is what a request wants.
type Kind string

// The kinds of requests.
const (
	Rollback Kind = "rollback" // to a former version, and hold the present one
	Place    Kind = "hold"
	Release  Kind = "release"
)

// ErrRequest says that a request asks for what can't be.
var ErrRequest = errors.New("the request can't be done")

// maxReason bounds what a person may say, in bytes.
const maxReason = 1000

// Validate gives the faults that the request alone shows.
func (r Request) Validate() error {
	var faults []error
	if _, err := events.ParseApplication(r.Application); err != nil {
		faults = append(faults, err)
	}
	if r.Image != "" || r.Kind != Rollback {
		if _, err := events.ParseImageRepository(r.Image, nil); err != nil {
			faults = append(faults, fmt.Errorf("image: %w", err))
		}
	}
	switch r.Kind {
	case Rollback:
	case Place, Release:
		if r.Digest == "" && r.Tag == "" {
			faults = append(faults, errors.New("digest or tag is required: it names the version"))
		}
	default:
		faults = append(faults, fmt.Errorf("kind %q is none of rollback, hold, release", r.Kind))
	}
	if r.Digest != "" && !events.ValidDigest(r.Digest) {
		faults = append(faults, fmt.Errorf("%q is not a digest", r.Digest))
	}
	if r.Tag != "" && !events.ValidTag(r.Tag) {
		faults = append(faults, fmt.Errorf("%q is not a tag", r.Tag))
	}
	if len(r.Reason) > maxReason || strings.ContainsFunc(r.Reason, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		faults = append(faults, fmt.Errorf("the reason is longer than %d bytes, or of several lines", maxReason))
	}
	if r.By == "" || r.ID == "" {
		faults = append(faults, errors.New("nobody says who wants it"))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return nil
}

// request goes before a request in an item of work.
const request = "request "

func (r Request) item() (string, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("encode the request: %w", err)
	}
	return request + string(text), nil
}

func readRequest(item string) (r Request, ok bool) {
	text, ok := strings.CutPrefix(item, request)
	return r, ok && json.Unmarshal([]byte(text), &r) == nil
}

// refuse tells, in the request's chain, why it isn't done.
func (d *Deployer) refuse(ctx context.Context, q Request, why error) error {
	d.Log.WarnContext(ctx, "a request is not done", "application", q.Application, "kind", string(q.Kind), "by", q.By, "error", why.Error())
	return d.answer(ctx, q, events.Blocked, why.Error())
}

// answer tells, in the request's chain, what becomes of it.
func (d *Deployer) answer(ctx context.Context, q Request, outcome events.Outcome, reason string) error {
	made := events.DecisionMade{Application: q.Application, Image: q.Image, Outcome: outcome, Rule: string(q.Kind) + " by " + q.By, Reason: reason}
	e, err := events.New(events.Meta{
		ID: events.FollowID(q.ID, events.DecisionMadeType, made.SubjectID()+" "+string(outcome)+" "+reason), Source: Source, ChainID: q.ID, Time: d.now(),
	}, made)
	if err != nil {
		return nil //nolint:nilerr // of no application that could be named
	}
	return d.Bus.Publish(ctx, e)
}
