// Package automator is the Deploy Automator: it notices new images, asks the
// deployment policies who wants them, and commits the new references to the
// config repos.
package automator

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/registry"
	"github.com/slipway-cd/slipway/shared/service"
)

// Config is the whole config, of which the automator reads registries,
// repositories, automator and sweep.
type Config = service.Config

// Run runs the automator alone in this process until ctx ends.
func Run(ctx context.Context, cfg Config) error { return service.Run(ctx, cfg, Part()) }

// Part is the automator for a process that it may share.
func Part() service.Part { return service.Part{Name: "automator", Check: check, Run: run} }

func check(cfg Config) error {
	for i, r := range cfg.Repositories {
		for j, p := range r.Policies {
			if _, err := api.ParsePatterns(p.Applications); err != nil {
				return fmt.Errorf("repositories[%d].policies[%d].applications: %w", i, j, err)
			}
		}
	}
	return nil
}

func run(ctx context.Context, s *service.Service) error {
	queues, err := openQueues(ctx, s)
	if err != nil {
		return err
	}
	client, err := registryClient(s.Config)
	if err != nil {
		return err
	}
	tags, err := promote.OpenTags(ctx, s.Bus)
	if err != nil {
		return err
	}
	announcer, err := promote.NewAnnouncer(ctx, s.Bus)
	if err != nil {
		return err
	}
	repos, err := promote.NewRepos(ctx, s.Config, queues.repos, s.Log)
	if err != nil {
		return err
	}
	name, email, err := s.Config.Automator.Commit.Identity()
	if err != nil {
		return fmt.Errorf("automator.commit.author: %w", err)
	}
	sweeper := &promote.Sweeper{Tags: tags, Queue: queues.sweeps, Registry: client, Repos: repos, Bus: s.Bus, Log: s.Log, Interval: s.Config.Sweep.Interval}
	confirmer := &promote.Confirmer{Tags: tags, Queue: queues.images, Registry: client, Repos: repos, Aliases: s.Config.Aliases(), Log: s.Log}
	deployer := &promote.Deployer{Repos: repos, Tags: tags, Bus: s.Bus, Log: s.Log, Name: name, Email: email, NewImages: sweeper.New, Announcer: announcer}
	if err := repos.WakeAll(ctx); err != nil {
		return fmt.Errorf("look at the repositories after the start: %w", err)
	}

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return tags.Run(ctx) })
	group.Go(func() error { return sweeper.Run(ctx) })
	group.Go(func() error { return queues.images.Run(ctx, confirmer.Work) })
	group.Go(func() error { return queues.repos.Run(ctx, deployer.Work) })
	group.Go(func() error { return queues.sweeps.Run(ctx, sweeper.Work) })
	group.Go(func() error {
		return s.Bus.Subscribe(ctx, bus.Subscription{Name: "automator", Types: []events.Type{events.ArtifactPublishedType}, Concurrency: 16}, confirmer.Handle)
	})
	group.Go(func() error {
		return s.Bus.Subscribe(ctx, bus.Subscription{Name: "automator-refs", Types: []events.Type{events.RefUpdatedType}}, repos.Handle)
	})
	return group.Wait()
}

type queues struct{ images, repos, sweeps *bus.Queue }

func openQueues(ctx context.Context, s *service.Service) (q queues, err error) {
	d := s.Config.Automator.Debounce
	for _, o := range []struct {
		into **bus.Queue
		name string
		opts bus.QueueOptions
	}{
		// A tag is often there a moment after its webhook: the first tries are
		// quick.
		{&q.images, "automator-images", bus.QueueOptions{Concurrency: 64, Group: hostOf, Backoff: bus.Backoff{First: 10 * time.Millisecond, Max: 5 * time.Minute}}},
		{&q.repos, "automator-repos", bus.QueueOptions{Concurrency: 16, Quiet: d.Quiet, Longest: d.Longest, Group: hostOf}},
		{&q.sweeps, "automator-sweeps", bus.QueueOptions{Concurrency: 4, Group: hostOf}},
	} {
		if *o.into, err = s.Bus.Queue(ctx, o.name, o.opts); err != nil {
			return q, fmt.Errorf("open queue %s: %w", o.name, err)
		}
	}
	return q, nil
}

// hostOf is the host of an image or Git repository, which its keys depend on.
func hostOf(key string) string {
	u, err := url.Parse("//" + key)
	if err != nil {
		return key
	}
	return u.Host
}

func registryClient(cfg Config) (*registry.Client, error) {
	var hosts []registry.Host
	for i, r := range cfg.Registries {
		user, password, err := r.Credentials.Basic()
		if err != nil {
			return nil, fmt.Errorf("registries[%d].credentials: %w", i, err)
		}
		hosts = append(hosts, registry.Host{
			Name: r.Host, Endpoint: r.Endpoint, Insecure: r.Insecure,
			User: user, Password: password, DockerConfig: r.Credentials.DockerConfig,
		})
	}
	return registry.New(hosts), nil
}
