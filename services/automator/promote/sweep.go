package promote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/registry"
)

// Lister lists the tags of a repository.
type Lister interface {
	Resolver
	Tags(ctx context.Context, image events.ImageRepository) ([]string, error)
}

// Sweeper finds the pushes that no webhook told of, of images and to the config's
// repositories. Each repository is swept by one replica at a time.
type Sweeper struct {
	Tags     *Tags
	Queue    *bus.Queue // keys: image repositories; items: sweep
	Images   *bus.Queue // the [Confirmer]'s
	Registry Lister
	Repos    *Repos
	Bus      *bus.Bus
	Log      *slog.Logger
	Interval time.Duration
	// Health knows what applications run that others wait for or follow, and
	// Revisions of what images were built.
	Health    *Health
	Revisions *Revisions
	Aliases   events.Aliases

	mu    sync.Mutex
	swept map[events.ImageRepository]bool // since the start of this replica
}

// sweep is the item of who is to be swept: an image repository, or one of the config's.
const sweep = "sweep"

// New has repositories swept that this replica has not had swept yet: at the
// start all of them, later those that come into use.
func (s *Sweeper) New(ctx context.Context, repos []events.ImageRepository) error {
	for _, r := range repos {
		s.mu.Lock()
		known := s.swept[r]
		s.mu.Unlock()
		if known {
			continue
		}
		if err := s.Queue.Put(ctx, r.String(), sweep); err != nil {
			return err
		}
		s.mu.Lock()
		if s.swept == nil {
			s.swept = map[events.ImageRepository]bool{}
		}
		s.swept[r] = true
		s.mu.Unlock()
	}
	return nil
}

// Run has every image repository in use, and every branch of the config, swept once an
// interval, until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	for {
		// A tenth of jitter keeps replicas apart.
		wait := s.Interval + time.Duration(rand.Int64N(int64(s.Interval)/10+1))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		if err := s.Repos.sweep(ctx); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "can't queue a sweep of the config's repositories", "error", err.Error())
		}
		if err := s.Repos.Catch(ctx); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "sweep without some repositories", "error", err.Error())
		}
		for _, r := range s.Repos.byKey {
			state := r.State()
			if state == nil {
				continue
			}
			for _, image := range state.Repositories() {
				if err := s.Queue.Put(ctx, image.String(), sweep); err != nil {
					s.Log.WarnContext(ctx, "can't queue a sweep", "image", image.String(), "error", err.Error())
				}
			}
		}
	}
}

// Work sweeps one repository: tags that are new to us are recorded, and those
// that a policy would choose become events like any push.
func (s *Sweeper) Work(ctx context.Context, w bus.Work) error {
	repo, err := events.ParseImageRepository(w.Key, nil)
	if err != nil {
		return bus.Permanent(err)
	}
	if err := s.Tags.CatchUp(ctx); err != nil {
		return fmt.Errorf("wait for known tags: %w", err)
	}
	// Another replica may know better who uses it. What can't be read now is
	// swept for once it can, and told once for all images.
	if err := s.Repos.Catch(ctx); err != nil {
		s.Log.DebugContext(ctx, "sweep without some repositories", "image", repo.String(), "error", err.Error())
	}
	if !s.wanted(repo) {
		return nil
	}
	names, err := s.Registry.Tags(ctx, repo)
	if errors.Is(err, registry.ErrNotFound) {
		return s.vanished(ctx, repo, nil) // nothing was ever pushed there, or all of it is deleted
	}
	if err != nil {
		return err
	}
	if err := s.vanished(ctx, repo, names); err != nil {
		return err
	}
	tags, failed := s.look(ctx, repo, names)
	if undated := s.undated(repo, tags); len(undated) > 0 {
		return errors.Join(failed, s.date(ctx, repo, undated))
	}
	for _, k := range s.chosen(ctx, repo, tags) {
		if err := s.tell(ctx, repo, k); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// mostGone is of how many tags one sweep has the registry asked whether they are there:
// one that keeps little may have deleted thousands.
const mostGone = 100

// vanished has the registry asked for known tags that it doesn't list: what is deleted must
// not be deployed any more.
func (s *Sweeper) vanished(ctx context.Context, repo events.ImageRepository, names []string) error {
	listed := make(map[string]bool, len(names))
	for _, name := range names {
		listed[name] = true
	}
	n := 0
	for _, k := range s.Tags.Of(repo) {
		if k.Digest == "" || listed[k.Tag] {
			continue
		}
		if n++; n > mostGone {
			break
		}
		if err := s.Images.Put(ctx, repo.String(), gone+k.Tag); err != nil {
			return err
		}
	}
	return nil
}

// unasked stands for a digest while it is only asked which tag a policy would
// choose.
const unasked = "unasked"

// look gives the known tags and those that are new to us. Tags that are meant
// to move are asked for: their names don't tell of a push.
func (s *Sweeper) look(ctx context.Context, repo events.ImageRepository, names []string) (tags []Known, failed error) {
	all := map[string]Known{}
	for _, k := range s.Tags.Of(repo) {
		all[k.Tag] = k
	}
	moving := s.moving(repo)
	for _, name := range names {
		k := all[name]
		switch {
		case !events.ValidTag(name):
			continue
		case moving[name]:
			found, err := s.Registry.Resolve(ctx, events.Image{Repository: repo, Tag: name})
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			if k.Digest == found.Digest || (found.Mirror && k.Digest != "") {
				continue // a mirror may have what was there before
			}
			k.moved, k.Digest = k.Digest != "", found.Digest
		case k.Digest != "":
			continue
		default:
			k.Digest = unasked
		}
		k.Tag, k.found = name, true
		all[name] = k
	}
	return slices.Collect(maps.Values(all)), failed
}

// moving are the tags that digest tracks name for the repository.
func (s *Sweeper) moving(repo events.ImageRepository) map[string]bool {
	tags := map[string]bool{}
	for _, rule := range s.rules(repo) {
		if rule.broken == nil && rule.Track.Digest != nil {
			tags[rule.Track.Digest.Tag] = true
		}
	}
	return tags
}

// wanted says whether any rule may move the image: others are not swept.
func (s *Sweeper) wanted(repo events.ImageRepository) bool {
	for _, r := range s.Repos.byKey {
		if r.State() == nil {
			return true
		}
	}
	return len(s.rules(repo)) > 0
}

// rules are those that speak for an application with the image.
func (s *Sweeper) rules(repo events.ImageRepository) (all []*Rule) {
	for _, r := range s.Repos.byKey {
		state := r.State()
		if state == nil {
			continue
		}
		for _, app := range state.Using(repo) {
			if rule, _ := find(state.Rules, app.Name, repo); rule != nil {
				all = append(all, rule)
			}
		}
	}
	return all
}

// chosen are the found tags that a policy would choose for some application,
// and those that moved: what is known of them must not stay wrong.
func (s *Sweeper) chosen(ctx context.Context, repo events.ImageRepository, tags []Known) []Known {
	set := map[string]bool{}
	for _, r := range s.Repos.byKey {
		state := r.State()
		if state == nil {
			continue
		}
		for _, app := range state.Using(repo) {
			rule, _ := find(state.Rules, app.Name, repo)
			if rule == nil || rule.broken != nil || app.Blocked != nil || rule.Mode == api.Never {
				continue
			}
			set[missed(rule, current(app, repo), tags)] = true
			for _, tag := range s.proven(ctx, rule, app.Name, repo, tags) {
				set[tag] = true
			}
		}
	}
	var all []Known
	for _, k := range tags {
		if k.moved || (k.found && set[k.Tag]) {
			all = append(all, k)
		}
	}
	return all
}

// missed is the best of the found tags for an application, where it is better than what is in
// use; empty for none. What is known and not in use may be kept out: held, rejected, or waited
// for.
func missed(rule *Rule, from events.Image, tags []Known) string {
	q := question(rule, from, tags)
	for {
		choice, err := policy.Choose(rule.Track, q)
		if err != nil || choice.Tag == "" {
			return ""
		}
		if slices.ContainsFunc(tags, func(k Known) bool { return k.Tag == choice.Tag && k.found }) {
			return choice.Tag
		}
		q.Tags = slices.DeleteFunc(q.Tags, func(t policy.Tag) bool { return t.Name == choice.Tag })
	}
}

// tell publishes what a webhook should have told.
func (s *Sweeper) tell(ctx context.Context, repo events.ImageRepository, k Known) error {
	image := events.Image{Repository: repo, Tag: k.Tag}
	found, err := s.Registry.Resolve(ctx, image)
	if err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "the sweep found a push that no webhook told of", "image", image.String())
	// A tag that moves may come back to a digest: what we knew before keeps the
	// two apart.
	delivery := events.Delivery{Source: "sweep", SenderID: fmt.Sprintf("%s@%s after %d", image, found.Digest, k.revision)}
	chain, id := delivery.IDs()
	e, err := events.New(events.Meta{ID: id(0), Source: Source + "/sweep", ChainID: chain, Time: time.Now()}, events.ArtifactPublished{Artifact: events.Artifact{
		Registry: image.Repository.Host, Repository: image.Repository.Path, Tag: image.Tag,
		Digest: found.Digest, MediaType: found.MediaType, Provider: "sweep", Source: "sweep",
	}})
	if err != nil {
		return fmt.Errorf("tell of %s: %w", image, err)
	}
	if err := s.Bus.Publish(ctx, e); err != nil {
		return fmt.Errorf("tell of %s: %w", image, err)
	}
	return nil
}

var _ Lister = (*registry.Client)(nil)
