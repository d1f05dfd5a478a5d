package promote

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-cd/slipway/events"
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

// CatchUp tells of every change between the last commit that was told and
// head. A repository that is met for the first time begins at its head.
func (a *Announcer) CatchUp(ctx context.Context, r *Repository, head *gitrepo.Commit) error {
	if r.announced == head.Hash() {
		return nil
	}
	e, err := a.bucket.Get(ctx, r.Key)
	if errors.Is(err, bus.ErrNotFound) {
		return a.record(ctx, r, head)
	}
	if err != nil {
		return fmt.Errorf("read announced commit of %s: %w", r.Key, err)
	}
	commits, err := r.mirror.Between(ctx, string(e.Value), head.Hash())
	if err != nil && !errors.Is(err, gitrepo.ErrGap) {
		return err // after a forced push there is nothing in line to tell of
	}
	for _, c := range commits {
		if err := a.publish(ctx, r, c); err != nil {
			return err
		}
	}
	return a.record(ctx, r, head)
}

// Tell tells of a commit that was just pushed.
func (a *Announcer) Tell(ctx context.Context, r *Repository, c *gitrepo.Commit) error {
	if err := a.publish(ctx, r, c); err != nil {
		return err
	}
	return a.record(ctx, r, c)
}

func (a *Announcer) record(ctx context.Context, r *Repository, c *gitrepo.Commit) error {
	if _, err := a.bucket.Put(ctx, r.Key, []byte(c.Hash())); err != nil {
		return fmt.Errorf("record announced commit of %s: %w", r.Key, err)
	}
	r.announced = c.Hash()
	return nil
}

// publish makes one event for each change; ids come of the commit, so that
// telling twice is telling once.
func (a *Announcer) publish(ctx context.Context, r *Repository, c *gitrepo.Commit) error {
	var all []events.Event
	for _, change := range ParseMessage(c.Message()) {
		p := events.ChangeMerged{
			Repository: r.Name, Branch: r.Branch, Commit: c.Hash(), Application: change.Application.String(),
			Image: change.Image.String(), From: change.From, To: change.To,
		}
		e, err := events.New(events.Meta{
			ID: events.FollowID(c.Hash(), events.ChangeMergedType, p.SubjectID()), Source: Source, ChainID: change.Chain, Time: c.When(),
		}, p)
		if err != nil {
			return fmt.Errorf("tell of commit %s: %w", c.Hash(), err)
		}
		all = append(all, e)
	}
	return publish(ctx, a.bus, all)
}
