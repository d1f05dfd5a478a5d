package promote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// remembered is how many commits are looked through for a former version.
const remembered = 1000

// serve does what was asked for, in one commit or, where the rule or the branch
// wants it so, by pull requests. What can't be done is told in the request's own
// chain, and stops no other.
func (d *Deployer) serve(ctx context.Context, r *Repository, s *State, requests []Request) (*State, error) {
	direct, pulled := requests, []Request(nil)
	if d.Waiting != nil {
		direct, pulled = s.byPull(requests)
	}
	now, err := d.serveDirect(ctx, r, s, direct)
	var refused error
	if errors.Is(err, gitrepo.ErrRefused) && d.Waiting != nil {
		d.Log.WarnContext(ctx, "the branch refused what was asked for: a person has to merge it", "repository", r.Key, "error", err.Error())
		now, pulled, refused, err = s, append(pulled, direct...), err, nil
	}
	if err != nil {
		return s, err
	}
	slices.SortStableFunc(pulled, func(a, b Request) int { return strings.Compare(a.Application, b.Application) })
	for len(pulled) > 0 {
		end := 1
		for end < len(pulled) && pulled[end].Application == pulled[0].Application {
			end++
		}
		if err := d.takeBack(ctx, r, now, pulled[:end], refused); err != nil {
			return now, err
		}
		pulled = pulled[end:]
	}
	return now, nil
}

func (d *Deployer) serveDirect(ctx context.Context, r *Repository, s *State, requests []Request) (*State, error) {
	b := batch{files: map[string][]byte{}}
	said, done, err := d.attemptAll(ctx, r, s, requests, &b)
	if err != nil || len(b.files) == 0 {
		return s, err
	}
	commit, err := r.mirror.Push(ctx, s.Head, d.change(b.files, askedMessage(said, b.changes, done)))
	d.Metrics.committed(err)
	if err != nil {
		return s, err
	}
	d.Log.InfoContext(ctx, "committed what was asked for", "repository", r.Key, "commit", commit.Hash(), "requests", len(done))
	if err := d.Announcer.Tell(ctx, r, commit); err != nil {
		return s, err
	}
	return r.advance(ctx, commit)
}

// attemptAll adds requests to the batch: done are those that can be, and said
// is what they do. The others are refused.
func (d *Deployer) attemptAll(ctx context.Context, r *Repository, s *State, requests []Request, b *batch) (said []string, done []Request, err error) {
	for _, q := range requests {
		does, err := d.attempt(ctx, r, s, q, b)
		if err != nil {
			if ctx.Err() != nil || !isRequest(err) {
				return nil, nil, err
			}
			if err := d.refuse(ctx, q, err); err != nil {
				return nil, nil, err
			}
			continue
		}
		done = append(done, q)
		if does != "" {
			said = append(said, does)
		}
	}
	return said, done, nil
}

// attempt adds one request to the batch, and says in words what it does; empty
// when Git is so already.
func (d *Deployer) attempt(ctx context.Context, r *Repository, s *State, q Request, b *batch) (string, error) {
	if err := q.Validate(); err != nil {
		return "", err
	}
	name, err := events.ParseApplication(q.Application)
	if err != nil {
		return "", err
	}
	if done, err := d.served(ctx, r, s, q); err != nil || done {
		return "", err
	}
	app := s.Applications[name]
	if app == nil {
		return "", fmt.Errorf("%w: %s has no application %s", ErrRequest, r.Key, name)
	}
	switch q.Kind {
	case Place:
		changed, err := b.hold(s, q)
		return said(changed, "hold "+q.Application+": "+q.version()), err
	case Release:
		changed, err := b.release(s, q)
		return said(changed, "release "+q.Application+": "+q.version()), err
	default:
		return d.rollback(ctx, r, s, app, q, b)
	}
}

// served says whether a commit did what was asked for already: a request may be
// worked on again after a crash.
func (d *Deployer) served(ctx context.Context, r *Repository, s *State, q Request) (done bool, err error) {
	const clocks = time.Hour
	err = r.mirror.Back(ctx, s.Head, remembered, func(c *gitrepo.Commit) bool {
		done = strings.Contains(c.Message(), ", "+q.ID+")")
		return !done && !c.When().Before(q.At.Add(-clocks))
	})
	return done, err
}

func said(changed bool, words string) string {
	if !changed {
		return ""
	}
	return words
}

func (q Request) version() string {
	if q.Tag != "" {
		return q.Tag
	}
	return q.Digest
}

// rollback puts former references in the place of the present ones, which are
// held from then on.
func (d *Deployer) rollback(ctx context.Context, r *Repository, s *State, app *Application, q Request, b *batch) (string, error) {
	if app.Blocked != nil {
		return "", fmt.Errorf("%w: %w", ErrRequest, app.Blocked)
	}
	targets, err := d.formers(ctx, r, s, app, q)
	if err != nil {
		return "", err
	}
	f := app.folder(manifest.Overlay(s.Head.FS(), b.files), r.loader.aliases)
	files, err := f.Promote(ctx, targets)
	together := maps.Clone(b.files)
	maps.Copy(together, files)
	if err == nil {
		err = s.bystanders(ctx, app, files, together, r.loader.aliases, func(*Application, events.Image) bool { return false })
	}
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if len(files) == 0 {
		return "", nil
	}
	maps.Copy(b.files, files)
	var versions []string
	for _, to := range targets {
		from := current(app, to.Repository)
		b.changes = append(b.changes, Change{Chain: q.ID, Application: app.Name, Image: to.Repository, From: from.Reference(), To: to.Reference()})
		versions = append(versions, to.Tag)
		for _, version := range d.passedOver(r, s, app, from, to) {
			if _, err := b.hold(s, q.holding(version)); err != nil {
				return "", err
			}
		}
	}
	return "roll back " + q.Application + " to " + strings.Join(versions, ", "), nil
}

// holding is the request for a hold on an image that comes with another request.
func (q Request) holding(image events.Image) Request {
	q.Kind, q.Image, q.Digest, q.Tag = Place, image.Repository.String(), image.Digest, ""
	if q.Digest == "" {
		q.Tag = image.Tag
	}
	return q
}

// maxPassed bounds how many versions one rollback holds.
const maxPassed = 50

// passedOver are the versions that a rollback holds: the present one, and those
// that the policy would choose over the former one at once. So a rollback lasts
// until something newer is pushed (ADR 2).
func (d *Deployer) passedOver(r *Repository, s *State, app *Application, from, to events.Image) []events.Image {
	var all []events.Image
	if from.Reference() != "" {
		all = append(all, from)
	}
	rule, _ := find(s.Rules, app.Name, to.Repository)
	if rule == nil || rule.broken != nil || rule.Mode == api.Never {
		return all
	}
	held := s.holds[app.Name.String()]
	q := question(rule, to, d.Tags.Of(to.Repository))
	for len(all) < maxPassed {
		q.Tags = slices.DeleteFunc(q.Tags, func(t policy.Tag) bool {
			_, isHeld := held.of(events.Image{Repository: to.Repository, Tag: t.Name, Digest: t.Digest}, r.loader.aliases, d.now())
			return isHeld || slices.ContainsFunc(all, func(i events.Image) bool { return i.Digest == t.Digest || i.Digest == "" && i.Tag == t.Name })
		})
		choice, err := policy.Choose(rule.Track, q)
		if err != nil || choice.Tag == "" {
			break
		}
		all = append(all, events.Image{Repository: to.Repository, Tag: choice.Tag, Digest: choice.Digest})
	}
	return all
}

// formers are the references to go back to.
func (d *Deployer) formers(ctx context.Context, r *Repository, s *State, app *Application, q Request) ([]events.Image, error) {
	if q.To != "" && isHex(q.To) && len(q.To) >= 7 {
		if at := d.find(ctx, r, s, q.To); at != nil {
			return d.asOf(ctx, r, s, app, at, q)
		}
	}
	images, err := d.moved(ctx, r, s, app, q)
	if errors.Is(err, errUntold) {
		return d.before(ctx, r, s, app, q)
	}
	if err != nil {
		return nil, err
	}
	held := s.holds[app.Name.String()]
	var all []events.Image
	for _, image := range images {
		to, err := d.former(ctx, r, s, app, image, q.To, held)
		if errors.Is(err, errUntold) {
			return d.before(ctx, r, s, app, q)
		}
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
	if err == nil && len(last) == 0 && q.To == "" {
		return nil, errUntold
	}
	if err == nil && len(last) == 0 {
		return nil, fmt.Errorf("%w: none of the last %d commits of %s is a move of %s to what it uses now: name the image", ErrRequest, remembered, r.Key, app.Name)
	}
	return last, err
}

func uses(app *Application, image events.ImageRepository) bool {
	return slices.ContainsFunc(app.Images, func(i manifest.Rendered) bool { return i.Image.Repository == image })
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
		return found, d.free(r, s, app, found)
	}
	if version != "" {
		for _, k := range d.Tags.Of(image) {
			if k.Tag == version && k.Digest != "" {
				found = events.Image{Repository: image, Tag: k.Tag, Digest: k.Digest}
				return found, d.free(r, s, app, found)
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
	then, _, err := r.loader.load(ctx, nil, at, nil)
	if err != nil {
		return nil, err
	}
	was := then.Applications[app.Name]
	if was == nil || was.Blocked != nil {
		return nil, fmt.Errorf("%w: at commit %s there is no %s that can be read", ErrRequest, q.To, app.Name)
	}
	var all []events.Image
	for _, i := range was.Images {
		image := i.Image.Repository
		if uses(app, image) && current(app, image) != current(was, image) && !slices.Contains(all, current(was, image)) && (q.Image == "" || q.Image == image.String()) {
			all = append(all, current(was, image))
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: %s used the same images at commit %s", ErrRequest, app.Name, q.To)
	}
	for _, image := range all {
		if err := d.free(r, s, app, image); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// free says that an image may be gone back to: that nothing holds it.
func (d *Deployer) free(r *Repository, s *State, app *Application, image events.Image) error {
	if hold, held := s.holds[app.Name.String()].of(image, r.loader.aliases, d.now()); held {
		return fmt.Errorf("%w: %s %s: release it first", ErrRequest, image, why(hold))
	}
	return nil
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
