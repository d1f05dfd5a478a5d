package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/service"
)

const (
	syncRegistry = "registry.example.com"
	syncPatience = 40 * time.Second
)

// syncBed is a synchronizer with everything that it works with, all real: a
// control plane, a registry, git's own server and JetStream. No hook tells of
// pushes: the test does, so that it can also not.
type syncBed struct {
	cluster  *parts.Cluster
	registry *parts.Registry
	hosting  parts.GitHTTPOptions
	host     *parts.GitHTTP
	url      string // of the config repo
	work     string // a clone of it
	bus      *bus.Bus
	busURL   string
	data     string
	repos    []service.Repository // of the config; the config repo where there are none
	trusted  []string             // of the config; shop where there are none
	sweep    time.Duration        // of the config; never when 0
	stop     func()

	mu    sync.Mutex
	heard []events.Event
}

func newSyncBed(t testing.TB) *syncBed {
	t.Helper()
	b := &syncBed{work: t.TempDir(), data: t.TempDir()}
	var err error
	b.registry, err = parts.StartRegistry(t.Context(), parts.RegistryOptions{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { _ = b.registry.Stop() })
	b.cluster, err = parts.StartCluster(t.Context(), parts.ClusterOptions{
		Dir: t.TempDir(), RegistryAliases: map[string]string{syncRegistry: b.registry.Addr},
	})
	must(t, err)
	t.Cleanup(func() { _ = b.cluster.Stop() })
	b.hosting = parts.GitHTTPOptions{Dir: t.TempDir()}
	b.host, err = parts.StartGitHTTP(t.Context(), b.hosting)
	must(t, err)
	t.Cleanup(func() { _ = b.host.Stop() })
	b.hosting.Addr = strings.TrimPrefix(b.host.URL, "http://")
	b.url, err = b.host.CreateRepo(t.Context(), "acme/config")
	must(t, err)
	b.git(t, "init", "--quiet", "--initial-branch=main")
	b.git(t, "remote", "add", "origin", b.url)
	server := bustest.Server(t)
	b.busURL = server.URL()
	b.bus = bustest.Connect(t, b.busURL)
	b.listen(t)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *syncBed) git(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = b.work
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=m", "GIT_AUTHOR_EMAIL=m@x", "GIT_COMMITTER_NAME=m", "GIT_COMMITTER_EMAIL=m@x")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// push commits files (nil content removes) and gives the commit.
func (b *syncBed) push(t testing.TB, message string, files map[string]string) string {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(b.work, name)
		if content == "" {
			must(t, os.Remove(file))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, []byte(content), 0o644))
	}
	b.git(t, "add", "--all")
	b.git(t, "commit", "--quiet", "--message", message)
	b.git(t, "push", "--quiet", "--force", "origin", "main")
	return b.git(t, "rev-parse", "HEAD")
}

// tell publishes what the Git host's hook would have said.
func (b *syncBed) tell(t testing.TB, commit string) {
	t.Helper()
	name, err := events.ParseGitRepository(b.url, nil)
	must(t, err)
	e, err := events.New(events.Meta{
		ID: "hook-" + commit, Source: "/git-receiver/test", ChainID: "hook-chain-" + commit, Time: time.Now(),
	}, events.RefUpdated{Repository: name, Ref: "refs/heads/main", After: commit, Provider: "test", Source: "test"})
	must(t, err)
	must(t, b.bus.Publish(t.Context(), e))
}

func (b *syncBed) listen(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var done sync.WaitGroup
	done.Go(func() {
		_ = b.bus.Subscribe(ctx, bus.Subscription{Name: "test"}, func(_ context.Context, e events.Event) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.heard = append(b.heard, e)
			return nil
		})
	})
	t.Cleanup(func() { cancel(); done.Wait() })
}

// start runs a synchronizer, whose stop function waits for its end.
func (b *syncBed) start(t testing.TB) {
	t.Helper()
	var log io.Writer = io.Discard
	if os.Getenv("SLIPWAY_TEST_LOG") != "" {
		log = os.Stderr
	}
	repos, trusted := b.repos, b.trusted
	if repos == nil {
		repos, trusted = []service.Repository{{URL: b.url, Branch: "main"}}, []string{"shop"}
	}
	conn, err := bus.Connect(t.Context(), bus.Options{Name: "synchronizer", URL: b.busURL, Log: bustest.Silent()})
	must(t, err)
	s := &service.Service{
		Name: "synchronizer", Bus: conn, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Config: service.Config{
			Cluster: "test", Data: b.data,
			Repositories: repos, Sweep: service.Sweep{Interval: b.sweep},
			Synchronizer: service.Synchronizer{Kubeconfig: b.cluster.Kubeconfig, Trusted: trusted, Concurrency: 8},
		},
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- synchronizer.Part().Run(ctx, s) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the synchronizer ended: %v", err)
		}
		conn.Close()
	})
	t.Cleanup(func() { b.stop() })
}

func (b *syncBed) image(t testing.TB, repo, tag string) string {
	t.Helper()
	_, err := parts.PushImage(t.Context(), b.registry.Addr, repo, tag, parts.ImageOptions{})
	must(t, err)
	return syncRegistry + "/" + repo + ":" + tag
}

// status reads an Application's status.
func (b *syncBed) status(t testing.TB, namespace, name string) (api.ApplicationStatus, error) {
	t.Helper()
	out, err := b.cluster.Kubectl(t.Context(), "get", "applications.slipway.dev", "-n", namespace, name, "-o", "json")
	if err != nil {
		return api.ApplicationStatus{}, err
	}
	var application api.Application
	if err := json.Unmarshal([]byte(out), &application); err != nil || application.Status == nil {
		return api.ApplicationStatus{}, fmt.Errorf("no status yet: %w", err)
	}
	return *application.Status, nil
}

// becomes waits until the Ready condition of an Application is as wanted at a
// commit, with all parts in its message.
func (b *syncBed) becomes(t testing.TB, namespace, name, ready, commit string, kinds ...string) api.ApplicationStatus {
	t.Helper()
	var last api.ApplicationStatus
	must(t, parts.Eventually(t.Context(), syncPatience, func() (err error) {
		if last, err = b.status(t, namespace, name); err != nil {
			return err
		}
		c := last.Condition(api.ConditionReady)
		if c == nil || c.Status != ready || last.Attempted != commit {
			return fmt.Errorf("%s/%s: attempted %s (want %s), Ready is %+v", namespace, name, last.Attempted, commit, c)
		}
		for _, part := range kinds {
			if !strings.Contains(c.Message, part) {
				return fmt.Errorf("%s/%s: message %q does not say %q", namespace, name, c.Message, part)
			}
		}
		return nil
	}))
	return last
}

// hears waits for an event of a type about a commit that satisfies ok.
func (b *syncBed) hears(t testing.TB, kind events.Type, app string, ok func(events.Event) bool) events.Event {
	t.Helper()
	var found events.Event
	err := parts.Eventually(t.Context(), syncPatience, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, e := range b.heard {
			if e.Type() == kind && e.Payload.Key() == app && ok(e) {
				found = e
				return nil
			}
		}
		var all []string
		for _, e := range b.heard {
			all = append(all, string(e.Type())+" "+e.Payload.SubjectID()+" "+e.ChainID)
		}
		return fmt.Errorf("no %s of %s among\n%s", kind, app, strings.Join(all, "\n"))
	})
	must(t, err)
	return found
}

func application(namespace, name, url, path, more string) string {
	return fmt.Sprintf("apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: %s, namespace: %s}\nspec:\n  source: {repository: %q, branch: main, path: %s}\n%s---\n",
		name, namespace, url, path, more)
}

func webManifest(name, image string) string {
	return fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %[1]s}\nspec:\n  selector: {matchLabels: {app: %[1]s}}\n  template:\n    metadata: {labels: {app: %[1]s}}\n    spec: {containers: [{name: main, image: %[2]q}]}\n", name, image)
}

func settings(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {value: %q}\n", name, value)
}

func hasOutcome(outcome string, parts ...string) func(events.Event) bool {
	return func(e events.Event) bool {
		p, ok := e.Payload.(events.PipelineRunFinished)
		return ok && p.Outcome == outcome && !slices.ContainsFunc(parts, func(s string) bool { return !strings.Contains(p.Errors+p.Commit, s) })
	}
}

func onChain(id string) func(events.Event) bool {
	return func(e events.Event) bool { return e.ChainID == id }
}

func TestSynchronizer(t *testing.T) {
	t.Parallel()
	b := newSyncBed(t)
	outer := t
	one, two := b.image(t, "acme/web", "1.0.0"), b.image(t, "acme/web", "1.1.0")
	first := b.push(t, "first", map[string]string{
		"apps/web/web.yaml": webManifest("web", one), "apps/web/old.yaml": settings("old", "x"),
		"apps/other/cm.yaml":                settings("other", "1"),
		"apps/kust/base/cm.yaml":            settings("kust", "base"),
		"apps/kust/base/kustomization.yaml": "resources: [cm.yaml]\n",
		"apps/kust/prod/kustomization.yaml": "namePrefix: prod-\nresources: [../base]\n",
	})
	b.start(t)
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		_, err := b.cluster.Kubectl(t.Context(), "get", "applications.slipway.dev", "-A")
		return err
	}))
	must(t, b.cluster.Apply(t.Context(), "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: tenant}\n"))
	must(t, b.cluster.Apply(t.Context(), application("shop", "web", b.url, "apps/web", "  sync: {timeout: 4s}\n")+
		application("shop", "other", b.url, "apps/other", "")+application("shop", "kust", b.url, "apps/kust/prod", "")))

	t.Run("a first deployment becomes healthy", func(t *testing.T) {
		s := b.becomes(t, "shop", "web", "True", first)
		if s.Revision != first || s.Healthy != first || !slices.Equal(s.Images, []string{one}) || len(s.Inventory) != 2 || s.Inventory[0].State != api.Applied || s.Inventory[0].UID == "" {
			t.Errorf("status %+v", s)
		}
		b.becomes(t, "shop", "kust", "True", first)
		b.becomes(t, "shop", "other", "True", first)
		e := b.hears(t, events.ServiceDeployedType, "test/shop/web", func(events.Event) bool { return true })
		b.hears(t, events.PipelineRunStartedType, "test/shop/web", onChain(e.ChainID))
		b.hears(t, events.PipelineRunFinishedType, "test/shop/web", hasOutcome(events.Success, first))
		_, err := b.cluster.Kubectl(t.Context(), "wait", "--for=condition=Ready", "-n", "shop", "applications.slipway.dev/web", "--timeout=5s")
		must(t, err)
		table, err := b.cluster.Kubectl(t.Context(), "get", "applications.slipway.dev", "-n", "shop")
		must(t, err)
		t.Logf("\n%s", table)
		got, err := b.cluster.Kubectl(t.Context(), "get", "configmap", "-n", "shop", "prod-kust", "-o", "jsonpath={.metadata.annotations.slipway\\.dev/owner}")
		if err != nil || got != "test/shop/kust" {
			t.Errorf("owner %q: %v", got, err)
		}
	})

	t.Run("an upgrade goes on with its own chain and touches nobody else", func(t *testing.T) {
		started := time.Now()
		c := b.push(t, "web 1.1.0\n\nSlipway-Chain: chain-a test/shop/web "+two+"@sha256:"+strings.Repeat("a", 64)+"\nSlipway-Chain: chain-z test/shop/zzz x@y\n",
			map[string]string{"apps/web/web.yaml": webManifest("web", two), "apps/web/old.yaml": ""})
		pushed := time.Now()
		b.tell(t, c)
		b.becomes(t, "shop", "web", "True", c)
		t.Logf("push %s, told to healthy %s", pushed.Sub(started), time.Since(pushed))
		b.hears(t, events.ServiceUpgradedType, "test/shop/web", onChain("chain-a"))
		if s, err := b.status(t, "shop", "other"); err != nil || s.Attempted != first {
			t.Errorf("other was touched: %+v %v", s, err)
		}
		if _, err := b.cluster.Kubectl(t.Context(), "get", "configmap", "-n", "shop", "old"); err == nil {
			t.Error("what is gone from Git was not pruned")
		}
	})

	t.Run("an image that is not there fails with the pod's words, and a newer commit pre-empts", func(t *testing.T) {
		c := b.push(t, "bad", map[string]string{"apps/web/web.yaml": webManifest("web", syncRegistry+"/acme/web:9.9.9")})
		b.tell(t, c)
		b.becomes(t, "shop", "web", "False", c, "not healthy", "mage")
		b.hears(t, events.PipelineRunFinishedType, "test/shop/web", hasOutcome(events.Failure, c, "Pull"))
		never := b.push(t, "never ready", map[string]string{"apps/web/web.yaml": strings.Replace(webManifest("web", two), "labels: {app: web}}\n    spec", "labels: {app: web}, annotations: {e2e.slipway.dev/behaviour: never-ready}}\n    spec", 1)})
		b.tell(t, never)
		b.becomes(t, "shop", "web", "Unknown", never)
		back := b.push(t, "back", map[string]string{"apps/web/web.yaml": webManifest("web", one)})
		b.tell(t, back)
		b.becomes(t, "shop", "web", "True", back)
		b.hears(t, events.PipelineRunFinishedType, "test/shop/web", hasOutcome(events.Cancel, never))
		b.hears(t, events.ServiceRolledBackType, "test/shop/web", onChain("hook-chain-"+back))
	})

	t.Run("broken YAML stalls one application with file and line", func(t *testing.T) {
		c := b.push(t, "broken", map[string]string{"apps/other/bad.yaml": "apiVersion: v1\nkind: [\n", "apps/web/extra.yaml": settings("extra", "1")})
		b.tell(t, c)
		s := b.becomes(t, "shop", "other", "False", c, "apps/other/bad.yaml:", "invalid YAML")
		if s.Condition(api.ConditionStalled) == nil {
			t.Errorf("not stalled: %+v", s.Conditions)
		}
		b.becomes(t, "shop", "web", "True", c)
		b.hears(t, events.EnvironmentModifiedType, "test/shop/web", onChain("hook-chain-"+c))
		c = b.push(t, "mended", map[string]string{"apps/other/bad.yaml": ""})
		b.tell(t, c)
		b.becomes(t, "shop", "other", "True", c)
	})

	t.Run("an empty render deletes nothing", func(t *testing.T) {
		c := b.push(t, "empty", map[string]string{"apps/other/cm.yaml": "# nothing\n"})
		b.tell(t, c)
		b.becomes(t, "shop", "other", "False", c, "would delete all 1 objects")
		_, err := b.cluster.Kubectl(t.Context(), "get", "configmap", "-n", "shop", "other")
		must(t, err)
		c = b.push(t, "full", map[string]string{"apps/other/cm.yaml": settings("other", "2")})
		b.tell(t, c)
		b.becomes(t, "shop", "other", "True", c)
	})

	t.Run("what happened while all was down is caught up without an event", func(t *testing.T) {
		b.stop()
		c := b.push(t, "in the dark", map[string]string{"apps/kust/base/cm.yaml": settings("kust", "dark")})
		b.start(outer) // it goes on after this subtest
		b.becomes(t, "shop", "kust", "True", c)
		got, err := b.cluster.Kubectl(t.Context(), "get", "configmap", "-n", "shop", "prod-kust", "-o", "jsonpath={.data.value}")
		if err != nil || got != "dark" {
			t.Errorf("value %q: %v", got, err)
		}
		if s, err := b.status(t, "shop", "web"); err != nil || s.Attempted == c {
			t.Errorf("web was touched: %+v %v", s, err)
		}
	})

	t.Run("an application acts with its own account's rights", func(t *testing.T) {
		c := b.push(t, "tenant", map[string]string{"apps/tenant/cm.yaml": settings("mine", "1")})
		must(t, b.cluster.Apply(t.Context(), application("tenant", "app", b.url, "apps/tenant", "")))
		b.becomes(t, "tenant", "app", "False", c, "system:serviceaccount:tenant:default", "apps/tenant/cm.yaml:1")
		must(t, b.cluster.Apply(t.Context(), "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: edit, namespace: tenant}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}\nsubjects: [{kind: ServiceAccount, name: default, namespace: tenant}]\n"))
		b.becomes(t, "tenant", "app", "True", c)
	})

	t.Run("an object of another application is left to it", func(t *testing.T) {
		c := b.push(t, "thief", map[string]string{"apps/thief/cm.yaml": settings("other", "stolen")})
		must(t, b.cluster.Apply(t.Context(), application("shop", "thief", b.url, "apps/thief", "")))
		b.becomes(t, "shop", "thief", "False", c, "test/shop/other")
		got, err := b.cluster.Kubectl(t.Context(), "get", "configmap", "-n", "shop", "other", "-o", "jsonpath={.data.value}")
		if err != nil || got != "2" {
			t.Errorf("value %q: %v", got, err)
		}
	})

	t.Run("a kind and its objects come in one commit", func(t *testing.T) {
		crd := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: boats.example.com}\nspec:\n  group: example.com\n  scope: Namespaced\n  names: {kind: Boat, plural: boats}\n  versions:\n  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}\n"
		c := b.push(t, "boats", map[string]string{"apps/boats/a.yaml": "apiVersion: example.com/v1\nkind: Boat\nmetadata: {name: b}\n", "apps/boats/crd.yaml": crd})
		must(t, b.cluster.Apply(t.Context(), application("shop", "boats", b.url, "apps/boats", "")))
		b.becomes(t, "shop", "boats", "True", c)
	})

	t.Run("bad sources are told and stop nobody", func(t *testing.T) {
		must(t, b.cluster.Apply(t.Context(), application("shop", "nowhere", "https://git.invalid/x/y", "a", "")+application("shop", "nopath", b.url, "no/such", "")))
		b.becomes(t, "shop", "nowhere", "False", "", "not in the synchronizer's config", "git.invalid/x/y")
		b.becomes(t, "shop", "nopath", "False", b.git(t, "rev-parse", "HEAD"), "no/such", "not in the repository")
		for _, bad := range []string{"path: /abs", "path: a/../b", `path: ""`} {
			err := b.cluster.Apply(t.Context(), strings.Replace(application("shop", "bad", b.url, "PATH", ""), "path: PATH", bad, 1))
			if err == nil {
				t.Errorf("%s is accepted", bad)
			}
		}
	})

	t.Run("an unreachable Git host is told, what runs stays Ready, and it is tried again", func(t *testing.T) {
		must(t, b.host.Stop())
		_, err := b.cluster.Kubectl(t.Context(), "patch", "applications.slipway.dev", "-n", "shop", "kust", "--type=merge", "-p", `{"spec":{"environment":"elsewhere"}}`)
		must(t, err)
		must(t, parts.Eventually(t.Context(), syncPatience, func() error {
			s, err := b.status(t, "shop", "kust")
			if err != nil {
				return err
			}
			c, ready := s.Condition(api.ConditionReconciling), s.Condition(api.ConditionReady)
			if c == nil || c.Reason != "SourceUnavailable" || ready.Status != "True" {
				return fmt.Errorf("conditions %+v", s.Conditions)
			}
			return nil
		}))
		b.host, err = parts.StartGitHTTP(t.Context(), b.hosting)
		must(t, err)
		must(t, parts.Eventually(t.Context(), syncPatience, func() error {
			s, err := b.status(t, "shop", "kust")
			if err == nil && (s.Condition(api.ConditionReconciling) != nil || s.ObservedGeneration != 2) {
				err = fmt.Errorf("generation %d, conditions %+v", s.ObservedGeneration, s.Conditions)
			}
			return err
		}))
	})

	t.Run("a deleted Application takes its objects along, an orphaning one leaves them", func(t *testing.T) {
		_, err := b.cluster.Kubectl(t.Context(), "delete", "applications.slipway.dev", "-n", "shop", "web", "--timeout=20s")
		must(t, err)
		b.hears(t, events.ServiceRemovedType, "test/shop/web", func(events.Event) bool { return true })
		if _, err := b.cluster.Kubectl(t.Context(), "get", "deployment", "-n", "shop", "web"); err == nil {
			t.Error("the Deployment is still there")
		}
		_, err = b.cluster.Kubectl(t.Context(), "patch", "applications.slipway.dev", "-n", "shop", "kust", "--type=merge", "-p", `{"spec":{"onDelete":"orphan"}}`)
		must(t, err)
		_, err = b.cluster.Kubectl(t.Context(), "delete", "applications.slipway.dev", "-n", "shop", "kust", "--timeout=20s")
		must(t, err)
		_, err = b.cluster.Kubectl(t.Context(), "get", "configmap", "-n", "shop", "prod-kust")
		must(t, err)
	})
}
