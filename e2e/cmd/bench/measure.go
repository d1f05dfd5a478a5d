package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/slipway-cd/slipway/e2e/local"
)

// result is one run. All times are medians in milliseconds.
type result struct {
	Applications    int     `json:"applications"`
	Files           int     `json:"files"`          // beside the applications'
	InstallSeconds  float64 `json:"installSeconds"` // from the root Application to all ready
	PushToCommit    float64 `json:"pushToCommitMs"`
	CommitToApplied float64 `json:"commitToAppliedMs"`
	PushToApplied   float64 `json:"pushToAppliedMs"`
	PushToReady     float64 `json:"pushToReadyMs"`
	PushToAppliedHi float64 `json:"pushToAppliedP90Ms"`
	Floor           floor   `json:"floor"`
	// PeakMiB is the most memory of each of our processes, by name.
	PeakMiB map[string]float64 `json:"peakMiB"`
}

// ratio is push to applied, as a multiple of the floor.
func (r result) ratio() float64 { return r.PushToApplied / r.Floor.sum() }

func measure(ctx context.Context, s shape, n, releases int) (result, error) {
	r := result{Applications: n, Files: s.files}
	dir, err := os.MkdirTemp("", "slipway-bench-")
	if err != nil {
		return r, fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	w, o, install, err := start(ctx, dir, s, n)
	if err != nil {
		return r, err
	}
	defer w.Stop()
	defer o.Close()
	r.InstallSeconds = install.Seconds()
	var all []local.Release
	for i := range releases + 3 {
		release, err := o.Release(ctx, image(0), fmt.Sprintf("1.1.%d", i), name(0), nil)
		if err != nil {
			return r, err
		}
		if i >= 3 { // the first ones warm up
			all = append(all, release)
		}
	}
	r.summarize(all)
	if r.PeakMiB, err = peaks(w); err != nil {
		return r, err
	}
	r.Floor, err = measureFloor(ctx, w, o, filepath.Join(dir, "floor"), releases)
	return r, err
}

// start starts a world of n applications and waits until all are ready;
// install is from the root Application on.
func start(ctx context.Context, dir string, s shape, n int) (w *local.World, o *local.Observer, install time.Duration, err error) {
	w, err = local.Start(ctx, local.Options{
		Dir: dir, Separate: s.separate, Images: []string{image(0)}, Files: func(w *local.World) map[string]string { return files(w, n, s.files) },
	})
	if err != nil {
		return nil, nil, 0, err
	}
	if o, install, err = bringUp(ctx, w, n); err != nil {
		w.Stop()
		return nil, nil, 0, err
	}
	return w, o, install, nil
}

func bringUp(ctx context.Context, w *local.World, n int) (*local.Observer, time.Duration, error) {
	if err := w.Ready(ctx); err != nil {
		return nil, 0, err
	}
	begin := time.Now()
	if err := w.Bootstrap(ctx); err != nil {
		return nil, 0, err
	}
	if err := w.AllReady(ctx, n, nil); err != nil {
		return nil, 0, err
	}
	install := time.Since(begin)
	o, err := w.Observe(ctx)
	return o, install, err
}

func (r *result) summarize(all []local.Release) {
	of := func(get func(local.Release) time.Duration) []time.Duration {
		var ds []time.Duration
		for _, x := range all {
			ds = append(ds, get(x))
		}
		return ds
	}
	applied := of(func(x local.Release) time.Duration { return x.Applied.Sub(x.Pushed) })
	r.PushToCommit = median(of(func(x local.Release) time.Duration { return x.Committed.Sub(x.Pushed) }))
	r.CommitToApplied = median(of(func(x local.Release) time.Duration { return x.Applied.Sub(x.Committed) }))
	r.PushToApplied, r.PushToAppliedHi = median(applied), quantile(applied, 0.9)
	r.PushToReady = median(of(func(x local.Release) time.Duration { return x.Ready.Sub(x.Pushed) }))
}

func median(ds []time.Duration) float64 { return quantile(ds, 0.5) }

func quantile(ds []time.Duration, q float64) float64 {
	slices.Sort(ds)
	return float64(ds[min(int(q*float64(len(ds))), len(ds)-1)].Microseconds()) / 1000
}

func name(i int) string  { return fmt.Sprintf("app-%d", i) }
func image(i int) string { return "shop/" + name(i) }

// peaks are the most memory of each of a world's processes, in MiB.
func peaks(w *local.World) (map[string]float64, error) {
	all := map[string]float64{}
	for _, p := range w.Processes {
		peak, err := p.PeakMemory()
		if err != nil {
			return nil, err
		}
		all[p.Name] = float64(peak) / (1 << 20)
	}
	return all, nil
}

// files is a repo of n plain applications, each with an image of its own, and
// of others that are none of theirs, ten in a folder. The first application
// runs a pod, the others none.
func files(w *local.World, n, others int) map[string]string {
	all := w.Base()
	for i := range n {
		replicas := 0
		if i == 0 {
			replicas = 1
		}
		all["clusters/local/"+name(i)+".yaml"] = w.Application(name(i), "apps/"+name(i))
		all["apps/"+name(i)+"/deployment.yaml"] = local.Deployment(name(i), w.Image(image(i), "1.0.0"), replicas)
	}
	for i := range others {
		all[fmt.Sprintf("others/team-%d/%d.yaml", i/10, i%10)] = local.Deployment(fmt.Sprintf("other-%d", i), w.Image("other/"+name(i), "1.0.0"), 0)
	}
	return all
}

func table(out io.Writer, results []result) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "applications\tfiles\tpush→commit\tcommit→applied\tpush→applied\tp90\tpush→ready\tfloor\tratio\tinstall\t")
	for _, r := range results {
		fmt.Fprintf(w, "%d\t%d\t%.0f ms\t%.0f ms\t%.0f ms\t%.0f ms\t%.0f ms\t%.0f ms\t%.2f\t%.1f s\t\n", r.Applications, r.Files,
			r.PushToCommit, r.CommitToApplied, r.PushToApplied, r.PushToAppliedHi, r.PushToReady, r.Floor.sum(), r.ratio(), r.InstallSeconds)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	fmt.Fprintln(out)
	for _, r := range results {
		fmt.Fprintf(out, "floor with %d: manifest HEAD %.1f ms, git push %.1f ms, server-side apply %.1f ms, JetStream publish %.2f ms\n",
			r.Applications, r.Floor.Head, r.Floor.GitPush, r.Floor.Apply, r.Floor.Publish)
	}
	for _, r := range results {
		for _, name := range slices.Sorted(maps.Keys(r.PeakMiB)) {
			fmt.Fprintf(out, "peak memory with %d: %s %.0f MiB\n", r.Applications, name, r.PeakMiB[name])
		}
	}
	return nil
}
