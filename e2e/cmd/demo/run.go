package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/services/slipway/trace"
	"github.com/slipway-cd/slipway/shared/bus"
)

// run is the whole demo. It starts clean each time: everything is in a new
// temporary folder, which goes at the end.
func run(ctx context.Context, once bool, s *screen) error {
	dir, err := os.MkdirTemp("", "slipway-demo-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := build(ctx, s, filepath.Join(dir, "bin")); err != nil {
		return err
	}
	s.title("Starting a registry, Gitea, a Kubernetes control plane and Slipway")
	end := s.wait("a few seconds")
	w, err := local.Start(ctx, local.Options{Dir: dir, Gitea: true, Bin: filepath.Join(dir, "bin"), Sync: "always", Kubeconfig: os.Getenv("KUBECONFIG")})
	end()
	if err != nil {
		return err
	}
	defer w.Stop()
	if err := ready(ctx, s, w); err != nil {
		return err
	}
	o, err := w.Observe(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	r, err := release(ctx, s, w, o, "1.1.0")
	if err != nil {
		return err
	}
	push, err := plainPush(ctx, w)
	if err != nil {
		return err
	}
	s.done("for comparison: git push of an empty commit to the same Gitea took %d ms", ms(push))
	if once {
		return report(r, push)
	}
	return stay(ctx, s, w)
}

// build makes the programs, which takes minutes the first time.
func build(ctx context.Context, s *screen, bin string) error {
	s.title("Building (minutes the first time, then from a cache)")
	var end func()
	err := parts.Build(ctx, func(name string, done bool, took time.Duration) {
		if done {
			if end != nil {
				end()
				end = nil
			}
			s.done("%s %s", name, faint.Render(took.Round(100*time.Millisecond).String()))
			return
		}
		end = s.wait("building " + name)
	})
	if end != nil {
		end()
	}
	if err != nil {
		return err
	}
	start := time.Now()
	end = s.wait("building slipway")
	err = local.Build(ctx, bin, "slipway")
	end()
	if err == nil {
		s.done("slipway %s", faint.Render(time.Since(start).Round(100*time.Millisecond).String()))
	}
	return err
}

// ready brings the shop up and shows its applications becoming ready.
func ready(ctx context.Context, s *screen, w *local.World) error {
	if err := w.Ready(ctx); err != nil {
		return err
	}
	s.done("registry, Gitea and Slipway are up")
	if os.Getenv("KUBECONFIG") != "" {
		s.done("using the cluster of KUBECONFIG=%s", w.Kubeconfig)
	} else {
		s.done("the control plane is real; its node and pods are simulated")
	}
	s.title("Applying one root Application; everything else comes from Git")
	if err := w.Bootstrap(ctx); err != nil {
		return err
	}
	end := s.wait("waiting for the shop's three applications")
	err := w.AllReady(ctx, 3, func(name, message string) { s.done("shop/%s: %s", name, message) })
	end()
	return err
}

// release pushes an image and shows its way as it happens.
func release(ctx context.Context, s *screen, w *local.World, o *local.Observer, tag string) (local.Release, error) {
	s.title("Pushing %s", w.Image(local.WebImage, tag))
	var first time.Time
	r, err := o.Release(ctx, local.WebImage, tag, "web", func(e bus.Stored) {
		if first.IsZero() {
			first = e.Event.Time
		}
		s.line(fmt.Sprintf("  %8s  %s %s", fmt.Sprintf("+%d ms", e.StoredAt.Sub(first).Milliseconds()),
			blue.Render(fmt.Sprintf("%-21s", e.Event.Type().Short())), trace.Summary(e.Event)))
	})
	if err != nil {
		return r, err
	}
	s.done("applied %d ms after the push, running after %d ms", ms(r.Applied.Sub(r.Pushed)), ms(r.Ready.Sub(r.Pushed)))
	return r, nil
}

// plainPush is how long git push takes to the same host for a commit that
// changes nothing: what no release can do without.
func plainPush(ctx context.Context, w *local.World) (time.Duration, error) {
	c, err := w.Clone(ctx, "plain")
	if err != nil {
		return 0, err
	}
	if _, err := c.Git(ctx, "commit", "--allow-empty", "-m", "What a push alone takes"); err != nil {
		return 0, err
	}
	start := time.Now()
	err = c.Push(ctx)
	return time.Since(start), err
}

func ms(d time.Duration) int64 { return d.Milliseconds() }

// report prints the last line of a demo that ends by itself.
func report(r local.Release, push time.Duration) error {
	line, err := json.Marshal(struct {
		PushToCommitMs    int64  `json:"pushToCommitMs"`
		CommitToAppliedMs int64  `json:"commitToAppliedMs"`
		PushToAppliedMs   int64  `json:"pushToAppliedMs"`
		PushToReadyMs     int64  `json:"pushToReadyMs"`
		GitPushMs         int64  `json:"gitPushMs"` // a plain push to the same host
		ChainID           string `json:"chainId"`
	}{ms(r.Committed.Sub(r.Pushed)), ms(r.Applied.Sub(r.Committed)), ms(r.Applied.Sub(r.Pushed)), ms(r.Ready.Sub(r.Pushed)), ms(push), r.ChainID})
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	fmt.Println(string(line))
	return nil
}

// stay tells what to try, and waits for Ctrl-C.
func stay(ctx context.Context, s *screen, w *local.World) error {
	s.title("It stays up until Ctrl-C. Addresses:")
	s.field("registry", "http://"+w.Registry.Addr+"/v2/")
	s.field("Gitea", fmt.Sprintf("%s (user %s, password %s)", w.Gitea.URL, w.Gitea.User, w.Gitea.Password))
	s.field("webhooks", w.HooksURL+"/hooks/{registry,git}")
	s.field("metrics", w.MetricsURL+"/metrics")
	s.title("Try:")
	slipway := filepath.Join(filepath.Dir(w.Config), "bin", "slipway")
	for _, c := range []string{
		"export KUBECONFIG=" + w.Kubeconfig,
		"kubectl get applications.slipway.dev -A",
		"git clone " + w.AuthURL() + " /tmp/shop && git -C /tmp/shop log",
		slipway + " trace --config " + w.Config + " " + w.Image(local.WebImage, "1.1.0"),
		slipway + " trace --config " + w.Config + " local/shop/web",
		"# a release (crane is go-containerregistry's command):",
		"go run github.com/google/go-containerregistry/cmd/crane@v0.22.1 copy --insecure " + w.Image(local.WebImage, "1.1.0") + " " + w.Image(local.WebImage, "1.2.0"),
	} {
		s.line("  " + c)
	}
	<-ctx.Done()
	s.line("\nStopping.")
	return nil
}
