package promote

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// errUntold says that no commit's message tells from what an application came to what it
// uses: a person moved it, or merged a request with a message of their own.
var errUntold = errors.New("no commit tells of it")

// readBack is how many former states are read, at most, to find other references.
const readBack = 20

// before are the references that an application had before its present ones, whoever moved
// it: those of the last head of the branch with others of which none is held.
func (d *Deployer) before(ctx context.Context, r *Repository, s *State, app *Application, q Request) (found []events.Image, err error) {
	was, err := s.Head.TreeHash(app.Path)
	if err != nil {
		return nil, err
	}
	reads, head := 0, s.Head.Hash()
	var fault error
	err = r.mirror.Back(ctx, s.Head, remembered, func(c *gitrepo.Commit) bool {
		if c.Hash() != head {
			return true // what was merged since may never have been the head
		}
		head = c.ParentHash()
		var tree string
		if tree, fault = c.TreeHash(app.Path); fault != nil || tree == was || tree == "" {
			return fault == nil
		}
		was = tree
		reads++
		found, fault = d.others(ctx, r, s, app, c, q.Image)
		return fault == nil && len(found) == 0 && reads < readBack
	})
	if err := errors.Join(err, fault); err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: nothing in the last %d commits of %s says what %s used before that isn't held: name the image and the version", ErrRequest, remembered, r.Key, app.Name)
	}
	return found, nil
}

// others are the references of an application at a commit that are others than now; none
// where one of them is held, or can't be read.
func (d *Deployer) others(ctx context.Context, r *Repository, s *State, app *Application, at *gitrepo.Commit, only string) (all []events.Image, err error) {
	then, _, err := r.loader.load(ctx, nil, at, nil)
	if err != nil {
		return nil, err
	}
	was := then.Applications[app.Name]
	if was == nil || was.Blocked != nil {
		return nil, nil
	}
	for image := range repositories(was) {
		to := current(was, image)
		if !uses(app, image) || to == current(app, image) || to.Reference() == "" || only != "" && only != image.String() {
			continue
		}
		if d.free(r, s, app, to) != nil {
			return nil, nil
		}
		all = append(all, to)
	}
	slices.SortFunc(all, func(a, b events.Image) int { return slices.Compare([]string{a.String()}, []string{b.String()}) })
	return all, nil
}
