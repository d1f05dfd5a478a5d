package promote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// refused tells, in the host's words, of what the branch doesn't take. It is
// tried again.
func (d *Deployer) refused(ctx context.Context, decisions []Decision, why error) error {
	if !errors.Is(why, gitrepo.ErrRefused) {
		return nil
	}
	for _, decision := range decisions {
		if decision.Outcome != events.Deploy {
			continue
		}
		of := map[events.ImageRepository][]string{decision.Image: {decision.Target.Tag}}
		if err := d.tell(ctx, []Decision{decision.blocked(why)}, of); err != nil {
			return err
		}
	}
	return nil
}

// tell publishes the decisions: each in the chain of every tag that arrived,
// and in that of the tag that is moved to, or where none arrived is the one it is
// about. Equal decisions have equal ids, so that one taken again after a crash is
// not told twice.
func (d *Deployer) tell(ctx context.Context, decisions []Decision, arrived map[events.ImageRepository][]string) error {
	var all []events.Event
	for _, decision := range decisions {
		tags := arrived[decision.Image]
		switch about := cmp.Or(decision.Target.Tag, decision.about); {
		case about == "" || slices.Contains(tags, about):
		case len(tags) == 0, decision.Outcome == events.Deploy: // one that came by another's work is moved to, too
			tags = append(slices.Clone(tags), about)
		}
		known := map[string]Known{}
		for _, k := range d.Tags.Of(decision.Image) {
			known[k.Tag] = k
		}
		for _, tag := range tags {
			made, ok := decision.on(tag)
			if !ok || known[tag].Chain == "" {
				continue
			}
			e, err := events.New(events.Meta{
				ID:     events.FollowID(known[tag].Chain, events.DecisionMadeType, made.SubjectID()+" "+string(made.Outcome)+" "+made.To+" "+made.Reason),
				Source: Source, ChainID: known[tag].Chain, Time: time.Now(),
			}, made)
			if err != nil {
				return fmt.Errorf("tell a decision: %w", err)
			}
			all = append(all, e)
			d.Metrics.decided(made.Outcome, known[tag].At)
		}
	}
	return publish(ctx, d.Bus, all)
}

// publish stores events one by one, beside each other: each has an id of its
// own, so that a part of them told again is no harm, and an atomic batch would
// cost a server on its own a hundred times a single message.
func publish(ctx context.Context, b *bus.Bus, all []events.Event) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for _, e := range all {
		group.Go(func() error { return b.Publish(ctx, e) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("publish %d events: %w", len(all), err)
	}
	return nil
}
