package sync

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// takeStock records what an application has that is suspended from its beginning: one of
// its name, which Git gave up and has again, left it what is its own. Nothing is changed, and
// what is recorded goes with it if Git gives it up once more.
func (b *Brain) takeStock(ctx context.Context, a *app, l *live, work Work) error {
	s, uid := l.status(), string(l.object.GetUID())
	if s.Attempted != "" || len(s.Inventory) > 0 || a.stocked == uid {
		return nil
	}
	n, err := b.wouldHave(ctx, a, l, work)
	if err != nil {
		b.log.Warn("what a suspended application has already can't be known", "application", a.name.String(), "error", err)
		return nil // it says so when it is resumed, and is looked at again by then
	}
	found, err := n.cluster.applier.Owned(ctx, a.name.String(), n.items)
	if err != nil {
		return fmt.Errorf("look what a suspended application has already: %w", err)
	}
	if len(found) > 0 {
		if err := b.endsByUs(ctx, a, l); err != nil {
			return err
		}
		here := n.cluster.here(ctx, n.spec)
		err := b.write(ctx, a, l, func(s *api.ApplicationStatus) { s.Inventory, s.Destination = found, &here })
		if err != nil {
			return err
		}
		b.log.Info("has already, though it is suspended", "application", a.name.String(), "objects", len(found))
	}
	a.stocked = uid
	return nil
}

// wouldHave is what an application would apply of its branch as it is now.
func (b *Brain) wouldHave(ctx context.Context, a *app, l *live, work Work) (*run, error) {
	r, head, err := b.head(ctx, a, l, work)
	if err != nil {
		return nil, err
	}
	if err := b.verify(ctx, a, l.application, head); err != nil {
		return nil, err
	}
	vars, err := b.variables(ctx, a, l.application)
	if err != nil {
		return nil, err
	}
	if _, err := b.destination(ctx, a, l.application); err != nil {
		return nil, err
	}
	if vars, err = b.outside(ctx, a, l.application, vars, work); err != nil {
		return nil, err
	}
	result, err := render.Render(ctx, vars.request(head, l.application))
	if err != nil {
		return nil, vars.hide(err)
	}
	n := b.newRun(ctx, a, l, &sight{repo: r, head: head, work: work, started: time.Now(), vars: vars, result: result})
	return n, b.prepare(n, result)
}
