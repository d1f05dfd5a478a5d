package promote

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/registry"
)

// undated are the tags whose images' times the rule compares, and for which
// the registry was never asked. When we heard of a tag is no substitute here.
func (r *Rule) undated(from events.Image, tags []Known) []string {
	created := map[string]time.Time{}
	for _, k := range tags {
		created[k.Tag] = k.Created
	}
	q := question(r, from, tags)
	q.Current.Created = created[from.Tag]
	for i, t := range q.Tags {
		q.Tags[i].Created = created[t.Name]
	}
	names, err := policy.Undated(r.Track, q)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(names, func(name string) bool {
		_, there := created[name]
		return !there
	})
}

// undated are the tags that some policy can't compare without asking.
func (s *Sweeper) undated(repo events.ImageRepository, tags []Known) []string {
	var all []string
	for _, r := range s.Repos.byKey {
		state := r.State()
		if state == nil {
			continue
		}
		for _, app := range state.Using(repo) {
			if rule, _ := find(state.Rules, app.Name, repo); rule != nil && rule.broken == nil {
				all = append(all, rule.undated(current(app, repo), tags)...)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// datedAtOnce is for how many tags one sweep asks; the next goes on at once.
const datedAtOnce = 500

// date asks for the times of images and keeps them, and has the repository
// swept again: what is youngest is only known when all of them are.
func (s *Sweeper) date(ctx context.Context, repo events.ImageRepository, tags []string) error {
	s.Log.InfoContext(ctx, "asking when images were made", "image", repo.String(), "tags", len(tags))
	var group errgroup.Group // one that fails stops no other
	group.SetLimit(4)
	var mu sync.Mutex
	var failed []error
	for _, tag := range tags[:min(len(tags), datedAtOnce)] {
		group.Go(func() error {
			if err := s.dateOne(ctx, events.Image{Repository: repo, Tag: tag}); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	return s.Queue.Put(ctx, repo.String(), sweep)
}

func (s *Sweeper) dateOne(ctx context.Context, image events.Image) error {
	at, err := date(ctx, s.Registry, image)
	if errors.Is(err, registry.ErrNotFound) {
		at = undatable // a tag without an image
	} else if err != nil {
		return err
	}
	return unlessChanged(func() error {
		known, _, err := s.Tags.Get(ctx, image)
		if err != nil || !known.Created.IsZero() {
			return err
		}
		known.Tag, known.Created = image.Tag, at
		return s.Tags.Put(ctx, image.Repository, known)
	})
}

// date asks for the time at which an image was made.
func date(ctx context.Context, r Resolver, image events.Image) (time.Time, error) {
	at, err := r.Created(ctx, image)
	if err != nil {
		return at, err
	}
	if !at.After(undatable) {
		return undatable, nil
	}
	return at.UTC(), nil
}
