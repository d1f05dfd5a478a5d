// Package sync is the synchronizer's brain: it learns that a branch moved or
// that an Application changed, finds the applications that the change touches,
// brings each of them into the cluster, and says what became of it.
//
// Work lies in two durable queues, so that no crash loses any: one item per
// branch (fetch it, find what is touched) and one per application (render,
// apply). Waiting for health holds no worker: it is a state in memory that
// watch events wake, found again after a crash from the Application's status.
package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/util/workqueue"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/health"
	basefetch "github.com/slipway-cd/slipway/shared/bases/fetch"
	"github.com/slipway-cd/slipway/shared/charts/fetch"
	"github.com/slipway-cd/slipway/shared/keyless"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/tracing"
)

// Publisher stores events; nil means that all are stored.
type Publisher interface {
	Publish(ctx context.Context, evs ...events.Event) error
}

// Queue is a durable queue with one item per key at work at a time.
type Queue interface {
	Put(ctx context.Context, key string, w Wake) error
	Run(ctx context.Context, handle func(ctx context.Context, work Work) error) error
}

// Wake says why to look at a branch or an application.
type Wake struct {
	Reason string `json:"reason"`
	// Commit is the least that the branch's head must contain.
	Commit string `json:"commit,omitempty"`
	// Before is where the branch was, where that is told.
	Before string `json:"before,omitempty"`
	// Back says that the branch went back to Commit, or may have: a head that contains it,
	// and is another, may be from before.
	Back bool `json:"back,omitempty"`
	// Chain is that of the event that told of Commit, when it told no
	// application.
	Chain string `json:"chain,omitempty"`
}

// The reasons of a [Wake].
const (
	ReasonCommit = "commit" // the branch moved
	ReasonSpec   = "spec"   // the Application is new, changed or deleted
	ReasonStart  = "start"  // we were not looking for a while
	ReasonResync = "resync" // the safety net
	ReasonAsked  = "asked"  // a person wants it synced now, or no longer suspended
	// ReasonDependency says that one for which it waits got on.
	ReasonDependency = "dependency"
	// ReasonLeaving says that one to which it leaves objects got on.
	ReasonLeaving = "leaving"
	ReasonState   = "state" // somebody asked what runs
	ReasonSweep   = "sweep" // of branches, for pushes that no webhook told of
	// ReasonTag says that a tag moved, or that commits came.
	ReasonTag = "tag"
	// ReasonProject says that a Project says something else than before.
	ReasonProject = "project"
	// ReasonVariables says that a ConfigMap or Secret that it uses changed.
	ReasonVariables = "variables"
	ReasonDrift     = "drift" // the cluster is not as it was left
	ReasonStep      = "step"  // what a step waited for is ready, and there is more to do
)

// Work is everything that woke one key since it was last done.
type Work struct {
	Key   string
	Wakes []Wake
	Tries int
	Since time.Time
}

// any says whether one of the reasons is among those that woke.
func (w Work) any(reasons ...string) bool {
	return slices.ContainsFunc(w.Wakes, func(wake Wake) bool { return slices.Contains(reasons, wake.Reason) })
}

// Config is what a brain works with.
type Config struct {
	Cluster     string
	Trusted     []string // namespaces that act with our own rights
	Concurrency int
	// DegradedAfter is how long an application that was healthy may not be
	// ready before it is told to be degraded.
	DegradedAfter time.Duration
	Sweep         time.Duration // how often each branch is looked at; never when 0
	Repositories  []Repository
	// Own opens a repository of which the credentials are an Application's own.
	Own func(context.Context, Own) (Mirror, error)
	// Charts brings charts that lie outside of repositories.
	Charts *fetch.Client
	// Sigstore says whose signatures of charts count where an Application brings
	// no roots.
	Sigstore *keyless.Sigstore
	// Bases brings what kustomizations name beyond their repositories.
	Bases *basefetch.Client
	// Held says whether the work of a context is still ours alone.
	Held    func(ctx context.Context) bool
	Images  events.Aliases // of registries
	Git     events.Aliases // of Git hosts
	Source  string         // of our events, "/synchronizer/<cluster>"
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Tracer  *tracing.Tracer // nil traces nothing
}

// Parts are what a brain is connected to.
type Parts struct {
	Bus          Publisher
	Repos, Apps  Queue
	Clients      *kube.Clients
	WatchContext context.Context // of the watches; ends last
	// Subscribe delivers events to the handler until its context ends. It is
	// called when the Applications are known.
	Subscribe func(ctx context.Context, handle func(context.Context, events.Event) error) error
}

// Brain brings one cluster's applications in line with Git.
type Brain struct {
	cfg          Config
	me           string // this process: another replica, or the one before, is somebody else
	bus          Publisher
	repoQ        Queue
	appQ         Queue
	clients      *kube.Clients // of our own cluster, where the Applications are
	own          *cluster
	watchContext context.Context // of the watches of other clusters; they outlive the work that wants them

	clustersMu sync.Mutex
	clusters   map[string]*cluster // others, by Secret and version
	taken      map[string]*cluster // by application

	apps     *applications
	projects *projects
	repos    *repositories
	health   workqueue.TypedRateLimitingInterface[string]
	listen   func(context.Context, func(context.Context, events.Event) error) error
	notes    *notes
	metrics  *metrics
	log      *slog.Logger
	roots    keyless.Parsed // of Secrets
}

// New makes a brain. Nothing runs yet.
func New(cfg Config, parts Parts) *Brain {
	b := &Brain{
		cfg: cfg, me: rand.Text()[:12], listen: parts.Subscribe, bus: parts.Bus, repoQ: parts.Repos, appQ: parts.Apps, clients: parts.Clients, log: cfg.Log,
		health: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()),
		repos:  newRepositories(cfg.Repositories, cfg.Own, cfg.Git),
	}
	b.metrics = newMetrics(cfg.Metrics, func() int { return len(b.apps.keys()) }, b.countWatches, func() map[string]int { return b.apps.states() })
	b.apps = newApplications(b)
	b.projects = newProjects(parts.Clients.Dynamic, b.log, b.apps.wakeGoverned)
	b.watchContext, b.clusters, b.taken = parts.WatchContext, map[string]*cluster{}, map[string]*cluster{}
	b.own = b.newCluster(parts.WatchContext, cfg.Cluster, parts.Clients)
	b.notes = newNotes(parts.Clients.Dynamic, b.log)
	return b
}

// Run works until ctx ends, and returns when nothing is under way.
func (b *Brain) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var done sync.WaitGroup
	faults := make(chan error, 2)
	start := func(f func(context.Context) error) {
		done.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				faults <- err
				cancel()
			}
		})
	}
	start(func(ctx context.Context) error { b.notes.run(ctx); return nil })
	start(b.projects.run)
	start(b.apps.run)
	if err := errors.Join(b.projects.synced(ctx), b.apps.synced(ctx)); err != nil {
		cancel()
		done.Wait()
		return err
	}
	for _, key := range b.apps.keys() {
		b.health.Add(key) // what was healthy is watched over
	}
	start(b.apps.store)
	start(func(ctx context.Context) error { b.sweep(ctx); return nil })
	start(func(ctx context.Context) error { return b.listen(ctx, b.Handle) })
	start(func(ctx context.Context) error { return b.repoQ.Run(ctx, b.repoWork) })
	start(func(ctx context.Context) error { return b.appQ.Run(ctx, b.appWork) })
	for range max(b.cfg.Concurrency, 1) {
		start(func(ctx context.Context) error { b.healthLoop(ctx); return nil })
	}
	<-ctx.Done()
	b.health.ShutDown()
	b.apps.wakeups.ShutDown()
	b.apps.stopTimers()
	done.Wait()
	for _, c := range b.allClusters() {
		c.watches.Wait()
	}
	select {
	case err := <-faults:
		return fmt.Errorf("synchronizer: %w", err)
	default:
		return nil
	}
}

// Handle takes an event: its first act, and its only one, is a durable
// wake-up of the branch. Events of branches that no application uses are
// nothing to us.
func (b *Brain) Handle(ctx context.Context, e events.Event) error {
	switch p := e.Payload.(type) {
	case events.RefUpdated:
		return b.wakePlaces(ctx, p, e.ChainID)
	case events.ChangeMerged:
		return b.wakePlaces(ctx, events.RefUpdated{Repository: p.Repository, Ref: branchPrefix + p.Branch, After: p.Commit}, "")
	case events.StateRequested:
		if p.Cluster != "" && p.Cluster != b.cfg.Cluster {
			return nil
		}
		for _, key := range b.apps.keys() {
			if err := b.appQ.Put(ctx, key, Wake{Reason: ReasonState, Chain: e.ChainID}); err != nil {
				return err
			}
		}
	}
	return nil
}

// wakePlaces wakes what follows a ref that moved.
func (b *Brain) wakePlaces(ctx context.Context, e events.RefUpdated, chain string) error {
	for key, p := range b.apps.places() {
		if w, concerned := p.moved(e, chain); concerned {
			if err := b.repoQ.Put(ctx, key, w); err != nil {
				return err
			}
		}
	}
	return nil
}

// changed is told by the watches. It only wakes.
func (b *Brain) changed(c *cluster, scope kube.Scope, before, kept any) {
	seen, ok := kept.(*health.Seen)
	if !ok {
		return
	}
	owners := [2]string{seen.Owner}
	if was, ok := before.(*health.Seen); ok && was.Owner != seen.Owner {
		owners[1] = was.Owner // somebody took our name off, or put another's on
	}
	if c == b.own {
		b.apps.wakeSourced(source{scope.Resource, seen.Namespace, seen.Name})
	}
	if health.IsPod(scope) && owners == [2]string{} {
		for _, key := range b.apps.waitingIn(seen.Namespace) {
			b.health.Add(key)
		}
		return
	}
	for _, owner := range owners {
		name, err := events.ParseApplication(owner)
		if err != nil || name.Cluster != b.cfg.Cluster {
			continue
		}
		if key := name.Namespace + "/" + name.Name; b.apps.isWatched(key) {
			b.health.Add(key)
		}
	}
}

// dropped is told of a watch whose kind isn't served, such as one whose
// definition was made this moment. Those who wait look again soon, which
// starts it anew; so do those who guard objects of that kind, who would hear of
// no change otherwise.
func (b *Brain) dropped(scope kube.Scope) {
	const soon, later = 200 * time.Millisecond, time.Second
	for _, key := range b.apps.waitingIn("") {
		b.health.AddAfter(key, soon)
	}
	for _, key := range b.apps.guardedOf(scope.Resource) {
		b.health.AddAfter(key, later)
	}
}

func (b *Brain) healthLoop(ctx context.Context) {
	for {
		key, shutdown := b.health.Get()
		if shutdown {
			return
		}
		err := b.look(ctx, key)
		b.health.Done(key)
		switch {
		case err == nil:
			b.health.Forget(key)
		case ctx.Err() == nil && !errors.Is(err, errOvertaken):
			b.log.Warn("health: try again", "application", key, "error", err)
			b.health.AddRateLimited(key)
		}
	}
}
