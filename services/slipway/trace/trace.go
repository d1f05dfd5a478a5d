// Package trace follows a change through the stream of events: from the push
// of an image to its running in a cluster.
package trace

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
)

// ErrNotFound says that no stored event is about the reference.
var ErrNotFound = errors.New("nothing is known of it")

// Reader reads stored events, the oldest first.
type Reader interface {
	Read(ctx context.Context, o bus.ReadOptions) iter.Seq2[bus.Stored, error]
}

// Step is one event of a chain.
type Step struct {
	// Time is when the event was stored.
	Time time.Time `json:"time"`
	// ElapsedMs is the time since the chain's first event.
	ElapsedMs float64 `json:"elapsedMs"`
	// Step names the moment: "artifact.published", "change.merged", …
	Step    string       `json:"step"`
	Subject string       `json:"subject"`
	Summary string       `json:"summary"`
	Event   events.Event `json:"event"`
}

// Chain is a change's way.
type Chain struct {
	ID    string `json:"chainId"`
	Steps []Step `json:"steps"`
}

// Find gives the chains that a reference means, the newest first: a chain id
// gives that one, a commit those that it holds, an image or an application
// the last. It errs with [ErrNotFound].
func Find(ctx context.Context, r Reader, ref string) ([]Chain, error) {
	match, err := matcher(ref)
	if err != nil {
		return nil, err
	}
	var chains []string // the newest last
	byChain := map[string][]bus.Stored{}
	for s, err := range r.Read(ctx, bus.ReadOptions{}) {
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		id := s.Event.ChainID
		byChain[id] = append(byChain[id], s)
		if match.event(s.Event) && (len(chains) == 0 || chains[len(chains)-1] != id) {
			chains = slices.DeleteFunc(chains, func(c string) bool { return c == id })
			chains = append(chains, id)
		}
	}
	if len(chains) == 0 {
		return nil, fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	slices.Reverse(chains)
	if match.newest {
		chains = chains[:1]
	}
	var found []Chain
	for _, id := range chains {
		found = append(found, chain(id, byChain[id]))
	}
	return found, nil
}

func chain(id string, stored []bus.Stored) Chain {
	c := Chain{ID: id}
	for _, s := range stored {
		c.Steps = append(c.Steps, Step{
			Time: s.StoredAt, ElapsedMs: float64(s.StoredAt.Sub(stored[0].StoredAt).Microseconds()) / 1000,
			Step: s.Event.Type().Short(), Subject: s.Event.Payload.SubjectID(), Summary: Summary(s.Event), Event: s.Event,
		})
	}
	return c
}

// match says which events a reference means.
type match struct {
	event  func(events.Event) bool
	newest bool // of several chains, only the last
}

var (
	chainID  = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	commitID = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
)

func matcher(ref string) (match, error) {
	switch {
	case chainID.MatchString(ref):
		return match{event: func(e events.Event) bool { return e.ChainID == ref }}, nil
	case commitID.MatchString(ref):
		return match{event: func(e events.Event) bool { return strings.HasPrefix(commitOf(e), ref) }}, nil
	}
	image, imageErr := events.ParseImage(ref, nil)
	app, appErr := events.ParseApplication(ref)
	if imageErr != nil && appErr != nil {
		return match{}, fmt.Errorf("%s is neither an image, a commit, a chain id nor an application (cluster/namespace/name): %w", ref, imageErr)
	}
	return match{newest: true, event: func(e events.Event) bool {
		return (appErr == nil && applicationOf(e) == app.String()) || (imageErr == nil && isImage(e, image))
	}}, nil
}

func isImage(e events.Event, image events.Image) bool {
	p, ok := e.Payload.(events.ArtifactPublished)
	if !ok {
		return false
	}
	told := p.Image()
	return told.Repository == image.Repository && (image.Tag == "" || told.Tag == image.Tag) &&
		(image.Digest == "" || told.Digest == image.Digest)
}

// commitOf is the commit that an event is about, or empty.
func commitOf(e events.Event) string {
	switch p := e.Payload.(type) {
	case events.ChangeMerged:
		return p.Commit
	case events.RefUpdated:
		return p.After
	case events.PipelineRunStarted:
		return p.Commit
	case events.PipelineRunFinished:
		return p.Commit
	}
	return ""
}

// applicationOf is the application that an event is about, or empty. What was
// only decided and changes nothing doesn't count.
func applicationOf(e events.Event) string {
	switch p := e.Payload.(type) {
	case events.ChangeMerged:
		return p.Application
	case events.PipelineRunStarted:
		return p.Application
	case events.PipelineRunFinished:
		return p.Application
	case events.ServiceEvent:
		return p.Application
	}
	return ""
}

// Summary says an event in a line.
func Summary(e events.Event) string {
	switch p := e.Payload.(type) {
	case events.ArtifactPublished:
		return fmt.Sprintf("%s pushed (%s)", p.Image().Repository.String()+":"+p.Tag, p.Provider)
	case events.ArtifactDeleted:
		return p.Image().String() + " deleted"
	case events.RefUpdated:
		return fmt.Sprintf("%s of %s to %s", p.Ref, p.Repository, short(p.After))
	case events.DecisionMade:
		return fmt.Sprintf("%s %s: %s", p.Application, p.Outcome, p.Reason)
	case events.ApprovalCreated:
		return fmt.Sprintf("%s to %s needs %d approvals (%s)", p.Application, shortReference(p.To), p.Needed, short(p.ID))
	case events.ApprovalUpdated:
		return fmt.Sprintf("%s to %s %s by %s", p.Application, shortReference(p.To), p.Vote.Decision, p.Vote.Person)
	case events.ApprovalClosed:
		return fmt.Sprintf("%s to %s %s: %s", p.Application, shortReference(p.To), p.Status, p.Reason)
	case events.HoldEvent:
		return fmt.Sprintf("%s of %s: %s", p.Image, p.Application, p.Reason)
	case events.ChangeCreated:
		return fmt.Sprintf("%s to %s by %s", p.Application, shortReference(p.To), p.URL)
	case events.ChangeMerged:
		return fmt.Sprintf("%s to %s in commit %s", p.Application, shortReference(p.To), short(p.Commit))
	case events.PipelineRunStarted:
		return fmt.Sprintf("%s at commit %s", p.Application, short(p.Commit))
	case events.PipelineRunFinished:
		s := fmt.Sprintf("%s %s: %d created, %d changed, %d unchanged, %d pruned", p.Application, p.Outcome,
			p.Counts.Created, p.Counts.Changed, p.Counts.Unchanged, p.Counts.Pruned)
		if p.Errors != "" {
			s += ": " + strings.ReplaceAll(p.Errors, "\n", "; ")
		}
		return s
	case events.ServiceEvent:
		return fmt.Sprintf("%s in %s", p.Application, p.Environment)
	case events.EnvironmentModified:
		return fmt.Sprintf("%s in %s", p.Application, p.Environment)
	}
	return e.Payload.SubjectID()
}

func short(id string) string { return id[:min(len(id), 12)] }

// shortReference shortens the digest behind a tag.
func shortReference(s string) string {
	tag, digest, pinned := strings.Cut(s, "@sha256:")
	if !pinned {
		return s
	}
	return tag + "@sha256:" + short(digest)
}
