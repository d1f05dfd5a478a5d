package promote

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
)

// trees are the ids of the changes' applications' folders, by their paths.
func (s *State) trees(changes []Change) (map[string]string, error) {
	paths := make([]string, 0, len(changes))
	for _, c := range changes {
		paths = append(paths, s.Applications[c.Application].Path)
	}
	return s.ids(paths...)
}

// ids are those of folders and files of the head, by path; empty where there is none.
func (s *State) ids(paths ...string) (map[string]string, error) {
	all := map[string]string{}
	for _, path := range paths {
		id, err := s.Head.TreeHash(path)
		if err != nil {
			return nil, err
		}
		all[path] = id
	}
	return all, nil
}

// fresh says whether all is as it was when a pull request was made, and was so since all was
// decided last: what was merged and then taken back is as it was, and the request is over.
func (r *Repository) fresh(s *State, p pull) (bool, error) {
	now, err := s.trees(p.Changes)
	if err != nil || !maps.Equal(now, p.Trees) {
		return false, err
	}
	passed, err := r.passed(p)
	return !passed, err
}

// passed says whether a commit since all was decided last has another folder than that of
// which a pull request was made.
func (r *Repository) passed(p pull) (bool, error) {
	for _, c := range r.since {
		for path, id := range p.Trees {
			if at, err := c.TreeHash(path); err != nil || at != id {
				return err == nil, err
			}
		}
	}
	return false, nil
}

// passPulls has the applications of pull requests decided on whose folders were changed, and
// perhaps changed back.
func (d *Deployer) passPulls(r *Repository) error {
	if d.Pulls == nil || len(r.since) == 0 {
		return nil
	}
	for _, v := range d.Pulls.open(r.Key) {
		passed, err := r.passed(v.Value)
		if err != nil {
			return err
		}
		if !passed {
			continue
		}
		for _, c := range v.Value.Changes {
			r.reconsider(c.Application)
		}
	}
	return nil
}

// moved are the files with all changes made. The error is errUnmade where one
// can't be made safely.
func (s *State) moved(ctx context.Context, changes []Change, aliases events.Aliases) (map[string][]byte, error) {
	files := map[string][]byte{}
	for i := 0; i < len(changes); {
		app := s.Applications[changes[i].Application]
		var targets []events.Image
		for ; i < len(changes) && changes[i].Application == app.Name; i++ {
			target, ok := referenced(changes[i].Image, changes[i].To)
			if !ok {
				return nil, fmt.Errorf("%w: %s %q is no reference", errUnmade, changes[i].Image, changes[i].To)
			}
			targets = append(targets, target)
		}
		edited, err := app.folder(manifest.Overlay(s.Head.FS(), files), aliases).Promote(ctx, targets)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, fmt.Errorf("%w: %s: %w", errUnmade, app.Name, err)
		}
		maps.Copy(files, edited)
		err = s.bystanders(ctx, app, edited, files, aliases, func(other *Application, to events.Image) bool {
			return slices.ContainsFunc(changes, func(c Change) bool {
				return c.Application == other.Name && c.Image == to.Repository && c.To == to.Reference()
			})
		})
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errUnmade, app.Name, err)
		}
	}
	return files, nil
}
