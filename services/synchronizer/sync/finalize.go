package sync

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// finalize ends an Application that is being deleted: prunes what it
// manages, or leaves it as it is, and lets it go.
func (b *Brain) finalize(ctx context.Context, a *app, l *live) error {
	b.stopWaiting(a)
	b.leave(a)
	if !slices.Contains(l.object.GetFinalizers(), finalizer) {
		return nil
	}
	n := &run{
		app: a, commit: l.status().Revision, uid: string(l.object.GetUID()), generation: l.object.GetGeneration(), spec: l.application.Spec, started: time.Now(), ending: true,
		chains: []chain{{id: events.ChainFor("delete", a.name.String(), string(l.object.GetUID()))}},
	}
	if n.spec.OnDelete != api.OnDeleteOrphan {
		var err error
		if n.cluster, err = b.destination(ctx, a, l.application); err != nil {
			b.notes.warn(l.object, reasonDeleting, "its objects can't be deleted: "+err.Error()+"; to let it go without, set spec.onDelete: orphan")
			return err
		}
		if err := b.relocate(ctx, a, l); err != nil {
			b.notes.warn(l.object, reasonDeleting, "its objects can't be deleted: "+err.Error()+"; to let it go without, set spec.onDelete: orphan")
			return err
		}
		n.lastHealthy, n.lastTried = l.status().Healthy, l.status().Attempted
		if err := b.heirs(ctx, n, l); err != nil {
			return err
		}
		if err := b.prepare(n, render.Result{}); err != nil {
			return err
		}
		before := l.status().Inventory
		p, err := b.prune(ctx, n, l, before)
		if err != nil {
			return err
		}
		if err := b.handsOver(ctx, n, l, &p); err != nil {
			return err
		}
		if err := b.pruneFormer(ctx, n, l); err != nil {
			return err
		}
		if going := leavingFormer(l.status().Former); len(going) > 0 && !lost(l) {
			return fmt.Errorf("%s of a former cluster goes over to %s, which hasn't taken it yet", apply.EntryName(going[0]), going[0].To)
		}
		if err := b.publish(ctx, n, b.serviceEvents(n, l.status().History)); err != nil {
			return err
		}
		if left := len(p.left(before)); left > 0 {
			return fmt.Errorf("%d objects are left", left)
		}
	}
	b.log.Info("let the Application go", "application", a.name.String(), "on_delete", n.spec.OnDelete, "pruned", n.counts.Pruned)
	rest := slices.DeleteFunc(slices.Clone(l.object.GetFinalizers()), func(f string) bool { return f == finalizer })
	return b.setFinalizers(ctx, a, l, rest)
}

// handsOver errs while something of an application that ends goes over to others that
// haven't taken it.
func (b *Brain) handsOver(ctx context.Context, n *run, l *live, p *pruned) error {
	p.keep(n.app.name.String())
	if len(p.going) == 0 {
		return nil
	}
	if !p.unsure && lost(l) {
		p.dropped = append(p.dropped, p.going...)
		return nil
	}
	if err := b.recordGoing(ctx, n, l, *p); err != nil {
		return err
	}
	name, to := apply.EntryName(p.going[0]), p.going[0].To
	if p.unsure {
		return fmt.Errorf("%s may go over to %s, which can't be known yet: to let it go without, set spec.onDelete: orphan", name, to)
	}
	return fmt.Errorf("%s goes over to %s, which hasn't taken it yet", name, to)
}

// heirs has a run that ends an application know the branch as it is now: who
// wants its objects is found out from it. Where it can't be had for long, or for
// good, nobody can be asked.
func (b *Brain) heirs(ctx context.Context, n *run, l *live) error {
	r, err := b.source(ctx, n.app, l.application)
	var head Commit
	if err == nil {
		head, err = r.fetch(ctx, "")
	}
	if err == nil {
		n.repo, n.head = r, head.Hash()
		return nil
	}
	if _, is := missing(err); is || permanentSource(err) || lost(l) {
		return nil
	}
	return fmt.Errorf("find out who wants what the deleted Application has: %w", err)
}

// lost says that an Application has been about to go for so long that nothing is
// waited for any more.
func lost(l *live) bool { return time.Since(l.object.GetDeletionTimestamp().Time) > patience }
