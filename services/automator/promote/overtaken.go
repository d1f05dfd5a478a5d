package promote

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/pullrequest"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus"
)

// touchedBy are the ids of what a rollback of an application may touch: its folder, and its
// holds.
func (s *State) touchedBy(app *Application) (map[string]string, error) {
	return s.ids(app.Path, api.HoldFile(app.Name.String()))
}

// followHead has what waits for a merge be in line with a head that has gone on. Where it
// touches what was changed, it is made anew, so that it merges. Where somebody has moved what
// it takes back, there is nothing to take back any more: what it holds is held all the same.
func (d *Deployer) followHead(ctx context.Context, r *Repository, s *State, name events.Application, v bus.Version[waiting]) error {
	w := v.Value
	if len(r.since) == 0 || len(w.Changes) == 0 || w.URL == "" {
		return nil // nothing new, only holds, or still being made
	}
	app := s.Applications[name]
	if app == nil { // it may only be unreadable now, and its holds are in force
		return nil
	}
	there := func(c Change) bool { return uses(app, c.Image) && current(app, c.Image).Reference() == c.From }
	if !slices.ContainsFunc(w.Changes, there) {
		return d.overtake(ctx, r, app, v)
	}
	now, err := s.touchedBy(app)
	if err != nil || maps.Equal(now, w.Trees) {
		return err
	}
	return d.askAgain(ctx, r, w.Requests)
}

// overtake ends the rollbacks among what waits for an application, and has everything else
// of it asked for by itself.
func (d *Deployer) overtake(ctx context.Context, r *Repository, app *Application, v bus.Version[waiting]) error {
	w := v.Value
	isRollback := func(q Request) bool { return q.Kind == Rollback }
	rest := slices.DeleteFunc(slices.Clone(w.Requests), isRollback)
	for _, q := range w.Placed {
		q.ID = events.ChainFor("overtaken", q.ID, q.Image, q.version())
		rest = append(rest, q)
	}
	if err := d.askAgain(ctx, r, rest); err != nil {
		return err
	}
	c := w.Changes[0]
	why := fmt.Sprintf("%s was moved to %s meanwhile, so there is nothing to take back; what was to be held is held", c.Image, current(app, c.Image).Reference())
	for _, q := range w.Requests {
		if isRollback(q) {
			if err := d.answer(ctx, q, events.Skip, why); err != nil {
				return err
			}
		}
	}
	url := w.URL
	w.Requests, w.Changes, w.Trees, w.URL = rest, nil, nil, ""
	if _, err := d.Waiting.Write(ctx, app.Name.String(), w, v.Revision); err != nil {
		return fmt.Errorf("record what waits for %s: %w", app.Name, err)
	}
	r.reconsider(app.Name)
	return d.closeOvertaken(ctx, r, w.Branch, url, why)
}

// closeOvertaken closes the pull request that has nothing to do any more. Where the host
// doesn't, it goes with its branch.
func (d *Deployer) closeOvertaken(ctx context.Context, r *Repository, branch, url, why string) error {
	host, err := d.Pulls.Host(r.Key)
	var pr pullrequest.PR
	var found bool
	if err == nil {
		pr, found, err = host.Find(ctx, r.Branch, branch)
	}
	if err == nil && found && pr.State == pullrequest.Open {
		err = host.Close(ctx, pr, why)
	}
	if err != nil && ctx.Err() == nil {
		d.Log.WarnContext(ctx, "a pull request stays open that has nothing to do", "url", url, "error", err.Error())
	}
	return ctx.Err()
}
