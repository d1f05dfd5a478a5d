package promote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// Announcer tells of our commits that landed. Whether one was told is kept in
// a bucket, so that a commit whose author died before telling is found.
type Announcer struct {
	bus    *bus.Bus
	bucket *bus.Bucket
}

// NewAnnouncer opens the bucket.
func NewAnnouncer(ctx context.Context, b *bus.Bus) (*Announcer, error) {
	bucket, err := b.Bucket(ctx, "slipway-announced", bus.BucketOptions{})
	if err != nil {
		return nil, fmt.Errorf("open announced commits: %w", err)
	}
	return &Announcer{bus: b, bucket: bucket}, nil
}

// Learn reads up to which commit all is told, and on which all was decided last, by whichever
// replica.
func (a *Announcer) Learn(ctx context.Context, r *Repository) error {
	e, err := a.bucket.Get(ctx, r.Key)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return fmt.Errorf("read announced commit of %s: %w", r.Key, err)
	}
	if e.Revision > r.revision { // else a follower of the bus has answered, which is behind
		r.told, r.based, _ = strings.Cut(string(e.Value), " ")
		r.based, r.revision = cmp.Or(r.based, r.told), e.Revision
	}
	return nil
}

// CatchUp tells of every change between the commit that was recorded last and
// head, and gives those commits. A repository that is met for the first time
// begins at its head. They are told again until [Announcer.Record] is called.
// After a forced push they are those since the two parted; forced says that others may not
// be able to tell which those are.
func (a *Announcer) CatchUp(ctx context.Context, r *Repository, head *gitrepo.Commit) (commits []*gitrepo.Commit, forced bool, err error) {
	switch r.told {
	case head.Hash():
		return nil, false, nil
	case "":
		return nil, false, a.Record(ctx, r, head)
	}
	commits, err = r.mirror.Between(ctx, r.told, head.Hash())
	forced = errors.Is(err, gitrepo.ErrGap)
	if err != nil && !forced {
		return nil, false, err
	}
	for _, c := range commits {
		if err := a.Tell(ctx, r, c); err != nil {
			return nil, false, err
		}
	}
	return commits, forced, nil
}

// Record keeps that everything up to a commit is told and decided on.
func (a *Announcer) Record(ctx context.Context, r *Repository, c *gitrepo.Commit) error {
	return a.record(ctx, r, c.Hash(), c.Hash())
}

// RecordTold keeps that everything up to a commit is told, and not decided on yet.
func (a *Announcer) RecordTold(ctx context.Context, r *Repository, c *gitrepo.Commit) error {
	return a.record(ctx, r, c.Hash(), r.based)
}

func (a *Announcer) record(ctx context.Context, r *Repository, told, based string) error {
	if r.told == told && r.based == based {
		return nil
	}
	value := told
	if based != told {
		value += " " + based
	}
	revision, err := a.bucket.Put(ctx, r.Key, []byte(value))
	if err != nil {
		return fmt.Errorf("record announced commit of %s: %w", r.Key, err)
	}
	r.told, r.based, r.revision = told, based, revision
	return nil
}

// Tell makes one event for each change and for each hold that came or went;
// ids come of the commit, so that telling twice is telling once.
func (a *Announcer) Tell(ctx context.Context, r *Repository, c *gitrepo.Commit) error {
	var all []events.Event
	for _, change := range ParseMessage(c.Message()) {
		e, err := change.merged(r, c)
		if err != nil {
			return err
		}
		all = append(all, e)
	}
	holds, err := holdEvents(c)
	if err != nil {
		return err
	}
	return publish(ctx, a.bus, append(all, holds...))
}

// merged is the event of a change that landed with a commit.
func (c Change) merged(r *Repository, at *gitrepo.Commit) (events.Event, error) {
	p := events.ChangeMerged{
		Repository: r.Name, Branch: r.Branch, Commit: at.Hash(), Application: c.Application.String(),
		Image: c.Image.String(), From: c.From, To: c.To,
	}
	e, err := events.New(events.Meta{
		ID: events.FollowID(at.Hash(), events.ChangeMergedType, p.SubjectID()), Source: Source, ChainID: c.Chain, Time: at.When(),
	}, p)
	if err != nil {
		return e, fmt.Errorf("tell of commit %s: %w", at.Hash(), err)
	}
	return e, nil
}

// holdEvents are the holds that came and went with a commit, whoever made it.
func holdEvents(c *gitrepo.Commit) ([]events.Event, error) {
	is, err := c.TreeHash(api.HoldsPath)
	if err != nil {
		return nil, err
	}
	// What a merge brings was told of the commit that it merges.
	var before []holds
	for _, parent := range c.Parents() {
		was, err := parent.TreeHash(api.HoldsPath)
		if err != nil || was == is {
			return nil, err
		}
		held, err := loadHolds(parent.FS())
		if err != nil {
			return nil, err
		}
		before = append(before, held)
	}
	if len(before) == 0 {
		return nil, nil
	}
	after, err := loadHolds(c.FS())
	if err != nil {
		return nil, err
	}
	var all []events.Event
	tell := func(kind events.Type, from holds, others []holds) {
		for application, h := range from {
			for _, hold := range h.list {
				if slices.ContainsFunc(others, func(o holds) bool { return o[application].has(hold) }) {
					continue
				}
				if e, err := holdEvent(kind, hold, c); err == nil { // else a person's, of what is no application
					all = append(all, e)
				}
			}
		}
	}
	tell(events.HoldPlacedType, after, before)
	tell(events.HoldReleasedType, common(before), []holds{after})
	return all, nil
}

// common are the holds that all have.
func common(all []holds) holds {
	both := holds{}
	for application, h := range all[0] {
		for _, hold := range h.list {
			if !slices.ContainsFunc(all[1:], func(o holds) bool { return !o[application].has(hold) }) {
				both[application] = heldVersions{list: append(both[application].list, hold)}
			}
		}
	}
	return both
}

func holdEvent(kind events.Type, h *api.Hold, c *gitrepo.Commit) (events.Event, error) {
	p := events.HoldEvent{
		Kind: kind, Application: h.Spec.Application, Image: h.Spec.Image, Digest: h.Spec.Digest, Tag: h.Spec.Tag,
		Until: h.Spec.Until, Reason: h.Spec.Reason, By: h.Spec.By, Commit: c.Hash(),
	}
	return events.New(events.Meta{
		ID: events.FollowID(c.Hash(), kind, p.SubjectID()), Source: Source, ChainID: events.ChainFor("hold", c.Hash()), Time: c.When(),
	}, p)
}
