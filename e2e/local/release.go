package local

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/service"
)

// Observer sees what becomes of releases, from the outside: on the bus and at
// the API server.
type Observer struct {
	Bus     *bus.Bus
	Clients *kube.Clients
	w       *World
}

// ObserveBus connects to the bus of a world.
func (w *World) ObserveBus(ctx context.Context) (*bus.Bus, error) {
	cfg, err := service.Load(w.Config)
	if err != nil {
		return nil, err
	}
	o, err := service.BusOptions(cfg)
	if err != nil {
		return nil, err
	}
	o.Name, o.Log = "observer", slog.New(slog.DiscardHandler)
	b, err := bus.Connect(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	return b, nil
}

// Observe connects to a world that is ready.
func (w *World) Observe(ctx context.Context) (*Observer, error) {
	b, err := w.ObserveBus(ctx)
	if err != nil {
		return nil, err
	}
	config, err := kube.Load(kube.Options{Kubeconfig: w.Kubeconfig})
	if err != nil {
		return nil, err
	}
	clients, err := kube.New(config)
	if err != nil {
		return nil, err
	}
	return &Observer{Bus: b, Clients: clients, w: w}, nil
}

// Close ends the connection to the bus.
func (o *Observer) Close() { o.Bus.Close() }

// Release is one image's way, with the moment of each step.
type Release struct {
	Digest, ChainID string
	// Pushed is when the registry stored the manifest, by its own clock;
	// Committed when the commit on the branch was told; Applied when the API
	// server showed the image in the Deployment; Ready when all of its
	// replicas run it.
	Pushed, Committed, Applied, Ready time.Time
}

var deployments = appsv1.SchemeGroupVersion.WithResource("deployments")

// Release pushes a new image and follows it until the Deployment of the
// shop's namespace runs it. told gets each event of its chain; it may be nil.
func (o *Observer) Release(ctx context.Context, repo, tag, deployment string, told func(bus.Stored)) (Release, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	changes, err := o.Clients.Dynamic.Resource(deployments).Namespace("shop").Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + deployment})
	if err != nil {
		return Release{}, fmt.Errorf("watch deployment %s: %w", deployment, err)
	}
	defer changes.Stop()
	since := time.Now()
	var r Release
	if r.Digest, err = o.w.Push(ctx, repo, tag); err != nil {
		return r, err
	}
	heard := make(chan error, 1)
	go func() { heard <- o.follow(ctx, &r, repo, tag, since, told) }()
	applied, ready, err := o.rollout(ctx, changes, o.w.Registry.Addr+"/"+repo+":"+tag+"@"+r.Digest)
	if err != nil {
		return r, fmt.Errorf("wait for deployment %s to run %s: %w", deployment, tag, err)
	}
	if err := <-heard; err != nil {
		return r, fmt.Errorf("follow %s on the bus: %w", tag, err)
	}
	r.Applied, r.Ready = applied, ready
	return r, nil
}

// follow reads the chain of the push until a service runs it.
func (o *Observer) follow(ctx context.Context, r *Release, repo, tag string, since time.Time, told func(bus.Stored)) error {
	for s, err := range o.Bus.Read(ctx, bus.ReadOptions{Since: since.Add(-time.Second), Follow: true}) {
		if err != nil {
			return err
		}
		if p, ok := s.Event.Payload.(events.ArtifactPublished); ok && r.ChainID == "" && p.Repository == repo && p.Tag == tag {
			r.ChainID, r.Pushed = s.Event.ChainID, s.Event.Time
		}
		if r.ChainID == "" || s.Event.ChainID != r.ChainID {
			continue
		}
		if told != nil {
			told(s)
		}
		switch s.Event.Payload.(type) {
		case events.ChangeMerged:
			if r.Committed.IsZero() {
				r.Committed = s.StoredAt
			}
		case events.ServiceEvent:
			return nil
		}
	}
	return ctx.Err()
}

// rollout waits until the Deployment names the image, and until it runs it.
func (o *Observer) rollout(ctx context.Context, changes watch.Interface, image string) (applied, ready time.Time, err error) {
	for {
		select {
		case <-ctx.Done():
			return applied, ready, ctx.Err()
		case c, ok := <-changes.ResultChan():
			if !ok {
				return applied, ready, fmt.Errorf("the watch ended")
			}
			d, ok := deploymentOf(c.Object)
			if !ok || d.Spec.Template.Spec.Containers[0].Image != image {
				continue
			}
			if applied.IsZero() {
				applied = time.Now()
			}
			if runs(d) {
				return applied, time.Now(), nil
			}
		}
	}
}

// AllName watches the shop's Deployments from now on; wait gives the moment at
// which n of them name an image of that tag.
func (o *Observer) AllName(ctx context.Context, tag string, n int) (wait func() (time.Time, error), err error) {
	changes, err := o.Clients.Dynamic.Resource(deployments).Namespace("shop").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("watch the deployments: %w", err)
	}
	return func() (time.Time, error) {
		defer changes.Stop()
		named := map[string]bool{}
		for len(named) < n {
			select {
			case <-ctx.Done():
				return time.Time{}, fmt.Errorf("%d of %d deployments name %s: %w", len(named), n, tag, ctx.Err())
			case c, ok := <-changes.ResultChan():
				if !ok {
					return time.Time{}, fmt.Errorf("the watch ended when %d of %d deployments named %s", len(named), n, tag)
				}
				if d, ok := deploymentOf(c.Object); ok && strings.Contains(d.Spec.Template.Spec.Containers[0].Image, ":"+tag+"@") {
					named[d.Name] = true
				}
			}
		}
		return time.Now(), nil
	}, nil
}

func deploymentOf(object runtime.Object) (*appsv1.Deployment, bool) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return nil, false
	}
	var d appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &d); err != nil {
		return nil, false
	}
	return &d, len(d.Spec.Template.Spec.Containers) > 0
}

func runs(d *appsv1.Deployment) bool {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == want && s.AvailableReplicas == want && s.Replicas == want
}

// Bootstrap applies the root Application, as a person does once: by the server, as
// "slipway bootstrap" does. An API server holds a POST of a kind for two seconds after
// its definition came.
func (w *World) Bootstrap(ctx context.Context) error {
	return parts.Eventually(ctx, time.Minute, func() error {
		_, err := w.Kubectl(ctx, w.RootApplication(), "apply", "--server-side", "-f", "-")
		return err
	})
}
