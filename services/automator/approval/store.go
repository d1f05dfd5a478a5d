package approval

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
)

// Store keeps one proposal for each application and image: the open one, or
// the last. Every replica watches it.
type Store struct {
	*bus.Kept[Proposal]
	bus  *bus.Bus
	wake func(ctx context.Context, application, image string) error
}

// Source is the emitter of the events.
const Source = "/automator"

// OpenStore opens the bucket. [Store.Run] must run beside it. wake has an
// application and image decided on again, durably when it returns.
func OpenStore(ctx context.Context, b *bus.Bus, wake func(ctx context.Context, application, image string) error) (*Store, error) {
	kept, err := bus.Keep[Proposal](ctx, b, "slipway-approvals", bus.BucketOptions{})
	if err != nil {
		return nil, fmt.Errorf("open approvals: %w", err)
	}
	return &Store{Kept: kept, bus: b, wake: wake}, nil
}

func pair(application, image string) string { return application + " " + image }

// Of gives the open proposal of an application and image, or the last.
func (s *Store) Of(application, image string) (Proposal, bool) {
	v, ok := s.Kept.Of(pair(application, image))
	return v.Value, ok
}

// All lists the proposals, the oldest first.
func (s *Store) All() []Proposal {
	var all []Proposal
	for _, v := range s.Kept.All() {
		all = append(all, v.Value)
	}
	slices.SortFunc(all, func(a, b Proposal) int { return cmp.Or(a.Opened.Compare(b.Opened), cmp.Compare(a.ID, b.ID)) })
	return all
}

// Find gives a proposal by its id, or by the beginning of one that fits no
// other.
func (s *Store) Find(id string) (Proposal, error) {
	var found []Proposal
	for _, p := range s.All() {
		if p.ID == id {
			return p, nil
		}
		if len(id) >= 4 && len(id) < len(p.ID) && p.ID[:len(id)] == id {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Proposal{}, fmt.Errorf("%w: %q", ErrUnknown, id)
	default:
		return Proposal{}, fmt.Errorf("%w: %q begins %d ids", ErrUnknown, id, len(found))
	}
}

// Propose stores a proposal in place of the pair's last one, which is closed
// as cancelled where it was open, and tells of both. To propose again what is
// there is no change.
func (s *Store) Propose(ctx context.Context, p Proposal) error {
	return s.change(ctx, p.Application, p.Image, func(old Proposal, there bool) (Proposal, []told, error) {
		if there && old.ID == p.ID {
			return old, nil, nil
		}
		var news []told
		if there && old.Status == "" {
			closed, err := tell(old, "closed", events.ApprovalClosed{Approval: old.Event(), Status: events.Cancelled, Reason: "superseded by " + p.To}, p.Opened)
			if err != nil {
				return p, nil, err
			}
			news = append(news, closed)
		}
		created, err := tell(p, "created", events.ApprovalCreated{Approval: p.Event(), Requestor: p.Pusher}, p.Opened)
		return p, append(news, created), err
	})
}

// Vote adds a person's vote and tells of it. The errors are those of this
// package; nothing else is a refusal.
func (s *Store) Vote(ctx context.Context, id string, v Vote) (Proposal, error) {
	found, err := s.Find(id)
	if err != nil {
		return Proposal{}, err
	}
	var now Proposal
	err = s.change(ctx, found.Application, found.Image, func(old Proposal, there bool) (Proposal, []told, error) {
		if !there || old.ID != found.ID {
			return old, nil, fmt.Errorf("%w: another took its place", ErrClosed)
		}
		var err error
		if now, err = old.with(v, v.At); err != nil {
			return old, nil, err
		}
		updated, err := tell(now, v.Person+" "+v.Decision+" "+v.At.Format(time.RFC3339Nano), events.ApprovalUpdated{
			Approval: now.Event(),
			Vote:     events.Vote{Person: v.Person, Decision: v.Decision, Comment: v.Comment, OverridesFreeze: v.OverridesFreeze},
		}, v.At)
		return now, []told{updated}, err
	})
	return now, err
}

// Close ends a proposal and tells of it. One that has ended or was replaced
// stays as it is.
func (s *Store) Close(ctx context.Context, p Proposal, status, reason string, at time.Time) error {
	return s.change(ctx, p.Application, p.Image, func(old Proposal, there bool) (Proposal, []told, error) {
		if !there || old.ID != p.ID || old.Status != "" {
			return old, nil, nil
		}
		old.Status, old.Reason = status, reason
		closed, err := tell(old, "closed", events.ApprovalClosed{Approval: old.Event(), Status: status, Reason: reason}, at)
		return old, []told{closed}, err
	})
}

// change replaces a pair's proposal unless somebody else was faster, and then
// tries again. What is to be told is stored with it, so that a crash loses
// nothing of it.
func (s *Store) change(ctx context.Context, application, image string, f func(old Proposal, there bool) (Proposal, []told, error)) error {
	const tries = 10
	key := pair(application, image)
	for range tries {
		old, there, err := s.Read(ctx, key)
		if err != nil {
			return fmt.Errorf("read the proposal of %s: %w", key, err)
		}
		now, news, err := f(old.Value, there)
		if err != nil || len(news) == 0 {
			return err
		}
		now.Untold = append(slices.Clone(old.Value.Untold), news...)
		stored, err := s.Write(ctx, key, now, old.Revision)
		if errors.Is(err, bus.ErrConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("store the proposal of %s: %w", key, err)
		}
		return s.settle(ctx, stored)
	}
	return fmt.Errorf("change the proposal of %s: others changed it %d times meanwhile", key, tries)
}

// told is an event that a proposal owes.
type told struct {
	ID    string          `json:"id"`
	Event json.RawMessage `json:"event"`
}

// tell makes the event of a step; its id follows from the step.
func tell(p Proposal, step string, payload events.Payload, now time.Time) (told, error) {
	e, err := events.New(events.Meta{
		ID: events.FollowID(p.ID+" "+step, payload.Type(), p.Application), Source: Source, ChainID: p.Chain, Time: now,
	}, payload)
	if err != nil {
		return told{}, fmt.Errorf("tell of proposal %s: %w", p.ID, err)
	}
	data, err := e.Encode()
	return told{e.ID, data}, err
}

// settle has the application decided on again, tells what is owed, and then
// strikes it out. It may be done again at any time.
func (s *Store) settle(ctx context.Context, v bus.Version[Proposal]) error {
	p := v.Value
	if len(p.Untold) == 0 {
		return nil
	}
	if err := s.wake(ctx, p.Application, p.Image); err != nil {
		return err
	}
	for _, t := range p.Untold {
		e, err := events.Parse(t.Event)
		if err != nil {
			continue // of a version that we are not
		}
		if err := s.bus.Publish(ctx, e); err != nil {
			return err
		}
	}
	p.Untold = nil
	_, err := s.Write(ctx, pair(p.Application, p.Image), p, v.Revision)
	if errors.Is(err, bus.ErrConflict) {
		return nil // whoever changed it took over what is owed
	}
	return err
}

// Settle finishes what a replica that died had begun.
func (s *Store) Settle(ctx context.Context) error {
	for _, v := range s.Kept.All() {
		if err := s.settle(ctx, v); err != nil {
			return err
		}
	}
	return nil
}
