// Package trace follows a change through the stream of events: from the push
// of an image to its running in a cluster.
package trace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
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
//
// Only the chains that are given are held in memory; what is read is bounded where
// the reference is an image, whose event is its chain's first.
func Find(ctx context.Context, r Reader, ref string) ([]Chain, error) {
	m, err := matcher(ref)
	if err != nil {
		return nil, err
	}
	ids, since, err := m.chains(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	byChain := map[string][]bus.Stored{}
	for s, err := range r.Read(ctx, bus.ReadOptions{Since: since}) {
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		if id := s.Event.ChainID; slices.Contains(ids, id) {
			byChain[id] = append(byChain[id], s)
		}
	}
	if len(byChain) == 0 { // a chain's id is taken as it is
		return nil, fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	var found []Chain
	for _, id := range ids {
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
	chain    string // the reference is a chain's id
	searches []search
	newest   bool // of several chains, only the last
}

// search is where such events are, and which of those that are there.
type search struct {
	in    bus.ReadOptions
	event func(events.Event) bool
	first bool // such an event is its chain's first
}

var (
	chainID  = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	commitID = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

	withCommit = []events.Type{events.ChangeMergedType, events.RefUpdatedType, events.PipelineRunStartedType, events.PipelineRunFinishedType}
	// byApplication are the types of applicationOf that have it as their key.
	byApplication = []events.Type{
		events.PipelineRunStartedType, events.PipelineRunFinishedType,
		events.ServiceDeployedType, events.ServiceUpgradedType, events.ServiceRolledBackType, events.ServiceRemovedType,
	}
)

func matcher(ref string) (match, error) {
	switch {
	case chainID.MatchString(ref):
		return match{chain: ref}, nil
	case commitID.MatchString(ref):
		return match{searches: []search{{
			in:    bus.ReadOptions{Types: withCommit},
			event: func(e events.Event) bool { return strings.HasPrefix(commitOf(e), ref) },
		}}}, nil
	}
	m := match{newest: true}
	image, imageErr := events.ParseImage(ref, nil)
	if imageErr == nil {
		m.searches = append(m.searches, search{
			in:    bus.ReadOptions{Types: []events.Type{events.ArtifactPublishedType}, Key: image.Repository.String()},
			event: func(e events.Event) bool { return isImage(e, image) }, first: true,
		})
	}
	app, appErr := events.ParseApplication(ref)
	if appErr == nil {
		ofApp := func(e events.Event) bool { return applicationOf(e) == app.String() }
		m.searches = append(m.searches,
			search{in: bus.ReadOptions{Types: byApplication, Key: app.String()}, event: ofApp},
			search{in: bus.ReadOptions{Types: []events.Type{events.ChangeMergedType}}, event: ofApp})
	}
	if imageErr != nil && appErr != nil {
		return match{}, fmt.Errorf("%s is neither an image, a commit, a chain id nor an application (cluster/namespace/name): %w", ref, imageErr)
	}
	return m, nil
}

// together is how far apart the events of one delivery may be stored.
const together = time.Minute

// chains are those that the reference means, the newest first, and since when their
// events are stored; zero is not known.
func (m match) chains(ctx context.Context, r Reader) (ids []string, since time.Time, err error) {
	if m.chain != "" {
		return []string{m.chain}, time.Time{}, nil
	}
	type seen struct {
		last  uint64 // the sequence of its last event that is meant
		since time.Time
	}
	all := map[string]seen{}
	for _, search := range m.searches {
		for s, err := range r.Read(ctx, search.in) {
			if err != nil {
				return nil, time.Time{}, err
			}
			if !search.event(s.Event) {
				continue
			}
			was, known := all[s.Event.ChainID]
			if !known && search.first {
				was.since = s.StoredAt.Add(-together)
			}
			was.last = max(was.last, s.Sequence)
			all[s.Event.ChainID] = was
		}
	}
	ids = slices.SortedFunc(maps.Keys(all), func(a, b string) int { return cmp.Compare(all[b].last, all[a].last) })
	if m.newest && len(ids) > 1 {
		ids = ids[:1]
	}
	if len(ids) == 1 {
		since = all[ids[0]].since
	}
	return ids, since, nil
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
