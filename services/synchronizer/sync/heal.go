package sync

import (
	"context"
	"time"
)

// heal goes on with what is known where the work came to nothing, since what it wants is
// newer and can't be had: a host is away, a tag isn't there yet. Drift, a resync and the
// next step of a sync are of what was applied.
func (b *Brain) heal(ctx context.Context, a *app, work Work) error {
	known, newer := work.known()
	if len(known.Wakes) == 0 || !newer {
		return nil
	}
	l, err := b.current(ctx, a)
	if err != nil || l == nil {
		return err
	}
	r, head, err := b.head(ctx, a, l, known)
	if err != nil {
		return err
	}
	v := &sight{repo: r, head: head, work: known, started: time.Now()}
	if seen, err := b.see(ctx, a, l, v); !seen || err != nil || v.fault != nil {
		return err
	}
	if a.wait != nil && !a.wait.failed {
		if !a.wait.run.covers(ctx, head, v.result, l, v.vars) {
			return nil
		}
		return b.goOn(ctx, a.wait, l, known)
	}
	if owner, err := b.removedFrom(ctx, a, l, r, head); !v.asApplied || owner != "" || err != nil {
		return err
	}
	return b.lookAgain(ctx, b.newRun(ctx, a, l, v), l, v)
}

// known is the part of the work that is about what was applied; newer says whether
// there is another part.
func (w Work) known() (part Work, newer bool) {
	part = w
	part.Wakes = nil
	for _, wake := range w.Wakes {
		switch wake.Reason {
		case ReasonDrift, ReasonStep:
			part.Wakes = append(part.Wakes, wake)
		case ReasonResync:
			part.Wakes, newer = append(part.Wakes, Wake{Reason: ReasonDrift}), true
		default:
			newer = true
		}
	}
	return part, newer
}
