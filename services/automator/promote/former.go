package promote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// errUntold says that no commit's message tells from what an application came to what it
// uses: a person moved it, or merged a request with a message of their own.
var errUntold = errors.New("no commit tells of it")

// readBack is how many former states are read, at most, to find other references.
const readBack = 20

// formers are the references to go back to.
func (d *Deployer) formers(ctx context.Context, r *Repository, s *State, app *Application, q Request) ([]events.Image, error) {
	if q.To != "" && isHex(q.To) && len(q.To) >= 7 {
		if at := d.find(ctx, r, s, q.To); at != nil {
			return d.asOf(ctx, r, s, app, at, q)
		}
	}
	all, err := d.told(ctx, r, s, app, q)
	if errors.Is(err, errUntold) {
		return d.before(ctx, r, s, app, q)
	}
	return all, err
}

// told are the references to go back to as the messages of our commits have them.
func (d *Deployer) told(ctx context.Context, r *Repository, s *State, app *Application, q Request) (all []events.Image, err error) {
	images, err := d.moved(ctx, r, s, app, q)
	if err != nil {
		return nil, err
	}
	held := s.holds[app.Name.String()]
	for _, image := range images {
		to, err := d.former(ctx, r, s, app, image, q.To, held)
		if err != nil {
			return nil, err
		}
		all = append(all, to)
	}
	return all, nil
}

// moved are the images that a rollback is of: the one that is named, else those
// that the application's last change moved.
func (d *Deployer) moved(ctx context.Context, r *Repository, s *State, app *Application, q Request) ([]events.ImageRepository, error) {
	if q.Image != "" {
		image, err := events.ParseImageRepository(q.Image, r.loader.aliases)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRequest, err)
		}
		if !uses(app, image) {
			return nil, fmt.Errorf("%w: %s doesn't use %s", ErrRequest, app.Name, image)
		}
		return []events.ImageRepository{image}, nil
	}
	var last []events.ImageRepository
	err := r.mirror.Back(ctx, s.Head, remembered, func(c *gitrepo.Commit) bool {
		for _, change := range ParseMessage(c.Message()) {
			if change.Application == app.Name && uses(app, change.Image) && change.To == current(app, change.Image).Reference() {
				last = append(last, change.Image)
			}
		}
		return len(last) == 0
	})
	switch {
	case err != nil || len(last) > 0:
		return last, err
	case q.To == "":
		return nil, errUntold
	default:
		return nil, fmt.Errorf("%w: none of the last %d commits of %s is a move of %s to what it uses now: name the image", ErrRequest, remembered, r.Key, app.Name)
	}
}

// former is the reference that an application had before the present one, or
// the version that is named; of held ones the one before.
func (d *Deployer) former(ctx context.Context, r *Repository, s *State, app *Application, image events.ImageRepository, version string, held heldVersions) (events.Image, error) {
	at := current(app, image).Reference()
	var found events.Image
	err := r.mirror.Back(ctx, s.Head, remembered, func(c *gitrepo.Commit) bool {
		for _, change := range ParseMessage(c.Message()) {
			if change.Application != app.Name || change.Image != image {
				continue
			}
			for _, reference := range []string{change.To, change.From} {
				candidate, ok := referenced(image, reference)
				_, isHeld := held.of(candidate, r.loader.aliases, d.now())
				switch {
				case !ok || reference == current(app, image).Reference():
				case version != "" && candidate.Tag == version:
					found = candidate
				case version == "" && reference == change.From && change.To == at && !isHeld:
					found = candidate
				case version == "" && reference == change.From && change.To == at:
					at = reference // held: further back
				}
				if found.Repository.Path != "" {
					return false
				}
			}
		}
		return true
	})
	if err != nil {
		return found, err
	}
	if found.Repository.Path != "" {
		return found, d.free(r, s, app, []events.Image{found})
	}
	if version != "" {
		for _, k := range d.Tags.Of(image) {
			if k.Tag == version && k.Digest != "" {
				found = events.Image{Repository: image, Tag: k.Tag, Digest: k.Digest}
				return found, d.free(r, s, app, []events.Image{found})
			}
		}
		return found, fmt.Errorf("%w: %s:%s is neither in the history of %s nor a known tag", ErrRequest, image, version, app.Name)
	}
	return found, errUntold
}

// referenced reads "tag[@digest]", "digest" or nothing behind a repository.
func referenced(repo events.ImageRepository, reference string) (events.Image, bool) {
	join := ":"
	if events.ValidDigest(reference) {
		join = "@"
	}
	i, err := events.ParseImage(repo.String()+join+reference, nil)
	return i, err == nil && reference != ""
}

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
		found, _, fault = d.others(ctx, r, app, c, q.Image)
		found = slices.DeleteFunc(found, func(i events.Image) bool { return i.Reference() == "" })
		if d.free(r, s, app, found) != nil {
			found = nil // further back
		}
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

// find gives the commit of that id, or of the only one that begins so.
func (d *Deployer) find(ctx context.Context, r *Repository, s *State, id string) *gitrepo.Commit {
	var found *gitrepo.Commit
	err := r.mirror.Back(ctx, s.Head, remembered, func(c *gitrepo.Commit) bool {
		if strings.HasPrefix(c.Hash(), id) {
			found = c
		}
		return found == nil
	})
	if err != nil {
		return nil
	}
	return found
}

// asOf are the references that an application had at a commit, where they
// differ from the present ones.
func (d *Deployer) asOf(ctx context.Context, r *Repository, s *State, app *Application, at *gitrepo.Commit, q Request) ([]events.Image, error) {
	all, readable, err := d.others(ctx, r, app, at, q.Image)
	switch {
	case err != nil:
		return nil, err
	case !readable:
		return nil, fmt.Errorf("%w: at commit %s there is no %s that can be read", ErrRequest, q.To, app.Name)
	case len(all) == 0:
		return nil, fmt.Errorf("%w: %s used the same images at commit %s", ErrRequest, app.Name, q.To)
	}
	return all, d.free(r, s, app, all)
}

// others are the references of an application at a commit that are others than now, of one
// image or, without a name, of all; readable is false where it can't be read there.
func (d *Deployer) others(ctx context.Context, r *Repository, app *Application, at *gitrepo.Commit, only string) (all []events.Image, readable bool, err error) {
	then, _, err := r.loader.load(ctx, nil, at, nil)
	if err != nil {
		return nil, false, err
	}
	was := then.Applications[app.Name]
	if was == nil || was.Blocked != nil {
		return nil, false, nil
	}
	for _, i := range was.Images {
		image := i.Image.Repository
		if uses(app, image) && current(app, image) != current(was, image) && !slices.Contains(all, current(was, image)) && (only == "" || only == image.String()) {
			all = append(all, current(was, image))
		}
	}
	return all, true, nil
}

// free says that images may be gone back to: that nothing holds any of them.
func (d *Deployer) free(r *Repository, s *State, app *Application, images []events.Image) error {
	for _, image := range images {
		if hold, held := s.holds[app.Name.String()].of(image, r.loader.aliases, d.now()); held {
			return fmt.Errorf("%w: %s %s: release it first", ErrRequest, image, why(hold))
		}
	}
	return nil
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
