package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
)

// fleet is what the synchronizer does with many applications of four objects
// (a Deployment of no pods, a ServiceAccount, a Service, an Ingress), beside a
// bare client that applies the same objects in the same cluster.
type fleet struct {
	Applications   int     `json:"applications"`
	InstallSeconds float64 `json:"installSeconds"`      // from nothing to all Ready
	FloorSeconds   float64 `json:"floorSeconds"`        // the bare client, until its objects are applied
	FloorReady     float64 `json:"floorReadySeconds"`   // and until they are ready, too
	FloorAll       float64 `json:"floorAllSeconds"`     // the same with the Applications, which Git has, too
	PeakMiB        float64 `json:"synchronizerPeakMiB"` // of the process's resident memory
	IdlePercent    float64 `json:"idleCPUPercent"`      // of one core
	ChangedMs      float64 `json:"changedMs"`           // one application's commit, from our hearing of it to the cluster
	UntouchedMs    float64 `json:"untouchedMs"`         // a commit of no application, until we are done with it
	Calls          int64   `json:"untouchedCalls"`      // to the API server for it
	// CPUSeconds is what each of our processes worked for the install.
	CPUSeconds map[string]float64 `json:"installCPUSeconds"`
}

const (
	fleetTries = 20
	idleFor    = 20 * time.Second
	// bareClients is how many objects the floor sends at a time: as many as the
	// synchronizer has workers, each with as many at a time.
	bareClients = 64
)

func measureFleet(ctx context.Context, n int) (f fleet, err error) {
	f.Applications = n
	dir, err := os.MkdirTemp("", "slipway-fleet-")
	if err != nil {
		return f, fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	w, err := local.Start(ctx, local.Options{
		Dir: dir, Separate: true, Images: []string{image(0)}, Files: func(w *local.World) map[string]string { return fleetFiles(w, n) },
	})
	if err != nil {
		return f, err
	}
	defer w.Stop()
	o, err := f.install(ctx, w)
	if err != nil {
		return f, err
	}
	defer o.Close()
	synchronizer := w.Process("synchronizer")
	before, err := synchronizer.CPUTime()
	if err != nil {
		return f, err
	}
	select { // what is measured is that nothing happens
	case <-ctx.Done():
		return f, ctx.Err()
	case <-time.After(idleFor):
	}
	after, err := synchronizer.CPUTime()
	if err != nil {
		return f, err
	}
	f.IdlePercent = 100 * float64(after-before) / float64(idleFor)
	if err := f.commits(ctx, w, o); err != nil {
		return f, err
	}
	peak, err := synchronizer.PeakMemory()
	if err != nil {
		return f, err
	}
	f.PeakMiB = float64(peak) / (1 << 20)
	if f.FloorSeconds, f.FloorReady, err = bare(ctx, o, "floor", fleetManifests(w, n)); err != nil {
		return f, err
	}
	if err := synchronizer.Stop(); err != nil { // nobody is to act on the Applications that come
		return f, err
	}
	_, f.FloorAll, err = bare(ctx, o, "whole", fleetManifests(w, n)+fleetApplications(w, n))
	return f, err
}

// install brings all up from nothing.
func (f *fleet) install(ctx context.Context, w *local.World) (*local.Observer, error) {
	if err := w.Ready(ctx); err != nil {
		return nil, err
	}
	o, err := w.Observe(ctx)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err = w.Bootstrap(ctx); err == nil {
		err = awaitReady(ctx, o, applications, "shop", f.Applications)
	}
	if err != nil {
		o.Close()
		return nil, err
	}
	f.InstallSeconds, f.CPUSeconds = time.Since(begin).Seconds(), map[string]float64{}
	for _, p := range w.Processes {
		used, err := p.CPUTime()
		if err != nil {
			o.Close()
			return nil, err
		}
		f.CPUSeconds[p.Name] = used.Seconds()
	}
	return o, nil
}

// commits measures commits of one application, and of none.
func (f *fleet) commits(ctx context.Context, w *local.World, o *local.Observer) error {
	c, err := w.Clone(ctx, "fleet")
	if err != nil {
		return err
	}
	services := schema.GroupVersionResource{Version: "v1", Resource: "services"}
	changes, err := o.Clients.Dynamic.Resource(services).Namespace("shop").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("watch the services: %w", err)
	}
	defer changes.Stop()
	var changed []time.Duration
	for i := range fleetTries {
		app := name(i * 37 % f.Applications)
		mark := fmt.Sprintf("t%d", i)
		text := strings.Replace(fleetObjects(w, app), "labels: {fleet: old}", "labels: {fleet: "+mark+"}", 1)
		since := len(w.Process("synchronizer").Log())
		heard, err := push(ctx, w, c, map[string]string{"apps/" + app + "/all.yaml": text})
		if err != nil {
			return err
		}
		for object := range changes.ResultChan() {
			u, ok := object.Object.(*unstructured.Unstructured)
			if ok && u.GetName() == app && u.GetLabels()["fleet"] == mark {
				break
			}
		}
		changed = append(changed, time.Since(heard))
		if _, err := worked(ctx, w, since); err != nil {
			return err
		}
	}
	f.ChangedMs = median(changed)
	return f.none(ctx, w, c)
}

// none measures commits of no application.
func (f *fleet) none(ctx context.Context, w *local.World, c *local.Clone) error {
	var untouched []time.Duration
	var calls atomic.Int64
	for i := range 1 + fleetTries {
		calls.Store(0)
		w.APIProxy.Hook(func(k local.Chunk) local.Fate {
			if k.FromService && len(k.Data) > keepAlive {
				calls.Add(1)
			}
			return local.Pass
		})
		since := len(w.Process("synchronizer").Log())
		if _, err := push(ctx, w, c, map[string]string{"README.md": fmt.Sprint(i)}); err != nil {
			return err
		}
		took, err := worked(ctx, w, since)
		if err != nil {
			return err
		}
		if i == 0 {
			continue // the last change's end may come during it
		}
		untouched = append(untouched, took)
		f.Calls = max(f.Calls, calls.Load())
	}
	w.APIProxy.Hook(nil)
	f.UntouchedMs = median(untouched)
	return nil
}

// keepAlive is the size up to which what goes to the API server is HTTP/2's own
// housekeeping, under TLS.
const keepAlive = 64

// push commits and pushes, and gives the moment at which the Git host had told
// of it: git returns when its hook does.
func push(ctx context.Context, w *local.World, c *local.Clone, files map[string]string) (time.Time, error) {
	if err := c.Commit(ctx, "fleet", files); err != nil {
		return time.Time{}, err
	}
	heard := make(chan time.Time, 1)
	w.BusProxy["synchronizer"].Hook(func(k local.Chunk) local.Fate {
		if !k.FromService && strings.Contains(string(k.Data), "slipway.ref.updated.") {
			select {
			case heard <- time.Now():
			default:
			}
		}
		return local.Pass
	})
	defer w.BusProxy["synchronizer"].Hook(nil)
	if err := c.Push(ctx); err != nil {
		return time.Time{}, err
	}
	select {
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	case at := <-heard:
		return at, nil
	}
}

// worked waits until the synchronizer has done the branch's work that came
// after an offset of its log, and gives how long that took from its wake-up on.
func worked(ctx context.Context, w *local.World, since int) (took time.Duration, err error) {
	err = parts.Eventually(ctx, time.Minute, func() error {
		told := false
		for text := range strings.Lines(w.Process("synchronizer").Log()[since:]) {
			var line struct {
				Msg, Queue, Consumer string
				Duration, Waited     time.Duration
			}
			if json.Unmarshal([]byte(text), &line) != nil {
				continue
			}
			told = told || line.Msg == "event handled" && line.Consumer == "synchronizer-local"
			if told && line.Msg == "work ended" && line.Queue == "synchronizer-local-repos" {
				took = line.Waited + line.Duration
				return nil
			}
		}
		return fmt.Errorf("the commit isn't worked off")
	})
	return took, err
}

func fleetFiles(w *local.World, n int) map[string]string {
	all := w.Base()
	for i := range n {
		all["clusters/local/"+name(i)+".yaml"] = w.Application(name(i), "apps/"+name(i))
		all["apps/"+name(i)+"/all.yaml"] = fleetObjects(w, name(i))
	}
	return all
}

// fleetObjects are one application's.
func fleetObjects(w *local.World, name string) string {
	return local.Deployment(name, w.Image(image(0), "1.0.0"), 0) + fmt.Sprintf(`---
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[1]s}
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s, labels: {fleet: old}}
spec:
  selector: {app: %[1]s}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: %[1]s}
spec:
  rules: [{host: %[1]s.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: %[1]s, port: {number: 80}}}}]}}]
`, name)
}

// fleetManifests are those of n applications.
func fleetManifests(w *local.World, n int) string {
	var all strings.Builder
	for i := range n {
		all.WriteString(fleetObjects(w, name(i)) + "---\n")
	}
	return all.String()
}

// fleetApplications are the Applications themselves, of any namespace.
func fleetApplications(w *local.World, n int) string {
	var all strings.Builder
	for i := range n {
		all.WriteString(strings.Replace(w.Application(name(i), "apps/"+name(i)), ", namespace: shop", "", 1) + "---\n")
	}
	return all.String()
}

var bareKinds = map[string]schema.GroupVersionResource{
	"Deployment":     {Group: "apps", Version: "v1", Resource: "deployments"},
	"ServiceAccount": {Version: "v1", Resource: "serviceaccounts"},
	"Service":        {Version: "v1", Resource: "services"},
	"Ingress":        {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	"Application":    applications,
}

// bare applies manifests in a namespace of their own, with nothing else to do.
func bare(ctx context.Context, o *local.Observer, into, manifests string) (applied, ready float64, err error) {
	namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": into}}}
	if _, err := o.Clients.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("namespaces")).Apply(ctx, into, namespace, metav1.ApplyOptions{FieldManager: "floor"}); err != nil {
		return 0, 0, err
	}
	var objects []*unstructured.Unstructured
	deployments := 0
	documents := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096)
	for {
		u := &unstructured.Unstructured{}
		if err := documents.Decode(&u.Object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return 0, 0, fmt.Errorf("read the manifests: %w", err)
		}
		if u.GetKind() == "Deployment" {
			deployments++
		}
		if u.Object != nil {
			objects = append(objects, u)
		}
	}
	begun := time.Now()
	group, together := errgroup.WithContext(ctx)
	group.SetLimit(bareClients)
	for _, u := range objects {
		group.Go(func() error {
			_, err := o.Clients.Dynamic.Resource(bareKinds[u.GetKind()]).Namespace(into).
				Apply(together, u.GetName(), u, metav1.ApplyOptions{FieldManager: "floor", Force: true})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, 0, err
	}
	applied = time.Since(begun).Seconds()
	err = awaitReady(ctx, o, bareKinds["Deployment"], into, deployments)
	return applied, time.Since(begun).Seconds(), err
}

func fleetTable(out io.Writer, all []fleet) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "applications\tinstalled\tfloor applied\tready\twith Applications\tratio to applied\tto ready\tto all\tpeak\tidle\tone changed\tnone touched\tcalls\t")
	for _, f := range all {
		fmt.Fprintf(w, "%d\t%.1f s\t%.1f s\t%.1f s\t%.1f s\t%.2f\t%.2f\t%.2f\t%.0f MiB\t%.2f %%\t%.0f ms\t%.1f ms\t%d\t\n",
			f.Applications, f.InstallSeconds, f.FloorSeconds, f.FloorReady, f.FloorAll,
			f.InstallSeconds/f.FloorSeconds, f.InstallSeconds/f.FloorReady, f.InstallSeconds/f.FloorAll,
			f.PeakMiB, f.IdlePercent, f.ChangedMs, f.UntouchedMs, f.Calls)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, f := range all {
		fmt.Fprintf(out, "CPU seconds of the install of %d: %v\n", f.Applications, f.CPUSeconds)
	}
	return nil
}
