package e2e_test

import (
	"cmp"
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

	kubeconfig string // of the synchronizer; empty: the cluster's

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
			Synchronizer: service.Synchronizer{Kubeconfig: cmp.Or(b.kubeconfig, b.cluster.Kubeconfig), Trusted: trusted, Concurrency: 8},
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

// begin starts the synchronizer, waits until the cluster knows Applications, and makes
// a shop for them.
func (b *syncBed) begin(t testing.TB) {
	t.Helper()
	b.start(t)
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		_, err := b.cluster.Kubectl(t.Context(), "get", "applications.slipway.dev", "-A")
		return err
	}))
	must(t, b.cluster.Apply(t.Context(), "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"))
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
