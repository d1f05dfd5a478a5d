package promote

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// reverts are the rollbacks that people made in Git themselves: a reference
// moved away from a version that the automator wrote, to a former or an older
// one. Each asks for a hold on what was abandoned, so that it doesn't come back
// by itself. ours are the [moves] of the commits.
func (d *Deployer) reverts(ctx context.Context, r *Repository, s *State, commits []*gitrepo.Commit, ours map[pair]events.Image) ([]Request, error) {
	last := lastPersons(commits)
	if last == nil {
		return nil, nil
	}
	old, err := r.stateBefore(ctx, commits[0])
	if err != nil || old == nil {
		return nil, err
	}
	var all []Request
	for _, app := range r.touched(s) {
		was := old.Applications[app.Name]
		for image := range repositories(app) {
			to := current(app, image)
			from, moved := ours[pair{app.Name, image}]
			if !moved && was != nil {
				from = current(was, image)
			}
			if from == to || from.Reference() == "" {
				continue
			}
			back, err := d.goesBack(ctx, r, s, app, from, to)
			if err != nil {
				return nil, err
			}
			if !back {
				continue
			}
			for _, version := range d.passedOver(r, s, app, from, to) {
				all = append(all, revertOf(app, version, last))
			}
		}
	}
	return all, nil
}

// moves are where our own commits have moved references to, the last of each.
func moves(commits []*gitrepo.Commit) map[pair]events.Image {
	all := map[pair]events.Image{}
	for _, c := range commits {
		for _, change := range ParseMessage(c.Message()) {
			if to, ok := referenced(change.Image, change.To); ok {
				all[pair{change.Application, change.Image}] = to
			}
		}
	}
	return all
}

// lastPersons is the last commit that isn't the automator's.
func lastPersons(commits []*gitrepo.Commit) *gitrepo.Commit {
	var last *gitrepo.Commit
	for _, c := range commits {
		if len(ParseMessage(c.Message())) == 0 && !strings.Contains(c.Message(), askedTrailer+": ") {
			last = c
		}
	}
	return last
}

func repositories(app *Application) map[events.ImageRepository]bool {
	all := map[events.ImageRepository]bool{}
	for _, i := range app.Images {
		all[i.Image.Repository] = true
	}
	return all
}

func revertOf(app *Application, version events.Image, by *gitrepo.Commit) Request {
	q := Request{
		Application: app.Name.String(), By: strings.TrimSpace(by.Author()), At: by.When(), Reason: fmt.Sprintf("taken back in %.10s", by.Hash()),
	}.holding(version)
	q.ID = events.ChainFor("revert", by.Hash(), q.Application, q.Image, q.version())
	return q
}

// goesBack says whether from was written by the automator, and to is a former
// or an older version.
func (d *Deployer) goesBack(ctx context.Context, r *Repository, s *State, app *Application, from, to events.Image) (bool, error) {
	written, former := false, false
	err := r.mirror.Back(ctx, s.Head, remembered, func(c *gitrepo.Commit) bool {
		for _, change := range ParseMessage(c.Message()) {
			if change.Application != app.Name || change.Image != from.Repository {
				continue
			}
			written = written || change.To == from.Reference()
			former = former || change.From == to.Reference() || change.To == to.Reference()
		}
		return !written || !former
	})
	if err != nil || !written || former {
		return written && former, err
	}
	rule, _ := find(s.Rules, app.Name, from.Repository)
	if rule == nil || rule.broken != nil {
		return false, nil
	}
	return prefers(rule, from, to, births(d.Tags.Of(from.Repository))), nil
}

// stateBefore is what the repository said before a commit: from memory, else
// read again; nil where that can't be had.
func (r *Repository) stateBefore(ctx context.Context, first *gitrepo.Commit) (*State, error) {
	parent, ok := first.Parent()
	if !ok {
		return nil, nil
	}
	r.mu.Lock()
	before := r.before
	r.mu.Unlock()
	if before != nil && before.Head.Hash() == parent.Hash() {
		return before, nil
	}
	s, _, err := r.loader.load(ctx, nil, parent, nil)
	return s, err
}
