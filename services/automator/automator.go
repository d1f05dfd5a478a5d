// Package automator is the Deploy Automator: it notices new images, asks the
// deployment policies who wants them, and commits the new references to the
// config repos.
package automator

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/approval"
	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/services/automator/pullrequest"
	"github.com/slipway-cd/slipway/services/automator/server"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitconfig"
	"github.com/slipway-cd/slipway/shared/keyless"
	"github.com/slipway-cd/slipway/shared/registry"
	"github.com/slipway-cd/slipway/shared/service"
)

// Config is the whole config, of which the automator reads registries,
// repositories, automator and sweep.
type Config = service.Config

// Run runs the automator alone in this process until ctx ends.
func Run(ctx context.Context, cfg Config) error { return service.Run(ctx, cfg, Part()) }

// Part is the automator for a process that it may share.
func Part() service.Part {
	return service.Part{Name: "automator", Check: check, Run: run, Anew: true, API: true}
}

// check gives the faults of what is read from the config and its secrets.
func check(cfg Config) error {
	var faults []error
	fault := func(what string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", what, err))
		}
	}
	faults = append(faults, checkPolicies(cfg))
	for i, r := range cfg.Repositories {
		_, err := gitconfig.Options(cfg, r)
		fault(fmt.Sprintf("repositories[%d]", i), err)
	}
	_, err := registryHosts(cfg)
	faults = append(faults, err)
	_, err = server.NewPeople(cfg.Automator, time.Now)
	faults = append(faults, err)
	_, err = promote.ParseWording(cfg.Automator.Commit.Message)
	fault("automator.commit.message", err)
	_, _, err = cfg.Automator.Commit.Identity()
	fault("automator.commit.author", err)
	_, err = gitconfig.Signer(cfg.Automator.Commit)
	faults = append(faults, err)
	return errors.Join(faults...)
}

// checkPolicies gives the faults of what the config says of policies.
func checkPolicies(cfg Config) error {
	var faults []error
	for i, r := range cfg.Repositories {
		for j, p := range r.Policies {
			if _, err := api.ParsePatterns(p.Applications); err != nil {
				faults = append(faults, fmt.Errorf("repositories[%d].policies[%d].applications: %w", i, j, err))
			}
		}
	}
	return errors.Join(faults...)
}

// parts are the automator's, put together.
type parts struct {
	*service.Service
	queues    queues
	tags      *promote.Tags
	health    *promote.Health
	approvals *approval.Store
	due       *promote.Due
	pulls     *promote.Pulls
	waiting   *promote.Waiting
	repos     *promote.Repos
	sweeper   *promote.Sweeper
	confirmer *promote.Confirmer
	deployer  *promote.Deployer
	metrics   *promote.Metrics
}

func run(ctx context.Context, s *service.Service) error {
	p, err := assemble(ctx, s)
	if err != nil {
		return err
	}
	people, err := server.NewPeople(s.Config.Automator, time.Now)
	if err != nil {
		return err
	}
	if err := p.repos.WakeAll(ctx); err != nil {
		return fmt.Errorf("look at the repositories after the start: %w", err)
	}
	s.HandleAPI("/v1/", (&server.Server{People: people, Proposals: p.approvals, Applications: p.repos, Log: s.Log, Now: time.Now}).Handler())
	return p.run(ctx)
}

// assemble opens what the parts keep and puts them together.
func assemble(ctx context.Context, s *service.Service) (*parts, error) {
	p := &parts{Service: s}
	var err error
	if p.queues, err = openQueues(ctx, s); err != nil {
		return nil, err
	}
	registries, err := registryHosts(s.Config)
	if err != nil {
		return nil, err
	}
	client := registry.New(registries)
	if p.tags, err = promote.OpenTags(ctx, s.Bus); err != nil {
		return nil, err
	}
	announcer, err := promote.NewAnnouncer(ctx, s.Bus)
	if err != nil {
		return nil, err
	}
	if p.repos, err = openRepos(ctx, s, registries, p.queues.repos); err != nil {
		return nil, err
	}
	if p.repos.Heads, err = promote.OpenHeads(ctx, s.Bus); err != nil {
		return nil, err
	}
	if p.health, err = promote.OpenHealth(ctx, s.Bus, p.repos.WakeWaiting); err != nil {
		return nil, err
	}
	if p.approvals, err = approval.OpenStore(ctx, s.Bus, p.repos.WakePair); err != nil {
		return nil, err
	}
	if p.due, err = promote.OpenDue(ctx, s.Bus, p.queues.repos); err != nil {
		return nil, err
	}
	if p.waiting, err = promote.OpenWaiting(ctx, s.Bus); err != nil {
		return nil, err
	}
	p.repos.Waiting = p.waiting
	if p.pulls, err = promote.OpenPulls(ctx, s.Bus, hosts(s.Config)); err != nil {
		return nil, err
	}
	if p.metrics, err = promote.NewMetrics(s.Metrics); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	revisions := &promote.Revisions{Registry: client}
	p.sweeper = &promote.Sweeper{Health: p.health, Revisions: revisions, Aliases: s.Config.Aliases(), Tags: p.tags, Queue: p.queues.sweeps, Images: p.queues.images, Registry: client, Repos: p.repos, Bus: s.Bus, Log: s.Log, Interval: s.Config.Sweep.Interval}
	p.confirmer = &promote.Confirmer{Tags: p.tags, Queue: p.queues.images, Registry: client, Repos: p.repos, Aliases: s.Config.Aliases(), Log: s.Log}
	p.deployer, err = p.newDeployer(client, revisions, announcer)
	return p, err
}

// newDeployer makes the deployer of the parts that are there.
func (p *parts) newDeployer(client *registry.Client, revisions *promote.Revisions, announcer *promote.Announcer) (*promote.Deployer, error) {
	name, email, err := p.Config.Automator.Commit.Identity()
	if err != nil {
		return nil, fmt.Errorf("automator.commit.author: %w", err)
	}
	wording, err := promote.ParseWording(p.Config.Automator.Commit.Message)
	if err != nil {
		return nil, fmt.Errorf("automator.commit.message: %w", err)
	}
	signer, err := gitconfig.Signer(p.Config.Automator.Commit)
	if err != nil {
		return nil, err
	}
	sigstore := keyless.Configured(p.Config.Sigstore, filepath.Join(p.Config.Data, "automator-sigstore"))
	return &promote.Deployer{
		Repos: p.repos, Tags: p.tags, Health: p.health, Approvals: p.approvals, Due: p.due, Pulls: p.pulls, Waiting: p.waiting, Checker: &promote.Checker{Registry: client, Sigstore: sigstore}, Revisions: revisions, Bus: p.Bus, Log: p.Log,
		Name: name, Email: email, Signer: signer, Wording: wording, NewImages: p.sweeper.New, Announcer: announcer, Metrics: p.metrics,
	}, nil
}

// hosts gives the hosts of the config's pull requests, each made when it is
// first asked for.
func hosts(cfg Config) func(key string) (pullrequest.Host, error) {
	made := map[string]func() (pullrequest.Host, error){}
	for _, r := range cfg.Repositories {
		if name, err := r.Name(cfg.GitAliases()); err == nil {
			made[promote.Key(name, r.Branch)] = sync.OnceValues(func() (pullrequest.Host, error) { return pullrequest.New(r, pullrequest.Options{}) })
		}
	}
	return func(key string) (pullrequest.Host, error) { return made[key]() }
}

// run runs all parts until ctx ends.
func (p *parts) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, part := range []func(context.Context) error{p.tags.Run, p.repos.Heads.Run, p.health.Run, p.approvals.Run, p.pulls.Run, p.waiting.Run, p.due.Run, p.sweeper.Run, p.settle, p.askState} {
		group.Go(func() error { return part(ctx) })
	}
	group.Go(func() error { return p.queues.images.Run(ctx, p.confirmer.Work) })
	group.Go(func() error { return p.queues.repos.Run(ctx, p.deployer.Work) })
	group.Go(func() error { return p.queues.sweeps.Run(ctx, p.sweeper.Work) })
	for _, sub := range []struct {
		bus.Subscription
		handle bus.Handler
	}{
		{bus.Subscription{Name: "automator", Types: []events.Type{events.ArtifactPublishedType, events.ArtifactDeletedType}, Concurrency: 16}, p.confirmer.Handle},
		{bus.Subscription{Name: "automator-refs", Types: []events.Type{events.RefUpdatedType}}, p.repos.Handle},
		{bus.Subscription{Name: "automator-health", Types: []events.Type{
			events.PipelineRunFinishedType, events.ServiceDeployedType, events.ServiceUpgradedType, events.ServiceRolledBackType,
			events.IncidentDetectedType, events.IncidentResolvedType,
		}}, p.metrics.Measured(p.tags, p.Config.Aliases(), p.health.Handle)},
		{bus.Subscription{Name: "automator-failures", Types: []events.Type{events.PipelineRunFinishedType}}, p.repos.HandleFailure},
	} {
		group.Go(func() error { return p.Bus.Subscribe(ctx, sub.Subscription, sub.handle) })
	}
	return group.Wait()
}

// settle finishes what a replica that died had begun to tell of votes. It tries
// until ctx ends: the bus may be away at this moment.
func (p *parts) settle(ctx context.Context) error {
	if err := p.approvals.Ready(ctx); err != nil {
		return nil //nolint:nilerr // ctx has ended
	}
	_ = promote.Persist(ctx, p.Log, "tell of earlier votes", p.approvals.Settle) // errs when ctx has ended
	return nil
}

// askState has synchronizers tell what their applications run where nothing of
// it is known: at the first start, and when the bus was lost. It tries until ctx
// ends.
func (p *parts) askState(ctx context.Context) error {
	if err := p.health.Ready(ctx); err != nil || len(p.health.All()) > 0 {
		return nil //nolint:nilerr // ctx has ended
	}
	id := uuid.NewString()
	e, err := events.New(events.Meta{ID: id, Source: promote.Source, ChainID: events.ChainFor("state", id), Time: time.Now()}, events.StateRequested{By: "automator"})
	if err != nil {
		return fmt.Errorf("ask what applications run: %w", err)
	}
	ask := func(ctx context.Context) error { return p.Bus.Publish(ctx, e) }
	_ = promote.Persist(ctx, p.Log, "ask what applications run", ask) // errs when ctx has ended
	return nil
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
		{&q.images, "automator-images", bus.QueueOptions{Concurrency: 64, Group: hostOf, Home: bus.HomeLast, Backoff: bus.Backoff{First: 10 * time.Millisecond, Max: 5 * time.Minute}}},
		{&q.repos, "automator-repos", bus.QueueOptions{Concurrency: 16, Home: bus.HomeLast, Quiet: d.Quiet, Longest: d.Longest, Pace: d.Pace, Kind: promote.ItemKind, Group: hostOf}},
		{&q.sweeps, "automator-sweeps", bus.QueueOptions{Concurrency: 4, Group: hostOf, Home: bus.HomeLast}},
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
