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
// until something newer is pushed (ADR 2). Where people say yes to each version,
// those that are newer than the present one go on waiting for that.
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
	known := d.Tags.Of(to.Repository)
	q, born := question(rule, to, known), births(known)
	q.Tags = slices.DeleteFunc(q.Tags, func(t policy.Tag) bool {
		image := events.Image{Repository: to.Repository, Tag: t.Name, Digest: t.Digest}
		_, isHeld := held.of(image, r.loader.aliases, d.now())
		return isHeld || rule.asks() && prefers(rule, image, from, born)
	})
	for len(all) < maxPassed {
		q.Tags = slices.DeleteFunc(q.Tags, func(t policy.Tag) bool {
			return slices.ContainsFunc(all, func(i events.Image) bool { return i.Digest == t.Digest || i.Digest == "" && i.Tag == t.Name })
		})
		choice, err := policy.Choose(rule.Track, q)
		if err != nil || choice.Tag == "" {
			break
		}
		all = append(all, events.Image{Repository: to.Repository, Tag: choice.Tag, Digest: choice.Digest})
	}
	return all
}

func uses(app *Application, image events.ImageRepository) bool {
	return slices.ContainsFunc(app.Images, func(i manifest.Rendered) bool { return i.Image.Repository == image })
}
