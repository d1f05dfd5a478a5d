package promote_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/approval"
	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
	"github.com/slipway-cd/slipway/shared/registry"
	"github.com/slipway-cd/slipway/shared/service"
)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// catalog is a registry's answers. The real registry is e2e's.
type catalog struct {
	mu      sync.Mutex
	digests map[string]string
	created map[string]time.Time // by digest; the images that aren't here don't tell
	failing error
	mirror  bool // a mirror answers
	// revisions are by digest; asked are the images whose were asked for.
	revisions map[string]string
	asked     []string
}

func (c *catalog) Revision(_ context.Context, i events.Image) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, i.Tag)
	if c.failing != nil {
		return "", c.failing
	}
	digest := i.Digest
	if digest == "" {
		digest = c.digests[i.Repository.String()+":"+i.Tag]
	}
	revision, ok := c.revisions[digest]
	if !ok {
		return "", registry.ErrNotFound
	}
	return revision, nil
}

func (c *catalog) set(image, digest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.digests[image] = digest
}

func (c *catalog) Resolve(_ context.Context, i events.Image) (registry.Found, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failing != nil {
		return registry.Found{}, c.failing
	}
	d, ok := c.digests[i.Repository.String()+":"+i.Tag]
	if !ok {
		return registry.Found{}, registry.ErrNotFound
	}
	return registry.Found{Digest: d, Mirror: c.mirror}, nil
}

func (c *catalog) Created(_ context.Context, i events.Image) (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failing != nil {
		return time.Time{}, c.failing
	}
	if i.Tag == "" {
		return c.created[i.Digest], nil
	}
	d, ok := c.digests[i.Repository.String()+":"+i.Tag]
	if !ok {
		return time.Time{}, registry.ErrNotFound
	}
	return c.created[d], nil
}

func (c *catalog) Tags(_ context.Context, r events.ImageRepository) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var tags []string
	for image := range c.digests {
		if tag, ok := strings.CutPrefix(image, r.String()+":"); ok {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

// bench is an automator's inside on a real Git host and a real JetStream.
type bench struct {
	t      testing.TB
	server *gitrepotest.Server
	git    *gitrepotest.Work
	more   []service.Repository // of the config
	// documentsFrom are the repositories from which the first one takes documents.
	documentsFrom []string
	queue         *bus.Queue // of repositories
	bus           *bus.Bus
	repos         *promote.Repos
	tags          *promote.Tags
	confirm       *promote.Confirmer
	deploy        *promote.Deployer
	sweep         *promote.Sweeper
	health        *promote.Health
	votes         *approval.Store
	due           *promote.Due
	catalog       *catalog
	before        func(r *http.Request) // of each request to the Git host
	url           string
	key           string
}

func application(name, namespace, path string) string {
	return fmt.Sprintf("apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: %s, namespace: %s}\nspec:\n  source: {repository: REPO, branch: main, path: %s}\n", name, namespace, path)
}

func pod(image string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - image: " + image + " # here\n"
}

const policyFile = `apiVersion: slipway.dev/v1alpha1
kind: DeploymentPolicy
metadata: {name: shop}
spec:
  rules:
  - {applications: ["production/shop/*"], images: ["ghcr.io/acme/*"], track: {semver: ">=1 <2"}, mode: automatic}
`

func start(t testing.TB, files map[string]string) *bench {
	t.Helper()
	b := &bench{t: t, bus: bustest.Start(t), catalog: &catalog{digests: map[string]string{}, created: map[string]time.Time{}}}
	server := gitrepotest.Start(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if b.before != nil {
				b.before(r)
			}
			h.ServeHTTP(w, r)
		})
	})
	url := server.URL + "/config.git"
	all := map[string]string{
		"cluster/web.yaml": application("web", "shop", "apps/web"), "apps/web/pod.yaml": pod("ghcr.io/acme/web:1.0.0"), "policies/shop.yaml": policyFile,
	}
	maps.Copy(all, files)
	for name, data := range all {
		all[name] = strings.ReplaceAll(data, "REPO", url)
	}
	b.server, b.git = server, server.Create("config.git", all)
	b.url = url
	b.open(t, url)
	return b
}

// replica is another of the same automator, which has read nothing.
func (b *bench) replica() *bench {
	b.t.Helper()
	other := &bench{t: b.t, server: b.server, git: b.git, bus: b.bus, catalog: b.catalog, url: b.url, more: b.more, documentsFrom: b.documentsFrom}
	other.open(b.t, b.url)
	return other
}

// open makes the parts as the automator does.
func (b *bench) open(t testing.TB, url string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	cfg := service.Config{Data: t.TempDir(), Repositories: append([]service.Repository{{
		URL: url, Branch: "main", Roots: []service.Root{{Cluster: "production", Path: "cluster"}},
		Policies:      []service.PolicyPath{{Path: "policies", Applications: []string{"**"}}},
		DocumentsFrom: b.documentsFrom,
	}}, b.more...)}
	queue := func(name string) *bus.Queue {
		q, err := b.bus.Queue(t.Context(), name, bus.QueueOptions{})
		must(t, err)
		return q
	}
	var err error
	b.tags, err = promote.OpenTags(t.Context(), b.bus)
	must(t, err)
	run(t, b.tags.Run)
	must(t, b.tags.Ready(t.Context()))
	announcer, err := promote.NewAnnouncer(t.Context(), b.bus)
	must(t, err)
	b.queue = queue("repos")
	b.repos, err = promote.NewRepos(t.Context(), cfg, b.queue, log)
	must(t, err)
	b.repos.Heads, err = promote.OpenHeads(t.Context(), b.bus)
	must(t, err)
	run(t, b.repos.Heads.Run)
	name, err := events.ParseGitRepository(url, nil)
	must(t, err)
	b.key = string(name) + "@main"
	b.confirm = &promote.Confirmer{Tags: b.tags, Queue: queue("images"), Registry: b.catalog, Repos: b.repos, Log: log}
	b.health, err = promote.OpenHealth(t.Context(), b.bus, b.repos.WakeWaiting)
	must(t, err)
	b.votes, err = approval.OpenStore(t.Context(), b.bus, b.repos.WakePair)
	must(t, err)
	b.due, err = promote.OpenDue(t.Context(), b.bus, queue("repos"))
	must(t, err)
	run(t, b.health.Run, b.votes.Run)
	revisions := &promote.Revisions{Registry: b.catalog}
	b.sweep = &promote.Sweeper{Tags: b.tags, Queue: queue("sweeps"), Images: b.confirm.Queue, Registry: b.catalog, Repos: b.repos, Bus: b.bus, Log: log, Interval: time.Hour, Health: b.health, Revisions: revisions}
	b.deploy = &promote.Deployer{Repos: b.repos, Tags: b.tags, Bus: b.bus, Log: log, Name: "Slipway", Email: "s@example.com", Announcer: announcer, NewImages: b.sweep.New, Health: b.health, Approvals: b.votes, Due: b.due, Revisions: revisions}
}

// run keeps parts running until the test ends.
func run(t testing.TB, parts ...func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, part := range parts {
		all.Go(func() {
			if err := part(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pushed has an image arrive, as an event does, until it is a known tag.
func (b *bench) pushed(tag, digest string) {
	b.t.Helper()
	b.pushedImage("ghcr.io/acme/web", tag, digest)
}

func (b *bench) pushedImage(repo, tag, digest string) {
	b.t.Helper()
	b.catalog.set(repo+":"+tag, digest)
	e, err := events.New(events.Meta{ID: "id-" + repo + tag, Source: "/test", ChainID: "chain-" + tag, Time: time.Now()}, events.ArtifactPublished{Artifact: events.Artifact{
		Registry: "ghcr.io", Repository: strings.TrimPrefix(repo, "ghcr.io/"), Tag: tag, Provider: "test", Source: "test",
	}})
	must(b.t, err)
	must(b.t, b.confirm.Handle(b.t.Context(), e))
	must(b.t, b.confirm.Work(b.t.Context(), bus.Work{Key: repo, Items: []string{tag}, Since: time.Now()}))
}

func (b *bench) work(items ...string) error {
	return b.deploy.Work(b.t.Context(), bus.Work{Key: b.key, Items: items})
}

func (b *bench) told(types ...events.Type) []events.Event {
	b.t.Helper()
	var all []events.Event
	for s, err := range b.bus.Read(b.t.Context(), bus.ReadOptions{Types: types}) {
		must(b.t, err)
		all = append(all, s.Event)
	}
	return all
}

// decisions are the outcomes and reasons told, in order.
func (b *bench) decisions() []string {
	var all []string
	for _, e := range b.told(events.DecisionMadeType) {
		d := e.Payload.(events.DecisionMade)
		all = append(all, string(d.Outcome)+": "+d.Reason)
	}
	return all
}
