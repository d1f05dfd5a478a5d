package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
)

// scale is the same work with one and with three replicas of each service, over
// three nodes of NATS, where the Git host, the registry and the API server take
// longer. The work is one image of each application, all told at once. What is
// shared are keys: an image's repository, a config repo's branch, an
// application; one branch of many applications is one key of the automator,
// which makes one commit of what comes together.
type scale struct {
	Repos        int       `json:"repos"`
	Applications int       `json:"applications"` // in all
	Concurrency  int       `json:"concurrency"`  // of applications in each synchronizer
	LatencyMs    float64   `json:"latencyMs"`
	Runs         []scaleOf `json:"runs"`
}

// scaleOf are medians with some replicas, from the first webhook told to the
// last application's change.
type scaleOf struct {
	Replicas    int     `json:"replicas"`
	CommittedMs float64 `json:"allCommittedMs"`
	AppliedMs   float64 `json:"allAppliedMs"`
	CPUSeconds  float64 `json:"cpuSeconds"` // of our processes, for one round
}

var scaleReplicas = []int{1, 3}

const (
	scaleLatency = 50 * time.Millisecond
	scaleApps    = 8 // of each repo
	scaleRounds  = 3 // after a warm-up
)

func measureScale(ctx context.Context, repos, concurrency int) (s scale, err error) {
	s = scale{Repos: repos, Applications: repos * scaleApps, Concurrency: concurrency, LatencyMs: float64(scaleLatency.Milliseconds())}
	for _, replicas := range scaleReplicas {
		run, err := scaleWith(ctx, local.Teams{Repos: repos, Applications: scaleApps}, replicas, concurrency)
		if err != nil {
			return s, fmt.Errorf("%d replicas: %w", replicas, err)
		}
		s.Runs = append(s.Runs, run)
	}
	return s, nil
}

func scaleWith(ctx context.Context, teams local.Teams, replicas, concurrency int) (r scaleOf, err error) {
	r.Replicas = replicas
	dir, err := os.MkdirTemp("", "slipway-scale-")
	if err != nil {
		return r, fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	o := local.Options{Dir: dir, Scale: &local.Scale{Replicas: replicas, Nodes: 3, Latency: scaleLatency, Concurrency: concurrency}}
	teams.Set(&o)
	w, err := local.Start(ctx, o)
	if err != nil {
		return r, err
	}
	defer w.Stop()
	see, _, err := bringUp(ctx, w, len(teams.All()))
	if err != nil {
		return r, err
	}
	defer see.Close()
	var committed, applied, cpu []time.Duration
	for i := range 1 + scaleRounds {
		before, err := cpuOf(w)
		if err != nil {
			return r, err
		}
		c, a, err := scaleRound(ctx, w, see, teams, fmt.Sprintf("1.%d.0", i+1))
		if err != nil {
			return r, err
		}
		after, err := cpuOf(w)
		if err != nil {
			return r, err
		}
		if i > 0 { // the first warms up
			committed, applied, cpu = append(committed, c), append(applied, a), append(cpu, after-before)
		}
	}
	r.CommittedMs, r.AppliedMs, r.CPUSeconds = median(committed), median(applied), median(cpu)/1000
	return r, nil
}

// cpuOf is what our processes have worked.
func cpuOf(w *local.World) (sum time.Duration, err error) {
	for _, p := range w.Processes {
		used, err := p.CPUTime()
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// scaleRound pushes a tag of each image while nobody is told, then tells of all
// at once, and waits until each is committed and applied.
func scaleRound(ctx context.Context, w *local.World, o *local.Observer, teams local.Teams, tag string) (committed, applied time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	apps := teams.All()
	w.Door.HoldRegistry(true)
	known := len(w.Door.FromRegistry())
	digests := make([]string, len(apps))
	pushing, pushed := errgroup.WithContext(ctx)
	pushing.SetLimit(8)
	for i, app := range apps {
		pushing.Go(func() (err error) { digests[i], err = w.Push(pushed, teams.Image(app), tag); return })
	}
	if err := pushing.Wait(); err != nil {
		return 0, 0, err
	}
	err = parts.Eventually(ctx, time.Minute, func() error { return local.ToldOf(w.Door.FromRegistry()[known:], digests) })
	if err != nil {
		return 0, 0, err
	}
	told := w.Door.FromRegistry()[known:]
	w.Door.HoldRegistry(false)
	allApplied, err := o.AllName(ctx, tag, len(apps))
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for _, d := range told {
		group.Go(func() error {
			return parts.Eventually(ctx, time.Minute, func() error {
				status, body, err := w.Door.Tell(ctx, d)
				if err == nil && status/100 != 2 {
					err = fmt.Errorf("told: %d %s", status, body)
				}
				return err
			})
		})
	}
	group.Go(func() error {
		at, _, err := allCommitted(ctx, o, begin, len(apps))
		committed = at.Sub(begin)
		return err
	})
	group.Go(func() error {
		at, err := allApplied()
		applied = at.Sub(begin)
		return err
	})
	return committed, applied, group.Wait()
}

func runScales(ctx context.Context, sizes string, concurrency int, asJSON bool) error {
	all, err := each(ctx, "-scale", sizes, func(n int) (scale, error) { return measureScale(ctx, n, concurrency) })
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(all)
	}
	return scaleTable(os.Stdout, all)
}

func scaleTable(out io.Writer, all []scale) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "repos\tapplications\tat a time\treplicas\tall committed\tall applied\ttimes the work of one\tour CPU\t")
	for _, s := range all {
		for _, r := range s.Runs {
			fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%.0f ms\t%.0f ms\t%.2f\t%.1f s\t\n", s.Repos, s.Applications, s.Concurrency, r.Replicas,
				r.CommittedMs, r.AppliedMs, s.Runs[0].AppliedMs/r.AppliedMs, r.CPUSeconds)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
