// Package local is a whole Slipway on one machine, on real parts: a registry,
// a Git host, a Kubernetes control plane, and our services before them. The
// demo, the end-to-end tests, the fault tests and the benchmark all start it.
package local

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/shared/freeport"
)

// Options say what a world is like.
type Options struct {
	// Dir holds everything: data, logs, config, secrets.
	Dir string
	// Gitea takes Gitea as Git host instead of git's own http-backend.
	Gitea bool
	// Separate runs each service, and NATS, as a process of its own instead
	// of `slipway up`.
	Separate bool
	// Scale runs several of each service and node of NATS; it implies Separate.
	Scale *Scale
	// Idle starts none of our processes: the test does. Only with Separate.
	Idle bool
	// Bus replaces the single NATS server of separate services; it may be nil.
	Bus *Bus
	// AroundGit wraps git's own server, so that a test can act before a
	// request arrives and before its answer leaves; it may be nil.
	AroundGit func(http.Handler) http.Handler
	// Kubeconfig is a cluster to use; empty starts the local control plane.
	Kubeconfig string
	// Bin has our programs; empty builds them into Dir.
	Bin string
	// Issuer is an OIDC issuer whose people the automator knows, by tokens for
	// audience slipway; it may be empty.
	Issuer string
	// Tracing is a collector of spans, by its URL; empty traces nothing.
	Tracing string
	// Sync is the embedded bus's, "default" or "always"; default "default".
	Sync string
	// Quiet and Sweep are the config's; defaults 20ms and 1h.
	Quiet, Sweep time.Duration
	// Progress is told what is going on, for people; it may be nil.
	Progress func(what string)
	// Files are the config repo's; nil means the shop's.
	Files func(w *World) map[string]string
	// Repos are other config repos beside the first, by name, whose files the
	// world's Applications may use.
	Repos map[string]func(w *World) map[string]string
	// Lent are those of them that have neither roots nor policies of their own: what they
	// are for is the first one's documents.
	Lent []string
	// Images are pushed at tag 1.0.0 before anything starts; nil means the
	// shop's.
	Images []string
}

// World is what was started.
type World struct {
	Registry *parts.Registry
	Cluster  *parts.Cluster // nil where Options.Kubeconfig named one
	Gitea    *parts.GitHost // or
	GitHTTP  *parts.GitHTTP

	Config     string // slipway.yaml, for the command
	Kubeconfig string
	RepoURL    string // without credentials
	// RepoURLs are those of the other config repos, by name.
	RepoURLs   map[string]string
	HooksURL   string
	MetricsURL string
	// APIURL is the automator's API.
	APIURL    string
	Processes []*Process
	separate

	opts     Options
	settings settings // of its programs
	registry parts.RegistryOptions
	gitUser  string
	gitPass  string
}

// Repo is the config repo's name at the Git host.
const Repo = "config"

// The tokens of the people whom every world's automator knows: maria is of the
// leads, omar of the shop.
const (
	MariasToken = "the-token-of-maria-of-the-leads"
	OmarsToken  = "the-token-of-omar-of-the-shop"
)

// Start starts a world; the context bounds the start only. On an error
// everything is stopped again.
func Start(ctx context.Context, o Options) (*World, error) {
	if o.Sync == "" {
		o.Sync = "default"
	}
	if o.Quiet == 0 {
		o.Quiet = 20 * time.Millisecond
	}
	if o.Sweep == 0 {
		o.Sweep = time.Hour
	}
	if o.Files == nil {
		o.Files, o.Images = (*World).shop, []string{WebImage, APIImage}
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	w := &World{opts: o}
	if err := w.start(ctx); err != nil {
		w.Stop()
		return nil, err
	}
	return w, nil
}

func (w *World) start(ctx context.Context) error {
	if err := os.MkdirAll(w.opts.Dir, 0o755); err != nil {
		return fmt.Errorf("make the world's folder: %w", err)
	}
	hooks, err := freeport.Take()
	if err != nil {
		return err
	}
	w.HooksURL = fmt.Sprintf("http://127.0.0.1:%d", hooks)
	registrySecret, gitSecret := random(), random()
	if err := w.startParts(ctx, registrySecret, gitSecret); err != nil {
		return err
	}
	s, err := w.settle(registrySecret, gitSecret)
	if err != nil {
		return err
	}
	w.settings = s
	if w.opts.Bin == "" {
		w.opts.Bin = filepath.Join(w.opts.Dir, "bin")
		names := []string{"slipway"}
		if w.opts.Separate || w.opts.Scale != nil {
			names = []string{"registry-receiver", "git-receiver", "automator", "synchronizer", "bus", "slipway"}
		}
		if err := Build(ctx, w.opts.Bin, names...); err != nil {
			return err
		}
	}
	if err := w.seed(ctx); err != nil {
		return err
	}
	if w.opts.Scale != nil {
		return w.startScaled(s, hooks)
	}
	if w.opts.Separate {
		return w.startSeparate(s, hooks)
	}
	return w.startUp(s)
}

func random() string {
	raw := make([]byte, 20)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	return hex.EncodeToString(raw)
}

// startParts starts registry, Git host and cluster beside each other.
func (w *World) startParts(ctx context.Context, registrySecret, gitSecret string) error {
	group, ctx := errgroup.WithContext(ctx)
	dir := func(name string) string { return filepath.Join(w.opts.Dir, name) }
	group.Go(func() (err error) {
		w.opts.Progress("starting the registry")
		w.registry = parts.RegistryOptions{
			Dir: dir("registry"), NotifyURL: w.HooksURL + "/hooks/registry",
			NotifyHeaders: map[string]string{"Authorization": "Bearer " + registrySecret},
		}
		w.Registry, err = parts.StartRegistry(ctx, w.registry)
		return err
	})
	group.Go(func() error {
		w.opts.Progress("starting the Git host")
		if w.opts.Gitea {
			return w.startGitea(ctx, dir("gitea"), gitSecret)
		}
		return w.startGitHTTP(ctx, dir("git"), gitSecret)
	})
	group.Go(func() (err error) {
		if w.opts.Kubeconfig != "" {
			w.Kubeconfig = w.opts.Kubeconfig
			return nil
		}
		w.opts.Progress("starting the local control plane")
		if w.Cluster, err = parts.StartCluster(ctx, parts.ClusterOptions{Dir: dir("cluster")}); err == nil {
			w.Kubeconfig = w.Cluster.Kubeconfig
		}
		return err
	})
	return group.Wait()
}

func (w *World) startGitHTTP(ctx context.Context, dir, secret string) (err error) {
	w.gitUser, w.gitPass = "slipway", random()
	w.GitHTTP, err = parts.StartGitHTTP(ctx, parts.GitHTTPOptions{
		Dir: dir, Addr: w.hub() + ":0", HookURL: w.HooksURL + "/hooks/git", HookSecret: secret, User: w.gitUser, Password: w.gitPass, Around: w.aroundGit(),
	})
	if err != nil {
		return err
	}
	w.RepoURLs = map[string]string{}
	for name := range w.opts.Repos {
		if w.RepoURLs[name], err = w.GitHTTP.CreateRepo(ctx, name); err != nil {
			return err
		}
	}
	w.RepoURL, err = w.GitHTTP.CreateRepo(ctx, Repo)
	return err
}

func (w *World) startGitea(ctx context.Context, dir, secret string) (err error) {
	if w.Gitea, err = parts.StartGitea(ctx, parts.GiteaOptions{Dir: dir}); err != nil {
		return err
	}
	w.gitUser, w.gitPass = w.Gitea.User, w.Gitea.Token
	if w.RepoURL, err = w.Gitea.CreateRepo(ctx, Repo); err != nil {
		return err
	}
	return w.Gitea.AddWebhook(ctx, Repo, w.HooksURL+"/hooks/git", secret)
}

// settle finds the settings of the world's programs.
func (w *World) settle(registrySecret, gitSecret string) (s settings, err error) {
	s = settings{
		Cluster: "local",
		Data:    filepath.Join(w.opts.Dir, "data"), Registry: w.Registry.Addr, RegistryEndpoint: w.Registry.Addr, GitURL: w.RepoURL, GitUser: w.gitUser,
		Provider: "github", Kubeconfig: w.Kubeconfig, Quiet: w.opts.Quiet.String(), Sweep: w.opts.Sweep.String(),
		Policies: "policies", Issuer: w.opts.Issuer, Tracing: w.opts.Tracing,
	}
	if w.opts.Gitea {
		s.Provider = "gitea"
	}
	for _, name := range slices.Sorted(maps.Keys(w.RepoURLs)) {
		s.Repos = append(s.Repos, configRepo{w.RepoURLs[name], slices.Contains(w.opts.Lent, name)})
	}
	for _, f := range []struct {
		into        *string
		name, value string
	}{
		{&s.RegistrySecret, "registry", registrySecret},
		{&s.GitSecret, "git-hook", gitSecret},
		{&s.GitToken, "git", w.gitPass},
		{&s.BusToken, "bus", random()},
		{&s.Maria, "maria", MariasToken},
		{&s.Omar, "omar", OmarsToken},
	} {
		if *f.into, err = w.secret(f.name, f.value); err != nil {
			return s, err
		}
	}
	for _, p := range []*string{&s.Metrics, &s.Bus, &s.API} {
		if *p, err = freeport.Address(); err != nil {
			return s, err
		}
	}
	s.Hooks = w.HooksURL[len("http://"):]
	w.APIURL, w.MetricsURL = "http://"+s.API, "http://"+s.Metrics
	return s, nil
}

// startUp runs all services as `slipway up`.
func (w *World) startUp(s settings) (err error) {
	s.Embedded = w.opts.Sync
	if w.Config, err = w.writeConfig("slipway", s); err != nil {
		return err
	}
	p := newProcess("slipway", w.opts.Dir, filepath.Join(w.opts.Bin, "slipway"), "up", "--config", w.Config)
	p.MetricsURL = w.MetricsURL
	w.Processes = append(w.Processes, p)
	return p.Start()
}

// Ready waits until every process says so.
func (w *World) Ready(ctx context.Context) error {
	return parts.Eventually(ctx, time.Minute, func() error {
		for _, p := range w.Processes {
			if err := p.Ready(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// RestartRegistry starts the registry again, with the images that it had and
// without the notifications that it hadn't sent.
func (w *World) RestartRegistry(ctx context.Context) error {
	w.Registry.Kill()
	o := w.registry
	o.Addr = w.Registry.Addr
	r, err := parts.StartRegistry(ctx, o)
	if err == nil {
		w.Registry = r
	}
	return err
}

// Stop ends everything that was started.
func (w *World) Stop() {
	for _, p := range slices.Backward(w.Processes) {
		_ = p.Stop()
	}
	if w.Cluster != nil {
		w.Cluster.Kill() // nothing of it is kept
	}
	if w.Gitea != nil {
		w.Gitea.Kill()
	}
	if w.GitHTTP != nil {
		_ = w.GitHTTP.Stop()
	}
	if w.Registry != nil {
		w.Registry.Kill()
	}
}
