package sync

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/services/synchronizer/health"
)

const (
	// goneFor is how long an object that was applied must not be there before it is
	// made again; after that, twice as long each time, up to longestGone.
	goneFor     = time.Second
	longestGone = time.Minute
)

// gone is what isn't there of what a wait is for: somebody has deleted it, and else
// it would be waited for in vain.
type gone struct {
	since time.Time // zero: all is there
	tries int
	again bool // it is to be made again
}

// wait says for how long nothing is to be done about it; zero or less when it is to
// be made again.
func (g *gone) wait(now time.Time) time.Duration {
	if g.since.IsZero() {
		g.since = now
	}
	return g.since.Add(min(goneFor<<min(g.tries, 10), longestGone)).Sub(now)
}

// lookForGone has what a wait lacks made again, by who holds the application.
func (b *Brain) lookForGone(ctx context.Context, w *wait, v health.Verdict) error {
	var lost bool
	for _, t := range v.Gone {
		lost = lost || !apply.Passes(t.Kind)
	}
	if !lost {
		w.gone.since = time.Time{}
		return nil
	}
	if wait := w.gone.wait(time.Now()); wait > 0 {
		b.health.AddAfter(w.run.app.key, wait)
		return nil
	}
	w.gone.again = true
	return b.queueStep(ctx, w)
}

// applyAgain applies all that a run has applied so far: what is as it was left is
// not sent.
func (b *Brain) applyAgain(ctx context.Context, w *wait, l *live, lost []health.Target) error {
	n := w.run
	var names []string
	for _, t := range lost {
		names = append(names, t.String())
	}
	w.gone = gone{tries: w.gone.tries + 1}
	b.log.Info("makes again what is gone", "application", n.app.name.String(), "commit", n.commit, "objects", names)
	b.notes.say(l.object, reasonCorrected, fmt.Sprintf("made again, since somebody deleted it while it was waited for: %s", strings.Join(names, ", ")))
	var items []*apply.Item
	for _, step := range n.plan[:n.at+1] {
		for _, item := range step.Items {
			if !item.Turn.IsHook {
				items = append(items, item)
			}
		}
	}
	n.record(n.cluster.applier.Apply(ctx, b.actor(n), items))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := n.err(); err != nil {
		n.faults = nil
		b.stopWaiting(n.app) // the run begins anew
		return b.applyFailed(ctx, n, l, err)
	}
	w.targets = n.targets(n.waitsFor(n.plan[n.at]))
	b.health.Add(n.app.key)
	return nil
}
