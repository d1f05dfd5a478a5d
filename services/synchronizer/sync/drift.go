package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/shared/api"
)

const (
	reasonCorrected = "Corrected"
	reasonDrifted   = "Drifted"
	reasonFight     = "Fight"
)

const (
	// quiet is how long nobody must have changed anything for an episode of drift
	// to be over.
	quiet = 10 * time.Second
	// peace is how long nobody must have changed an object for its corrections to
	// be forgotten.
	peace = 2 * time.Minute
	// manyCorrections of one object within peace are a fight. Each further one
	// waits twice as long as the one before, from firstTruce to longestTruce.
	manyCorrections = 3
	firstTruce      = 2 * time.Second
	longestTruce    = 5 * time.Minute
)

// fight is what we know of those who change an application's objects again and
// again.
type fight struct {
	bouts map[string]bout // by object
	last  time.Time       // of all corrections
}

// bout is about one object.
type bout struct {
	corrections int // in a row
	last, until time.Time
}

// truce is until when an object is not put right; zero when it may be.
func (f *fight) truce(object string, now time.Time) time.Time {
	if until := f.bouts[object].until; until.After(now) {
		return until
	}
	return time.Time{}
}

// looks are the wake-ups that have an application compared which is as Git says,
// by all that was recorded.
var looks = []string{ReasonResync, ReasonAsked, ReasonDrift}

// seeDrift compares what the watches see with what was left, and has what
// differs looked at. It ends an episode when nothing has differed for a while.
// The application's mutex is held.
func (b *Brain) seeDrift(ctx context.Context, a *app) error {
	var differs []string
	now := time.Now()
	inTruce := false
	for i, t := range a.guard.targets {
		seen, known := a.guard.cluster.watcher.Look(t.Resource, t.Namespace, t.Name)
		if seen == nil && !known {
			b.health.AddAfter(a.key, time.Second) // the watch has just begun
			continue
		}
		if !apply.Drifted(t.Kind, a.guard.entries[i], a.name.String(), seen) {
			continue
		}
		if until := a.fight.truce(t.String(), now); !until.IsZero() {
			inTruce = true
			b.health.AddAfter(a.key, until.Sub(now))
			continue
		}
		version := "gone"
		if seen != nil {
			version = string(seen.UID) + "@" + seen.ResourceVersion
		}
		differs = append(differs, t.String()+" "+version)
	}
	if len(differs) == 0 {
		a.guard.differs = ""
		if inTruce {
			return nil
		}
		return b.driftOver(ctx, a, now)
	}
	what := strings.Join(differs, "\n")
	if what == a.guard.differs {
		return nil // it was asked for
	}
	if err := b.appQ.Put(ctx, a.key, Wake{Reason: ReasonDrift}); err != nil {
		return err
	}
	a.guard.differs = what
	return nil
}

// driftOver ends an episode.
func (b *Brain) driftOver(ctx context.Context, a *app, now time.Time) error {
	u := b.apps.cached(a.key)
	if u == nil {
		return nil
	}
	l, err := b.current(ctx, a)
	if err != nil || l == nil || l.status().Drift == nil || !guardable(l) {
		return err
	}
	if wait := quiet - now.Sub(a.fight.last); wait > 0 && a.fight.last.After(l.status().Drift.Since.Add(-time.Second)) && l.application.Spec.Sync.SelfHeals() {
		b.health.AddAfter(a.key, wait)
		return nil
	}
	const message = "the cluster is as Git says again"
	if err := b.episode(ctx, a, l, events.IncidentResolvedType, events.CauseDrift, l.status().Drift.Since, message); err != nil {
		return err
	}
	b.notes.say(l.object, reasonCorrected, message)
	return b.write(ctx, a, l, func(s *api.ApplicationStatus) {
		s.Drift = nil
		s.RemoveCondition(api.ConditionDrifted)
	})
}

// resync compares what is applied with the cluster, and puts right what differs,
// or says so. It is silent where nothing does.
func (b *Brain) resync(ctx context.Context, n *run, l *live, work Work) error {
	a := n.app
	items, err := b.differing(ctx, n, l, false)
	if err == nil && len(items) == 0 && work.any(ReasonDrift) {
		items, err = b.differing(ctx, n, l, true) // another replica has seen what our watches haven't yet
	}
	if err != nil {
		return err
	}
	asked := work.any(ReasonAsked)
	heals := n.spec.Sync.SelfHeals() || asked
	if heals && !asked {
		now := time.Now()
		items = slices.DeleteFunc(items, func(i *apply.Item) bool { return !a.fight.truce(i.String(), now).IsZero() })
	}
	if len(items) == 0 {
		return nil
	}
	outcomes, drifts := n.cluster.applier.Correct(ctx, b.actor(n), items, !heals)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	n.record(outcomes)
	if heals && n.keeps(l) {
		if err := b.write(ctx, a, l, func(s *api.ApplicationStatus) { s.Inventory = n.inventory(s.Inventory) }); err != nil {
			return err
		}
		if a.guard != nil {
			if err := b.stand(ctx, a, l); err != nil {
				return err
			}
		}
	}
	if len(drifts) == 0 {
		return n.err()
	}
	return errors.Join(b.drifted(ctx, a, l, n, drifts, heals), n.err())
}

// differing are the items that are not as they were left. What ran in a hook has
// run; what a chart makes up anew stays as it is while it is there: else every
// resync would be a new password.
func (b *Brain) differing(ctx context.Context, n *run, l *live, fresh bool) ([]*apply.Item, error) {
	entries := map[string]api.InventoryEntry{}
	for _, e := range l.status().Inventory {
		entries[e.Group+" "+apply.EntryName(e)] = e
	}
	var items []*apply.Item
	for _, item := range n.items {
		if item.Turn.IsHook || item.Ignored() {
			continue
		}
		entry := entries[item.Kind.Group+" "+item.String()]
		if item.Varies && entry.State == api.Applied {
			entry.Fields = "" // only that it is there
		}
		differs, err := n.cluster.applier.Differs(ctx, item, entry, fresh)
		if err != nil {
			return nil, err
		}
		if differs {
			items = append(items, item)
		}
	}
	return items, nil
}

// keeps says whether the inventory is another after objects were put right.
func (n *run) keeps(l *live) bool {
	return !slices.Equal(n.inventory(l.status().Inventory), l.status().Inventory)
}

// drifted tells of what others have changed, once an episode, and keeps count of
// those who do it again and again.
func (b *Brain) drifted(ctx context.Context, a *app, l *live, n *run, drifts []apply.Drift, heals bool) error {
	now := time.Now()
	var texts []string
	for _, d := range drifts {
		texts = append(texts, n.variables.redacted(d.String()))
	}
	message, reason := "put right what others had changed: ", reasonCorrected
	var until time.Time
	if heals {
		until = a.fight.again(drifts, now)
	}
	fights := !until.IsZero()
	switch {
	case !heals:
		message, reason = "not as Git says, and left so by sync.selfHeal: ", reasonDrifted
	case fights:
		message, reason = fmt.Sprintf("somebody changes it again and again; it is put right again in %s. Leave the field to them with `ignore`, or have them stop: ", until.Sub(now).Round(time.Second)), reasonFight
		b.health.AddAfter(a.key, until.Sub(now))
	}
	message += strings.Join(texts, "; ")
	if len(message) > maxMessage {
		message = message[:maxMessage] + "…"
	}
	b.metrics.drifted(len(drifts), reason)
	b.log.Info("drift", "application", a.name.String(), "objects", len(drifts), "put_right", heals, "fight", fights, "what", message)
	before := l.status().Drift
	if before == nil || before.Message != message {
		b.notes.say(l.object, reason, message)
	}
	err := b.write(ctx, a, l, func(s *api.ApplicationStatus) {
		since := now.UTC().Truncate(time.Second)
		if s.Drift != nil {
			since = s.Drift.Since
		}
		s.Drift = &api.Drift{Since: since, Message: message}
		s.RemoveCondition(api.ConditionDrifted)
		if !heals || fights {
			s.SetCondition(api.Condition{
				Type: api.ConditionDrifted, Status: "True", Reason: reason, Message: message,
				ObservedGeneration: n.generation, LastTransitionTime: now.UTC().Truncate(time.Second),
			})
		}
	})
	if err != nil {
		return err
	}
	b.health.AddAfter(a.key, quiet)
	if before != nil {
		return nil
	}
	return b.episode(ctx, a, l, events.IncidentDetectedType, events.CauseDrift, l.status().Drift.Since, message)
}

// again counts corrections. It gives until when the longest of what became a
// fight is left alone; zero where there is none.
func (f *fight) again(drifts []apply.Drift, now time.Time) (until time.Time) {
	if f.bouts == nil {
		f.bouts = map[string]bout{}
	}
	for object, b := range f.bouts {
		if now.Sub(b.last) > max(peace, 2*b.until.Sub(b.last)) {
			delete(f.bouts, object)
		}
	}
	f.last = now
	for _, d := range drifts {
		if d.Err != nil {
			continue
		}
		b := f.bouts[d.Item.String()]
		b.corrections, b.last, b.until = b.corrections+1, now, time.Time{}
		if further := b.corrections - manyCorrections; further >= 0 {
			truce := longestTruce
			if further < 10 {
				truce = min(firstTruce<<further, longestTruce)
			}
			b.until = now.Add(truce)
		}
		if b.until.After(until) {
			until = b.until
		}
		f.bouts[d.Item.String()] = b
	}
	return until
}
