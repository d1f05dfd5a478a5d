package promote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/registry"
)

// Lister lists the tags of a repository.
type Lister interface {
	Resolver
	Tags(ctx context.Context, image events.ImageRepository) ([]string, error)
}

// Sweeper finds the pushes that no webhook told of. Each image repository is
// swept by one replica at a time.
type Sweeper struct {
	Tags     *Tags
	Queue    *bus.Queue // keys: image repositories; items: sweep
	Registry Lister
	Repos    *Repos
	Bus      *bus.Bus
	Log      *slog.Logger
	Interval time.Duration

	mu    sync.Mutex
	swept map[events.ImageRepository]bool // since the start of this replica
}

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

// Run has every repository in use swept once an interval, until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	for {
		// A tenth of jitter keeps replicas apart.
		wait := s.Interval + time.Duration(rand.Int64N(int64(s.Interval)/10+1))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
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
	if err := s.Tags.Ready(ctx); err != nil {
		return fmt.Errorf("wait for known tags: %w", err)
	}
	if !s.wanted(repo) {
		return nil
	}
	names, err := s.Registry.Tags(ctx, repo)
	if errors.Is(err, registry.ErrNotFound) {
		return nil // nothing was ever pushed there
	}
	if err != nil {
		return err
	}
	known := s.Tags.Of(repo)
	has := map[string]bool{}
	for _, k := range known {
		has[k.Tag] = k.Digest != ""
	}
	var fresh []Known
	for _, name := range names {
		if !has[name] && events.ValidTag(name) {
			fresh = append(fresh, Known{Tag: name, Digest: unasked})
		}
	}
	for _, tag := range s.chosen(repo, append(known, fresh...)) {
		if err := s.tell(ctx, events.Image{Repository: repo, Tag: tag}); err != nil {
			return err
		}
	}
	return nil
}

// unasked stands for a digest while it is only asked which tag a policy would
// choose.
const unasked = "unasked"

// wanted says whether any rule may move the image: others are not swept.
func (s *Sweeper) wanted(repo events.ImageRepository) bool {
	for _, r := range s.Repos.byKey {
		state := r.State()
		if state == nil {
			return true
		}
		for _, app := range state.Using(repo) {
			if rule, _ := find(state.Rules, app.Name, repo); rule != nil {
				return true
			}
		}
	}
	return false
}

// chosen are the new tags that a policy would choose for some application.
func (s *Sweeper) chosen(repo events.ImageRepository, tags []Known) []string {
	set := map[string]bool{}
	for _, r := range s.Repos.byKey {
		state := r.State()
		if state == nil {
			continue
		}
		for _, app := range state.Using(repo) {
			d, ok := Decide(state, app, repo, tags)
			if ok && d.Outcome == events.Deploy && isUnasked(tags, d.Target.Tag) {
				set[d.Target.Tag] = true
			}
		}
	}
	var all []string
	for tag := range set {
		all = append(all, tag)
	}
	return all
}

func isUnasked(tags []Known, tag string) bool {
	for _, k := range tags {
		if k.Tag == tag {
			return k.Digest == unasked
		}
	}
	return false
}

// tell publishes what a webhook should have told.
func (s *Sweeper) tell(ctx context.Context, image events.Image) error {
	found, err := s.Registry.Resolve(ctx, image)
	if err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "the sweep found a push that no webhook told of", "image", image.String())
	delivery := events.Delivery{Source: "sweep", SenderID: image.String() + "@" + found.Digest}
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
