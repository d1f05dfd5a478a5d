package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/busserver"
)

// floor is what one of each unavoidable step costs here, each by the plainest
// client there is. Medians in milliseconds.
type floor struct {
	Head    float64 `json:"manifestHeadMs"`
	GitPush float64 `json:"gitPushMs"`
	Apply   float64 `json:"serverSideApplyMs"`
	Publish float64 `json:"jetstreamPublishMs"`
}

func (f floor) sum() float64 { return f.Head + f.GitPush + f.Apply + f.Publish }

func measureFloor(ctx context.Context, w *local.World, o *local.Observer, dir string, times int) (f floor, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return f, fmt.Errorf("make a folder: %w", err)
	}
	for _, step := range []struct {
		into *float64
		what string
		do   func(i int) error
	}{
		{&f.Head, "manifest HEAD", func(int) error { return head(ctx, w) }},
		{&f.Apply, "server-side apply", func(i int) error { return apply(ctx, w, o, i) }},
	} {
		if *step.into, err = repeat(times, step.do); err != nil {
			return f, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	if f.GitPush, err = gitPush(ctx, w, times); err != nil {
		return f, fmt.Errorf("git push: %w", err)
	}
	if f.Publish, err = publish(ctx, dir, times); err != nil {
		return f, fmt.Errorf("publish: %w", err)
	}
	return f, nil
}

// repeat gives the median of doing it many times, after a warm-up.
func repeat(times int, do func(i int) error) (float64, error) {
	var all []time.Duration
	for i := range times + 3 {
		start := time.Now()
		if err := do(i); err != nil {
			return 0, err
		}
		if i >= 3 {
			all = append(all, time.Since(start))
		}
	}
	return median(all), nil
}

func head(ctx context.Context, w *local.World) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+w.Registry.Addr+"/v2/"+image(0)+"/manifests/1.0.0", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the registry answered %s", res.Status)
	}
	return nil
}

func apply(ctx context.Context, w *local.World, o *local.Observer, i int) error {
	var object map[string]any
	if err := yaml.Unmarshal([]byte(local.Deployment("floor", w.Image(image(0), fmt.Sprintf("1.0.%d", i)), 0)), &object); err != nil {
		return err
	}
	_, err := o.Clients.Dynamic.Resource(appsv1.SchemeGroupVersion.WithResource("deployments")).Namespace("default").
		Apply(ctx, "floor", &unstructured.Unstructured{Object: object}, metav1.ApplyOptions{FieldManager: "floor", Force: true})
	return err
}

// gitPush pushes commits of one file with the git command; making the commit
// is not counted.
func gitPush(ctx context.Context, w *local.World, times int) (float64, error) {
	c, err := w.Clone(ctx, "floor")
	if err != nil {
		return 0, err
	}
	var all []time.Duration
	for i := range times + 3 {
		if err := c.Commit(ctx, "floor", map[string]string{"floor.txt": fmt.Sprint(i)}); err != nil {
			return 0, err
		}
		start := time.Now()
		if _, err := c.Git(ctx, "push", "-q", "origin", "HEAD:main"); err != nil {
			return 0, err
		}
		if i >= 3 {
			all = append(all, time.Since(start))
		}
	}
	return median(all), nil
}

func publish(ctx context.Context, dir string, times int) (float64, error) {
	server, err := busserver.Start(busserver.Options{Dir: filepath.Join(dir, "jetstream"), Addr: ":0"})
	if err != nil {
		return 0, err
	}
	defer server.Shutdown()
	b, err := bus.Connect(ctx, bus.Options{Name: "floor", URL: server.URL()})
	if err != nil {
		return 0, err
	}
	defer b.Close()
	return repeat(times, func(i int) error {
		e, err := events.New(events.Meta{ID: fmt.Sprint(i), Source: "/floor", ChainID: "floor", Time: time.Now()}, events.DecisionMade{
			Application: "local/shop/web", Image: "example.com/web", Outcome: events.Skip, Reason: "floor",
		})
		if err != nil {
			return err
		}
		return b.Publish(ctx, e)
	})
}
