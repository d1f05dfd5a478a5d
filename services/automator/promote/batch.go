package promote

import (
	"context"
	"maps"
	"slices"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
)

// batch is one commit in the making.
type batch struct {
	files   map[string][]byte
	changes []Change
	placed  []Request // the holds in it
}

// has says whether a batch is all that comes of some decisions.
func (b batch) has(decisions []Decision) bool {
	return len(b.files) > 0 && !slices.ContainsFunc(decisions, func(d Decision) bool { return d.Outcome != events.Deploy })
}

// edit makes the edits of every decision to deploy. One that can't be made
// safely becomes blocked, and the others go on.
func (d *Deployer) edit(ctx context.Context, r *Repository, s *State, decisions []Decision) (batch, error) {
	b := batch{files: map[string][]byte{}}
	for i := 0; i < len(decisions); {
		end := i + 1
		for end < len(decisions) && decisions[end].Application == decisions[i].Application {
			end++
		}
		if err := b.application(ctx, r, s, decisions[i:end], decisions); err != nil {
			return b, err
		}
		i = end
	}
	return b, nil
}

// application edits one application for its decisions, which are some of all.
func (b *batch) application(ctx context.Context, r *Repository, s *State, decisions, all []Decision) error {
	var targets []events.Image
	for _, d := range decisions {
		if d.Outcome == events.Deploy {
			targets = append(targets, d.Target)
		}
	}
	if len(targets) == 0 {
		return nil
	}
	// What the batch did before is part of the folder: two applications may
	// share a file.
	f := decisions[0].Application.folder(manifest.Overlay(s.Head.FS(), b.files), r.loader.aliases)
	files, err := f.Promote(ctx, targets)
	together := maps.Clone(b.files)
	maps.Copy(together, files)
	if err == nil {
		err = s.bystanders(ctx, decisions[0].Application, files, together, r.loader.aliases, func(other *Application, to events.Image) bool {
			return slices.ContainsFunc(all, func(d Decision) bool {
				return d.Outcome == events.Deploy && d.Application.Name == other.Name && d.Target == to
			})
		})
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for i, d := range decisions {
			if d.Outcome == events.Deploy {
				decisions[i] = d.blocked(err)
			}
		}
		return nil
	}
	b.files = together
	for _, d := range decisions {
		if d.Outcome == events.Deploy {
			b.changes = append(b.changes, d.asChange())
		}
	}
	return nil
}

// asChange is what a commit tells of it.
func (d Decision) asChange() Change {
	return Change{
		Chain: d.Chain, Application: d.Application.Name, Image: d.Image, From: d.From.Reference(), To: d.Target.Reference(),
		Approvers: d.Approvers, Overrider: d.Overrider, Pusher: d.Pusher, Rule: d.Rule,
	}
}

func (d Decision) blocked(why error) Decision {
	d.Outcome, d.Reason, d.Target = events.Blocked, why.Error(), events.Image{}
	d.Ending = nil // what was approved may be done when the way is free
	return d
}
