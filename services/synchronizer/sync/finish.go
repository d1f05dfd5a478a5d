package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// telling bounds how often a status says anew what is waited for.
const telling = 2 * time.Second

// slowAgain is when a health rule that took too long is asked again, unless a
// watch event comes before.
const slowAgain = 10 * time.Second

// startWaiting makes a run wait for health; the watches and the deadline wake
// it. A run that needn't wait ends with the first look.
func (b *Brain) startWaiting(n *run) {
	a := n.app
	b.leave(a)
	b.stopWaiting(a)
	w := &wait{run: n, targets: n.targets(n.waitsFor(n.plan[n.at])), told: time.Now()}
	namespaces := map[string]bool{"": true}
	for _, t := range w.targets {
		namespaces[t.Namespace] = true
	}
	w.deadline = time.AfterFunc(n.spec.Sync.TimeoutOrDefault(), func() {
		a.mu.Lock()
		w.expired = true
		a.mu.Unlock()
		b.health.Add(a.key)
	})
	a.wait = w
	b.apps.setWaiting(a.key, namespaces)
	b.health.Add(a.key)
}

// stopWaiting forgets the wait. The application's mutex is held.
func (b *Brain) stopWaiting(a *app) {
	if a.wait == nil {
		return
	}
	a.wait.deadline.Stop()
	a.wait = nil
	b.apps.setWaiting(a.key, nil)
}

// supersede ends a wait because a newer run begins, and says so on its
// chains. An event that can't be stored is not worth holding up the newer run.
func (b *Brain) supersede(ctx context.Context, by *run) {
	a := by.app
	if a.wait == nil {
		return
	}
	old, failed := a.wait.run, a.wait.failed
	b.stopWaiting(a)
	if failed || old.commit == by.commit {
		return
	}
	b.metrics.done(api.OutcomeSuperseded, old.started)
	if err := b.publish(ctx, old, b.finishedEvents(old, events.Cancel, "superseded by "+by.short())); err != nil {
		b.log.Warn("tell that a sync was superseded", "application", a.name.String(), "error", err)
	}
}

// look judges an application that waits.
func (b *Brain) look(ctx context.Context, key string) error {
	a := b.apps.get(key)
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if pause := a.pace.wait(time.Now()); pause > 0 {
		b.health.AddAfter(key, pause)
		return nil
	}
	w := a.wait
	if w == nil {
		return b.watchOver(ctx, a)
	}
	verdict := w.judge()
	if verdict.Slow {
		b.health.AddAfter(key, slowAgain)
	}
	if err := b.lookForGone(ctx, w, verdict); err != nil {
		return err
	}
	n := w.run
	ready := verdict.Ready
	bad := !ready && (w.expired || len(verdict.Failed) > 0)
	if bad && w.failed {
		return nil
	}
	if wait := n.patience(w, time.Now()); !ready && !bad && wait > 0 {
		b.health.AddAfter(key, wait)
		return nil
	}
	l, err := b.current(ctx, a)
	if err != nil {
		return err
	}
	if l == nil || n.over(l.status()) {
		b.stopWaiting(a)
		if l != nil && settled(l.status()) {
			return b.watchOver(ctx, a)
		}
		return errOvertaken
	}
	switch {
	case ready && n.more(l):
		return b.queueStep(ctx, w)
	case ready:
		return b.passed(ctx, n, l)
	case bad:
		return b.unhealthy(ctx, w, l, b.lastWords(ctx, n, verdict).String())
	}
	return b.tellWaiting(ctx, w, l, verdict)
}

// judge says how all is that is waited for.
func (w *wait) judge() health.Verdict {
	n, began := w.run, time.Now()
	defer func() { n.app.pace.took(time.Since(began), time.Now()) }()
	return n.cluster.watcher.Judge(w.targets)
}

// tellWaiting says in the status what is waited for.
func (b *Brain) tellWaiting(ctx context.Context, w *wait, l *live, verdict health.Verdict) error {
	n := w.run
	if !n.due.IsZero() {
		w.told = time.Now()
		return b.recordApplied(ctx, n, l, verdict.String())
	}
	message := n.waiting(verdict)
	if c := l.status().Condition(api.ConditionReady); w.failed || c != nil && c.Message == message {
		return nil
	}
	w.told = time.Now()
	return b.write(ctx, n.app, l, func(s *api.ApplicationStatus) {
		conditions{
			ready: "Unknown", reconciling: true, reason: reasonProgressing, message: message, generation: n.generation, now: w.told,
		}.set(s)
	})
}

// patience is how long a status need not say anew what is waited for.
func (n *run) patience(w *wait, now time.Time) time.Duration {
	if !n.due.IsZero() {
		return n.due.Sub(now)
	}
	return telling - now.Sub(w.told)
}

// queueStep has the next step of a run done by who holds the application.
func (b *Brain) queueStep(ctx context.Context, w *wait) error {
	if w.queued {
		return nil
	}
	err := b.appQ.Put(ctx, w.run.app.key, Wake{Reason: ReasonStep})
	w.queued = err == nil
	return err
}

// over says whether a run that is waited for has been overtaken, or ended, by
// another replica: one that began the same anew goes on with it.
func (n *run) over(s *api.ApplicationStatus) bool {
	return s.By != "" && s.By != n.by || s.Attempted != n.commit || s.ObservedGeneration != n.generation || settled(s)
}

// unhealthy tells once that a sync isn't healthy. The watch goes on: what
// becomes healthy late is told, too; but a failed hook ends the run.
func (b *Brain) unhealthy(ctx context.Context, w *wait, l *live, why string) error {
	n := w.run
	step := n.plan[n.at]
	message := n.lacking(step, w.expired, why)
	if err := b.publish(ctx, n, b.finishedEvents(n, events.Failure, message)); err != nil {
		return err
	}
	b.notes.warn(l.object, reasonUnhealthy, message)
	b.metrics.done(api.OutcomeFailed, n.started)
	b.log.Warn("not healthy", "application", n.app.name.String(), "commit", n.commit, "why", why)
	if step.Hook != "" {
		return b.hookFailed(ctx, n, l, step, message)
	}
	b.runFailHooks(ctx, n, l)
	err := b.write(ctx, n.app, l, func(s *api.ApplicationStatus) {
		n.setApplied(s)
		s.Remember(n.history(api.OutcomeFailed, message))
		conditions{ready: "False", reconciling: true, reason: reasonUnhealthy, message: message, generation: n.generation, now: time.Now()}.set(s)
	})
	if err == nil {
		w.failed, n.due = true, time.Time{}
	}
	return err
}

// waiting says what a step waits for.
func (n *run) waiting(verdict health.Verdict) string {
	step := n.plan[n.at]
	switch {
	case step.Hook != "":
		return fmt.Sprintf("applying %s; waiting for its %s hook %s", n.short(), step.Hook, verdict)
	case !step.Last:
		return fmt.Sprintf("applying %s; before it goes on, waiting for %s", n.short(), verdict)
	}
	return fmt.Sprintf("applied %s; waiting for %s", n.short(), verdict)
}

// lacking says what a step waits for in vain.
func (n *run) lacking(step apply.Step, expired bool, why string) string {
	begun := "applied " + n.short()
	if !step.Last && step.Hook != render.HookPost && step.Hook != render.HookTest {
		begun = "applying " + n.short()
	}
	what := "it is not healthy"
	switch {
	case step.Hook != "":
		what = fmt.Sprintf("its %s hook did not succeed", step.Hook)
	case expired:
		what = "it was not healthy"
	}
	if expired {
		what += fmt.Sprintf(" after %s", n.spec.Sync.TimeoutOrDefault())
	}
	return fmt.Sprintf("%s, but %s: %s", begun, what, why)
}

// finish ends a sync well: tells, and records.
func (b *Brain) finish(ctx context.Context, n *run, l *live) error {
	outcome, reason, message := api.OutcomeHealthy, reasonHealthy, "applied "+n.short()+" and healthy"
	if !n.spec.Sync.Waits() {
		outcome, reason, message = api.OutcomeApplied, reasonApplied, "applied "+n.short()
	}
	if err := b.publish(ctx, n, b.finishedEvents(n, events.Success, ""), b.serviceEvents(n, l.status().History)); err != nil {
		return err
	}
	if began := l.status().Degraded; began != nil {
		if err := b.incident(ctx, n.app, l, events.IncidentResolvedType, *began, message); err != nil {
			return err
		}
	}
	err := b.write(ctx, n.app, l, func(s *api.ApplicationStatus) {
		n.setApplied(s)
		s.Healthy, s.Degraded = n.commit, nil
		s.Inventory = n.pruned.left(s.Inventory)
		s.Remember(n.history(outcome, ""))
		conditions{ready: "True", reason: reason, message: message, generation: n.generation, now: time.Now()}.set(s)
	})
	if err != nil {
		return err
	}
	b.notes.say(l.object, reason, fmt.Sprintf("%s: %s, %d pruned", message, n.counted(), n.counts.Pruned))
	b.metrics.done(outcome, n.started)
	b.log.Info("sync finished", "outcome", strings.ToLower(reason), "application", n.app.name.String(), "commit", n.commit, "took", time.Since(n.started))
	b.stopWaiting(n.app)
	return b.stand(ctx, n.app, l)
}

// prune deletes what is gone from Git.
func (b *Brain) prune(ctx context.Context, n *run, l *live, gone []api.InventoryEntry) (all pruned, err error) {
	var faults []string
	var waits error
	n.counts.Pruned = 0
	for _, p := range n.cluster.applier.Prune(ctx, b.actor(n), gone) {
		name := apply.EntryName(p.Entry)
		switch {
		case errors.Is(p.Err, apply.ErrWaits):
			waits = p.Err
			continue
		case p.Err != nil:
			faults = append(faults, fmt.Sprintf("%s: %v", name, p.Err))
			continue
		case p.To.Name != "":
			all.going = append(all.going, b.goesOver(l, p, name))
			all.unsure = all.unsure || !p.To.Sure
			continue
		case p.Kept != "":
			b.notes.say(l.object, "NotPruned", fmt.Sprintf("left %s alone: %s", name, p.Kept))
		default:
			n.counts.Pruned++
		}
		all.dropped = append(all.dropped, p.Entry)
	}
	reason, message := reasonPruneFailed, fmt.Sprintf("applied %s, but could not prune %s", n.short(), strings.Join(faults, "; "))
	switch {
	case len(faults) == 0 && waits == nil:
		return all, nil
	case len(faults) == 0:
		reason, message = reasonDeleting, waits.Error()
	}
	err = b.write(ctx, n.app, l, func(s *api.ApplicationStatus) {
		s.Inventory = all.left(s.Inventory)
		conditions{ready: "False", reconciling: true, reason: reason, message: message, generation: n.generation, now: time.Now()}.set(s)
	})
	if err != nil {
		return pruned{}, err
	}
	return pruned{}, fmt.Errorf("prune: %s", message)
}

func without(inventory, dropped []api.InventoryEntry) []api.InventoryEntry {
	gone := map[identity]bool{}
	for _, e := range dropped {
		gone[identityOf("", e)] = true
	}
	var kept []api.InventoryEntry
	for _, e := range inventory {
		if !gone[identityOf("", e)] {
			kept = append(kept, e)
		}
	}
	return kept
}
