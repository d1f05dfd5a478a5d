package sync

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
)

// note is an event to be told on one chain. Its id follows from chain, commit,
// type, key and the Application's uid, so that telling it again after a crash
// is a duplicate.
type note struct {
	chain   string
	key     string
	payload events.Payload
	// once leaves the commit out: the branch may have moved between the event
	// and its record, and the next run must not tell it again.
	once bool
}

// publish stores the events of a run in their order. They need not be stored
// all at once, since a run whose telling failed tells them again; and a batch
// would hold up the whole stream for as long as hundreds of single events.
func (b *Brain) publish(ctx context.Context, n *run, lists ...[]note) error {
	for _, list := range lists {
		for _, t := range list {
			cause := fmt.Sprintf("%s %s %s %d", t.chain, n.uid, n.commit, n.generation)
			if t.once {
				cause = t.chain + " " + n.uid
			}
			e, err := events.New(events.Meta{
				ID: events.FollowID(cause, t.payload.Type(), t.key), Source: b.cfg.Source, ChainID: t.chain, Time: time.Now(),
			}, t.payload)
			if err != nil {
				return fmt.Errorf("make event for %s: %w", n.app.name, err)
			}
			if err := b.bus.Publish(b.traced(ctx, n, t.chain), e); err != nil {
				return fmt.Errorf("publish for %s: %w", n.app.name, err)
			}
		}
	}
	b.traceEnd(n, lists)
	return nil
}

func (n *run) body() events.Run {
	return events.Run{Application: n.app.name.String(), Commit: n.commit, Images: n.images}
}

func (b *Brain) startedEvents(n *run) []note {
	var all []note
	for _, id := range chainIDs(n.chains) {
		all = append(all, note{chain: id, key: n.app.name.String(), payload: events.PipelineRunStarted{Run: n.body()}})
	}
	return all
}

// finishedEvents tell how a run ended. A second end with other words, such as
// healthy after a time-out, is a second event.
func (b *Brain) finishedEvents(n *run, outcome, errors string) []note {
	h := fnv.New64a()
	_, _ = h.Write([]byte(errors)) // a hash never errs
	key := fmt.Sprintf("%s %s %x", n.app.name, outcome, h.Sum64())
	var all []note
	for _, id := range chainIDs(n.chains) {
		all = append(all, note{chain: id, key: key, payload: events.PipelineRunFinished{
			Run: n.body(), Outcome: outcome, Errors: errors, Counts: n.counts, LastHealthy: n.lastHealthy,
		}})
	}
	return all
}

// serviceEvents tell what became of each image, on the chains that are about
// it; what no chain is about, on all of them.
func (b *Brain) serviceEvents(n *run, history []api.HistoryEntry) []note {
	now := time.Now().UTC()
	service := events.Service{
		Environment: b.environment(n.spec), Cluster: b.cfg.Cluster, Application: n.app.name.String(), Commit: n.commit, Images: n.images,
		HealthySince: &now, DurationSeconds: now.Sub(n.started).Seconds(),
	}
	var all []note
	found := moves(n.images, history)
	for _, m := range found {
		s := service
		if m.kind == events.ServiceRemovedType {
			s.HealthySince, s.DurationSeconds = nil, 0
		} else {
			s.Artifact = events.ImagePURL(m.image)
		}
		for _, id := range n.chainsAbout(m.image.Repository.String()) {
			all = append(all, note{chain: id, key: n.app.name.String() + " " + m.image.String(), payload: events.ServiceEvent{Kind: m.kind, Service: s}, once: true})
		}
	}
	if len(found) == 0 && n.counts.Created+n.counts.Changed+n.counts.Pruned > 0 {
		for _, id := range chainIDs(n.chains) {
			all = append(all, note{chain: id, key: n.app.name.String(), payload: events.EnvironmentModified{Service: service}})
		}
	}
	return all
}

// environment is how events name where an application runs.
func (b *Brain) environment(spec api.ApplicationSpec) string {
	return cmp.Or(spec.Environment, b.cfg.Cluster)
}

func (n *run) chainsAbout(repository string) []string {
	var about []chain
	for _, c := range n.chains {
		if c.image == repository {
			about = append(about, c)
		}
	}
	if len(about) == 0 {
		about = n.chains
	}
	return chainIDs(about)
}
