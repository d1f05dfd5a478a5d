// Package synchronizer is the Deploy Synchronizer: an operator inside the
// cluster that hears that Git moved, pulls the manifests, applies them,
// watches whether they work, and says so.
package synchronizer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/sync"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitconfig"
	"github.com/slipway-cd/slipway/shared/keyless"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/service"
)

// Name is the service's.
const Name = "synchronizer"

// Config is the whole config, of which the synchronizer reads cluster, data,
// registries, repositories and synchronizer.
type Config = service.Config

// Run runs the synchronizer alone in this process until ctx ends.
func Run(ctx context.Context, cfg Config) error { return service.Run(ctx, cfg, Part()) }

// Part is the synchronizer for a process that it may share.
func Part() service.Part { return service.Part{Name: Name, Check: check, Run: run, Anew: true} }

// check gives the faults of the config that only the synchronizer knows.
func check(cfg service.Config) error {
	var faults []error
	if cfg.Cluster == "" {
		faults = append(faults, errors.New("cluster: the synchronizer needs the name of its cluster"))
	}
	if len(cfg.Repositories) == 0 {
		faults = append(faults, errors.New("repositories: the synchronizer needs at least one"))
	}
	if _, err := repositories(cfg); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func run(ctx context.Context, s *service.Service) error {
	if err := check(s.Config); err != nil {
		return err
	}
	config, err := kube.Load(kube.Options{Kubeconfig: s.Config.Synchronizer.Kubeconfig, UserAgent: "slipway-synchronizer"})
	if err != nil {
		return fmt.Errorf("synchronizer.kubeconfig: %w", err)
	}
	clients, err := kube.New(config)
	if err != nil {
		return err
	}
	if err := install(ctx, clients, s.Log); err != nil {
		return err
	}
	known, err := repositories(s.Config)
	if err != nil {
		return err
	}
	var brain *sync.Brain // which the queues ask once they run
	parts, err := connect(ctx, s, clients, bus.QueueOptions{
		Concurrency: s.Config.Synchronizer.Concurrency,
		Group:       func(key string) string { return brain.Destination(key) },
		Home:        bus.HomePutter, // whoever looked at the branch has what its applications need, and wakes them
		Gone:        func(worked func(key string) bool) { brain.Gone(worked) },
	})
	if err != nil {
		return err
	}
	cfg := s.Config
	if err := os.RemoveAll(mirrorsOf(cfg).own()); err != nil {
		return fmt.Errorf("empty the folder of mirrors: %w", err)
	}
	brought, err := gitconfig.Bases(cfg, filepath.Join(cfg.Data, Name, "bases"))
	if err != nil {
		return err
	}
	brain = sync.New(sync.Config{
		Cluster: cfg.Cluster, Trusted: cfg.Synchronizer.Trusted, Concurrency: cfg.Synchronizer.Concurrency, DegradedAfter: cfg.Synchronizer.DegradedAfter, Sweep: cfg.Sweep.Interval,
		Repositories: known, Own: mirrorsOf(cfg).openOwn, Charts: chartClient(cfg), Sigstore: keyless.Configured(cfg.Sigstore, filepath.Join(cfg.Data, Name, "sigstore")), Bases: brought, Images: cfg.Aliases(), Git: cfg.GitAliases(),
		Source: "/synchronizer/" + cfg.Cluster, Held: bus.Held, Log: s.Log, Metrics: s.Metrics, Tracer: s.Bus.Tracer(),
	}, parts)
	return brain.Run(ctx)
}

// connect makes the queues and the subscription.
func connect(ctx context.Context, s *service.Service, clients *kube.Clients, ofApplications bus.QueueOptions) (sync.Parts, error) {
	name := Name + "-" + s.Config.Cluster
	repos, err := s.Bus.Queue(ctx, name+"-repos", bus.QueueOptions{Concurrency: s.Config.Synchronizer.Concurrency, Group: hostOf, Home: bus.HomeLast})
	if err != nil {
		return sync.Parts{}, fmt.Errorf("open the queue of branches: %w", err)
	}
	apps, err := s.Bus.Queue(ctx, name, ofApplications)
	if err != nil {
		return sync.Parts{}, fmt.Errorf("open the queue of applications: %w", err)
	}
	return sync.Parts{
		Bus: s.Bus, Repos: queue{repos}, Apps: queue{apps}, Clients: clients, WatchContext: ctx,
		Subscribe: func(ctx context.Context, handle func(context.Context, events.Event) error) error {
			return s.Bus.Subscribe(ctx, bus.Subscription{
				Name: name, Types: []events.Type{events.RefUpdatedType, events.ChangeMergedType, events.StateRequestedType},
			}, handle)
		},
	}, nil
}

func mirrorsOf(cfg service.Config) mirrors { return mirrors{cfg, filepath.Join(cfg.Data, Name, "git")} }

// repositories are those of the config, each opened when an application first
// uses one of its branches.
func repositories(cfg service.Config) ([]sync.Repository, error) {
	var all []sync.Repository
	var faults []error
	for i, r := range cfg.Repositories {
		name, err := r.Name(cfg.GitAliases())
		if err != nil {
			faults = append(faults, fmt.Errorf("repositories[%d].url: %w", i, err))
			continue
		}
		all = append(all, sync.Repository{
			Name: name, Credentials: cfg.GitCredentials(r.URL, r.Credentials) != service.Credentials{}, Open: mirrorsOf(cfg).opener(r, name),
		})
	}
	return all, errors.Join(faults...)
}
