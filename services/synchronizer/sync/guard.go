package sync

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/services/synchronizer/health/rule"
	"github.com/slipway-cd/slipway/shared/api"
)

// guard looks at an application that was applied and became healthy: it may
// cease to be so. The watches wake it.
type guard struct {
	commit     string
	generation int64
	waits      bool // for health
	cluster    *cluster
	targets    []health.Target
	entries    []api.InventoryEntry // of the targets, as they were left
	differs    string               // what differs, as it was last asked for
	// since is when it was seen not to be ready; zero while it is.
	since time.Time
}

// stand puts a guard over what an application's inventory says. The
// application's mutex is held. After a start it is found again in the status.
func (b *Brain) stand(ctx context.Context, a *app, l *live) error {
	s := l.status()
	g := &guard{commit: s.Revision, generation: s.ObservedGeneration, waits: l.application.Spec.Sync.Waits()}
	var err error
	if g.cluster, err = b.destination(ctx, a, l.application); err != nil {
		return err
	}
	rules, err := rule.Compile(l.application.Spec.Health)
	if err != nil {
		return err
	}
	for _, e := range s.Inventory {
		if e.State != api.Applied || e.To != "" || e.Hook || a.itself(e.Group, e.Kind, e.Namespace, e.Name) {
			continue
		}
		kind := schema.GroupVersionKind{Group: e.Group, Version: e.Version, Kind: e.Kind}
		resource, err := g.cluster.clients.Mapper.Find(kind)
		if err != nil {
			return fmt.Errorf("watch %s %s: %w", kind.Kind, e.Name, err)
		}
		// Whoever replaces an object keeps it healthy, too: its uid doesn't count.
		g.entries = append(g.entries, e)
		g.targets = append(g.targets, health.Target{Kind: kind, Resource: resource, Namespace: e.Namespace, Name: e.Name, Rule: rules.For(kind)})
	}
	a.guard = g
	kinds := map[schema.GroupVersionResource]bool{}
	for _, t := range g.targets {
		kinds[t.Resource.GroupVersionResource] = true
	}
	b.apps.setGuarded(a.key, kinds)
	b.health.Add(a.key)
	return nil
}

// leave takes the guard away. The application's mutex is held.
func (b *Brain) leave(a *app) {
	a.guard = nil
	b.apps.setGuarded(a.key, nil)
}

// over says whether a target may be gone: a Job has done its work.
func (g *guard) over(t health.Target) bool {
	if !apply.Passes(t.Kind) {
		return false
	}
	seen, known := g.cluster.watcher.Look(t.Resource, t.Namespace, t.Name)
	return seen == nil && known
}

// guardable says whether an application is applied and was healthy.
func guardable(l *live) bool {
	s := l.status()
	return settled(s) && l.object.GetDeletionTimestamp() == nil && s.ObservedGeneration == l.object.GetGeneration()
}

// watchOver tells, once an episode, that an application is no longer healthy,
// and that it is again.
func (b *Brain) watchOver(ctx context.Context, a *app) error {
	if a.guard == nil {
		l, err := b.current(ctx, a)
		if err != nil || l == nil || !guardable(l) {
			return err
		}
		if err := b.retell(ctx, a, l); err != nil {
			return err
		}
		return b.stand(ctx, a, l)
	}
	g, began := a.guard, time.Now()
	if err := b.seeDrift(ctx, a); err != nil {
		return err
	}
	verdict := g.cluster.watcher.Judge(slices.DeleteFunc(slices.Clone(g.targets), g.over))
	now := time.Now()
	a.pace.took(now.Sub(began), now)
	if verdict.Slow {
		b.health.AddAfter(a.key, slowAgain)
	}
	if verdict.Unknown {
		b.health.AddAfter(a.key, time.Second) // the watches have just begun
		return nil
	}
	if !g.waits {
		return nil
	}
	switch {
	case verdict.Ready:
		g.since = time.Time{}
	case g.since.IsZero():
		g.since = now
	}
	if left := b.cfg.DegradedAfter - now.Sub(g.since); !verdict.Ready && len(verdict.Failed) == 0 && left > 0 {
		b.health.AddAfter(a.key, left)
		return nil
	}
	l, err := b.current(ctx, a)
	if err != nil {
		return err
	}
	if l == nil || !guardable(l) || l.status().Revision != g.commit {
		b.leave(a)
		return nil
	}
	if verdict.Ready == (l.status().Degraded == nil) {
		return nil
	}
	if verdict.Ready {
		return b.recovered(ctx, a, l)
	}
	return b.degraded(ctx, a, l, verdict.String())
}

// degraded records an episode before it tells of it: after a crash in between
// [Brain.retell] does.
func (b *Brain) degraded(ctx context.Context, a *app, l *live, why string) error {
	message := fmt.Sprintf("applied %.12s was healthy, and no longer is: %s", a.guard.commit, why)
	at := time.Now().UTC().Truncate(time.Second)
	err := b.write(ctx, a, l, func(s *api.ApplicationStatus) {
		if s.Degraded != nil {
			return // by another replica
		}
		s.Degraded = &at
		conditions{ready: "False", reason: reasonDegraded, message: message, generation: a.guard.generation, now: at}.set(s)
	})
	if err != nil {
		return err
	}
	b.notes.warn(l.object, reasonDegraded, message)
	b.log.Warn("no longer healthy", "application", a.name.String(), "commit", a.guard.commit, "why", why)
	return b.incident(ctx, a, l, events.IncidentDetectedType, *l.status().Degraded, message)
}

func (b *Brain) recovered(ctx context.Context, a *app, l *live) error {
	began := *l.status().Degraded
	message := fmt.Sprintf("applied %.12s and healthy again", a.guard.commit)
	// It is told first: of what is no longer in the status nobody would know.
	if err := b.incident(ctx, a, l, events.IncidentResolvedType, began, message); err != nil {
		return err
	}
	b.notes.say(l.object, reasonHealthy, message)
	return b.write(ctx, a, l, func(s *api.ApplicationStatus) {
		s.Degraded = nil
		conditions{ready: "True", reason: reasonHealthy, message: message, generation: a.guard.generation, now: time.Now()}.set(s)
	})
}

// retell tells of an episode whose record may be all that a replica that died
// did of it: an event that is there already is no second one.
func (b *Brain) retell(ctx context.Context, a *app, l *live) error {
	if d := l.status().Drift; d != nil {
		if err := b.episode(ctx, a, l, events.IncidentDetectedType, events.CauseDrift, d.Since, d.Message); err != nil {
			return err
		}
	}
	c := l.status().Condition(api.ConditionReady)
	if l.status().Degraded == nil || c == nil || c.Reason != reasonDegraded {
		return nil
	}
	return b.incident(ctx, a, l, events.IncidentDetectedType, *l.status().Degraded, c.Message)
}

// incident tells of an episode on the chain of what runs.
func (b *Brain) incident(ctx context.Context, a *app, l *live, kind events.Type, began time.Time, message string) error {
	return b.episode(ctx, a, l, kind, "", began, message)
}

func (b *Brain) episode(ctx context.Context, a *app, l *live, kind events.Type, of string, began time.Time, message string) error {
	cause := fmt.Sprintf("%s %s%s", l.object.GetUID(), began.UTC().Format(time.RFC3339), of)
	chain := events.ChainFor("incident", cause)
	if chains := l.status().Chains; len(chains) > 0 {
		chain = chains[0]
	}
	e, err := events.New(events.Meta{ID: events.FollowID(cause, kind, a.name.String()), Source: b.cfg.Source, ChainID: chain, Time: time.Now()}, events.Incident{
		Kind: kind, Environment: b.environment(l.application.Spec), Application: a.name.String(), Description: message, Commit: l.status().Revision, Cause: of,
	})
	if err != nil {
		return fmt.Errorf("make event for %s: %w", a.name, err)
	}
	if err := b.bus.Publish(ctx, e); err != nil {
		return fmt.Errorf("publish for %s: %w", a.name, err)
	}
	return nil
}
