package sync

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
)

// sweep has every branch in use looked at once an interval, until ctx ends:
// most Git hosts tell of a push once, and nobody may have listened.
func (b *Brain) sweep(ctx context.Context) {
	if b.cfg.Sweep <= 0 {
		return
	}
	for {
		// A tenth of jitter keeps replicas apart.
		select {
		case <-ctx.Done():
			return
		case <-time.After(b.cfg.Sweep + rand.N(b.cfg.Sweep/10+1)):
		}
		for _, source := range b.apps.sources() {
			b.apps.wakeups.Add(wakeup{source, ReasonSweep, true})
		}
	}
}

// sources are the branches in use.
func (a *applications) sources() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for source, apps := range a.bySource {
		if source != "" && len(apps) > 0 {
			all = append(all, source)
		}
	}
	return all
}

// chainOf is the chain of the event that told of the head. A move of which
// only the sweep knows is told by it, to the automator too.
func (b *Brain) chainOf(ctx context.Context, r *repo, wakes []Wake, head Commit) (string, error) {
	for _, w := range wakes {
		if w.Reason != ReasonSweep {
			return chainsFor(wakes, head), nil
		}
	}
	before := r.evaluated
	if before == "" || before == head.Hash() {
		return "", nil
	}
	b.log.Info("the sweep found a push that no webhook told of", "repository", r.name, "branch", r.of(), "commit", head.Hash())
	ref := branchPrefix + r.branch()
	switch r.ref.Kind {
	case api.RefBranch:
	case api.RefTag:
		ref = tagPrefix + r.ref.Value
	case api.RefSemver, api.RefCommit:
		return "", nil // no one ref moved
	}
	delivery := events.Delivery{Source: "sweep", SenderID: fmt.Sprintf("%s@%s %s..%s", r.name, r.of(), before, head.Hash())}
	chain, id := delivery.IDs()
	e, err := events.New(events.Meta{ID: id(0), Source: b.cfg.Source + "/sweep", ChainID: chain, Time: time.Now()}, events.RefUpdated{
		Repository: r.name, Ref: ref, Before: before, After: head.Hash(), Provider: "sweep", Source: "sweep",
	})
	if err != nil {
		return "", fmt.Errorf("tell of %s@%s: %w", r.name, r.of(), err)
	}
	if err := b.bus.Publish(ctx, e); err != nil {
		return "", fmt.Errorf("tell of %s@%s: %w", r.name, r.of(), err)
	}
	return chain, nil
}
