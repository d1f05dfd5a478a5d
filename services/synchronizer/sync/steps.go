package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

const reasonHookFailed = "HookFailed"

// advance goes on with a run's plan from a step, until something has to be
// waited for or the run ends. Every step may be done twice: after a crash a run
// begins at its first.
func (b *Brain) advance(ctx context.Context, n *run, l *live, from int) error {
	for at := from; at < len(n.plan); at++ {
		step := n.plan[at]
		wait, err := b.take(ctx, n, l, step)
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if wait {
			n.at = at
			b.startWaiting(n)
			return nil
		}
		b.eventEnded(ctx, n, l, at)
	}
	b.clean(ctx, n, l, n.plan, apply.SyncSucceeded)
	return b.finish(ctx, n, l)
}

// take does a step, and says whether it has to be waited for.
func (b *Brain) take(ctx context.Context, n *run, l *live, step apply.Step) (wait bool, err error) {
	ordinary := slices.DeleteFunc(slices.Clone(step.Items), func(i *apply.Item) bool { return i.Turn.IsHook })
	n.record(n.cluster.applier.Apply(ctx, b.actor(n), ordinary))
	pending := n.pending(l, step)
	for _, item := range pending {
		n.record([]apply.Outcome{n.cluster.applier.Run(ctx, b.actor(n), item, n.runOf(step))})
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err := n.err(); err != nil {
		n.faults, n.left = nil, nil // it is tried again
		return false, b.applyFailed(ctx, n, l, err)
	}
	if !step.Last {
		return len(pending) > 0 || len(ordinary) > 0 && n.spec.Sync.Waits(), nil
	}
	return true, b.applied(ctx, n, l)
}

// grace is how long an application that was applied may take to be healthy
// before it is recorded that it waits: most are by then, a small rollout included,
// and one record does. What a crash before it leaves is intended in the inventory.
const grace = time.Second

// applied notes that all that stays is there, and records it if more is to come.
func (b *Brain) applied(ctx context.Context, n *run, l *live) error {
	b.log.Info("applied", "application", n.app.name.String(), "commit", n.commit, "created", n.counts.Created,
		"changed", n.counts.Changed, "unchanged", n.counts.Unchanged, "chart", n.variables.chart, "took", time.Since(n.started))
	b.metrics.applied(n.started)
	for _, name := range n.left {
		b.notes.say(l.object, "NotApplied", fmt.Sprintf("left %s alone: its annotations in the cluster say so", name))
	}
	n.appliedAt = time.Now()
	n.due = n.appliedAt.Add(grace)
	if n.plan[len(n.plan)-1].Last && n.prunes(l) == 0 {
		return nil
	}
	return b.recordApplied(ctx, n, l, "health")
}

// recordApplied says in the status that everything is applied, and for what it
// waits.
func (b *Brain) recordApplied(ctx context.Context, n *run, l *live, waits string) error {
	gone := n.prunes(l)
	b.notes.say(l.object, reasonApplied, fmt.Sprintf("applied %s: %s", n.short(), n.counted()))
	err := b.write(ctx, n.app, l, func(s *api.ApplicationStatus) {
		n.setApplied(s)
		message := fmt.Sprintf("applied %s; waiting for %s", n.short(), waits)
		if gone > 0 {
			message += fmt.Sprintf(", then %d objects are pruned", gone)
		}
		conditions{ready: "Unknown", reconciling: true, reason: reasonProgressing, message: message, generation: n.generation, now: time.Now()}.set(s)
	})
	if err == nil {
		n.due = time.Time{}
	}
	return err
}

// setApplied records what was applied, unless it is recorded.
func (n *run) setApplied(s *api.ApplicationStatus) {
	if n.due.IsZero() {
		return
	}
	s.Revision, s.Variables, s.Chart, s.Images, s.Inventory = n.commit, n.variables.version, n.variables.chart, n.images, n.inventory(s.Inventory)
	at := n.appliedAt.UTC().Truncate(time.Second)
	s.Synced = &at
}

func (n *run) counted() string {
	return fmt.Sprintf("%d created, %d changed, %d unchanged", n.counts.Created, n.counts.Changed, n.counts.Unchanged)
}

// more says whether something in the cluster has to be changed after the step
// that is waited for.
func (n *run) more(l *live) bool {
	step := n.plan[n.at]
	return n.at+1 < len(n.plan) || len(n.pending(l, step)) > 0 ||
		step.Last && (n.prunes(l) > 0 || n.spec.Sync.Prunes() && len(l.status().Former) > 0)
}

// prunes counts what is to be pruned.
func (n *run) prunes(l *live) int {
	if !n.spec.Sync.Prunes() {
		return 0
	}
	return len(apply.Gone(l.status().Inventory, n.items))
}

// goOn takes up a run whose step was waited for, if it is ready.
// Another replica may have put the step into the queue.
func (b *Brain) goOn(ctx context.Context, w *wait, l *live, work Work) error {
	if !w.queued && !work.any(ReasonStep) {
		return nil
	}
	if verdict := w.run.cluster.watcher.Judge(w.targets); !verdict.Ready {
		w.queued = false
		if w.gone.again && len(verdict.Gone) > 0 {
			return b.applyAgain(ctx, w, l, verdict.Gone)
		}
		return nil // no longer: a watch tells when it is again
	}
	if err := b.passed(ctx, w.run, l); err != nil {
		return err // it is tried again: still queued
	}
	w.queued = false
	return nil
}

// passed goes on when all that a step waited for is ready.
func (b *Brain) passed(ctx context.Context, n *run, l *live) error {
	step := n.plan[n.at]
	if step.Last {
		if err := b.takeAway(ctx, n, l); err != nil {
			return err
		}
	}
	if err := b.hooksDone(ctx, n, l, step); err != nil {
		return err
	}
	b.eventEnded(ctx, n, l, n.at)
	return b.advance(ctx, n, l, n.at+1)
}

// takeAway deletes what is gone from Git or, where nothing is pruned, lets go of it.
func (b *Brain) takeAway(ctx context.Context, n *run, l *live) (err error) {
	gone := apply.Gone(l.status().Inventory, n.items)
	if !n.spec.Sync.Prunes() {
		n.pruned = b.forsake(l, gone)
		return nil
	}
	if n.pruned, err = b.prune(ctx, n, l, gone); err != nil {
		return err
	}
	return b.pruneFormer(ctx, n, l)
}

// waitsFor are what a step waits for: hooks to end and, unless the application
// waits for nothing else, objects to be ready; in the last step all that stays.
func (n *run) waitsFor(step apply.Step) []*apply.Item {
	all := step.Items
	if step.Last {
		all = append(slices.DeleteFunc(slices.Clone(n.items), func(i *apply.Item) bool { return i.Turn.IsHook }),
			slices.DeleteFunc(slices.Clone(step.Items), func(i *apply.Item) bool { return !i.Turn.IsHook })...)
	}
	if n.spec.Sync.Waits() {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(i *apply.Item) bool { return !i.Turn.IsHook })
}

// hookName is a hook as the status has it.
func hookName(step apply.Step, item *apply.Item) string {
	hook := step.Hook
	if hook == "" {
		hook = render.HookSync
	}
	return string(hook) + " " + item.String()
}

// runOf names what a step's hooks run for.
func (n *run) runOf(step apply.Step) string { return n.hookID + "-" + string(step.Hook) }

// pending are the hooks of a step that have not succeeded yet.
func (n *run) pending(l *live, step apply.Step) []*apply.Item {
	var done []string
	if runs := l.status().Hooks; runs != nil && runs.Run == n.hookID {
		done = runs.Done
	}
	var all []*apply.Item
	for _, item := range step.Items {
		if item.Turn.IsHook && !item.Ignored() && !slices.Contains(done, hookName(step, item)) {
			all = append(all, item)
		}
	}
	return all
}

// hooks makes the plan and finds out for what its hooks run. failed says that
// one of them has failed for it.
func (n *run) hooks(l *live) (failed bool) {
	n.plan = apply.Plan(n.items, n.first)
	if !slices.ContainsFunc(n.items, func(i *apply.Item) bool { return i.Turn.IsHook }) {
		return false
	}
	n.hookID = n.identity()
	before := l.status().Hooks
	if before == nil || before.Run != n.hookID && !strings.HasPrefix(before.Run, n.hookID+".") {
		return false
	}
	n.hookID = before.Run
	if before.Failed == "" {
		return false
	}
	asked := l.object.GetAnnotations()[api.SyncAnnotation]
	again := n.identity() + "." + shortHash([]byte(asked))
	if asked == "" || again == n.hookID {
		return true
	}
	n.hookID = again // a person wants them to run once more
	return false
}

// identity is the same for syncs of one commit that apply the same.
func (n *run) identity() string {
	h := sha256.New()
	for _, item := range n.items {
		if item.Varies {
			continue
		}
		h.Write(item.Source())
		h.Write([]byte{0})
	}
	return n.revision[:min(len(n.revision), 12)] + "." + hex.EncodeToString(h.Sum(nil))[:12]
}

func shortHash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])[:8]
}

// begin notes for what hooks run before any does.
func (n *run) begin(s *api.ApplicationStatus) {
	switch {
	case n.hookID == "":
		s.Hooks = nil
	case s.Hooks == nil || s.Hooks.Run != n.hookID:
		s.Hooks = &api.HookRuns{Run: n.hookID}
	}
}

// hooksDone records that a step's hooks have succeeded.
func (b *Brain) hooksDone(ctx context.Context, n *run, l *live, step apply.Step) error {
	done := n.pending(l, step)
	if len(done) == 0 {
		return nil
	}
	return b.write(ctx, n.app, l, func(s *api.ApplicationStatus) {
		n.begin(s)
		for _, item := range done {
			s.Hooks.Done = append(s.Hooks.Done, hookName(step, item))
		}
		s.Inventory = n.inventory(s.Inventory)
	})
}

// eventEnded deletes the hooks that want it when all of their kind have succeeded,
// which is so after a step that is the last of them.
func (b *Brain) eventEnded(ctx context.Context, n *run, l *live, at int) {
	hook := n.plan[at].Hook
	if hook == "" || at+1 < len(n.plan) && n.plan[at+1].Hook == hook {
		return
	}
	b.clean(ctx, n, l, n.before(at+1, hook), apply.EventSucceeded)
}

// before are the steps before one with hooks of a kind.
func (n *run) before(at int, hook render.Hook) []apply.Step {
	return slices.DeleteFunc(slices.Clone(n.plan[:at]), func(s apply.Step) bool { return s.Hook != hook })
}

// clean deletes the hooks of steps that want to be deleted at an ending. One that
// can't be is told.
func (b *Brain) clean(ctx context.Context, n *run, l *live, steps []apply.Step, ending apply.Ending) {
	for _, step := range steps {
		for _, item := range step.Items {
			if !item.Turn.IsHook {
				continue
			}
			if err := n.cluster.applier.Clean(ctx, b.actor(n), item, n.runOf(step), ending); err != nil {
				b.notes.warn(l.object, reasonHookFailed, err.Error())
			}
		}
	}
}

// hookFailed ends a run whose hook has failed or took too long. It is not tried
// again by itself: what a hook did by half, only a person can judge.
func (b *Brain) hookFailed(ctx context.Context, n *run, l *live, step apply.Step, message string) error {
	failed := n.pending(l, step)
	err := b.write(ctx, n.app, l, func(s *api.ApplicationStatus) {
		n.begin(s)
		s.Hooks.Failed = message
		s.Inventory = n.inventory(s.Inventory)
		s.Remember(n.history(api.OutcomeFailed, message))
		conditions{ready: "False", stalled: true, reason: reasonHookFailed, message: message, generation: n.generation, now: time.Now()}.set(s)
	})
	if err != nil {
		return err
	}
	b.stopWaiting(n.app)
	b.runFailHooks(ctx, n, l)
	b.clean(ctx, n, l, []apply.Step{{Hook: step.Hook, Items: failed}}, apply.ItFailed)
	b.clean(ctx, n, l, n.before(n.at, step.Hook), apply.EventSucceeded)
	b.clean(ctx, n, l, n.plan[:n.at], apply.SyncFailed)
	return nil
}

// runFailHooks starts what a failed sync wants to have run, once. Nobody waits
// for it.
func (b *Brain) runFailHooks(ctx context.Context, n *run, l *live) {
	for _, step := range apply.Hooks(n.items, render.HookFail, n.first) {
		for _, item := range n.pending(l, step) {
			o := n.cluster.applier.Run(ctx, b.actor(n), item, n.runOf(step))
			if o.Err != nil {
				b.notes.warn(l.object, reasonHookFailed, n.variables.redacted(fmt.Sprintf("%s: %s: %v", item.Where, hookName(step, item), o.Err)))
			}
		}
	}
}
