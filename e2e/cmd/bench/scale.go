package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
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
	// BusyPercent is of this machine's cores, while the work was done, whoever
	// had them: near 100 they are the limit, not the waiting.
	BusyPercent float64 `json:"busyPercent"`
}

var scaleReplicas = []int{1, 3}

const (
	scaleApps   = 4 // of each repo
	scaleRounds = 3 // after a warm-up
)

func measureScale(ctx context.Context, repos, concurrency int, latency time.Duration) (s scale, err error) {
	s = scale{Repos: repos, Applications: repos * scaleApps, Concurrency: concurrency, LatencyMs: float64(latency.Milliseconds())}
	for _, replicas := range scaleReplicas {
		run, err := scaleWith(ctx, local.Teams{Repos: repos, Applications: scaleApps}, local.Scale{Replicas: replicas, Nodes: 3, Latency: latency, Concurrency: concurrency})
		if err != nil {
			return s, fmt.Errorf("%d replicas: %w", replicas, err)
		}
		s.Runs = append(s.Runs, run)
	}
	return s, nil
}

func scaleWith(ctx context.Context, teams local.Teams, of local.Scale) (r scaleOf, err error) {
	r.Replicas = of.Replicas
	dir, err := os.MkdirTemp("", "slipway-scale-")
	if err != nil {
		return r, fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	o := local.Options{Dir: dir, Scale: &of}
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
	var busy []float64
	for i := range 1 + scaleRounds {
		before, err := cpuOf(w)
		if err != nil {
			return r, err
		}
		c, a, b, err := scaleRound(ctx, w, see, teams, fmt.Sprintf("1.%d.0", i+1))
		if err != nil {
			return r, err
		}
		after, err := cpuOf(w)
		if err != nil {
			return r, err
		}
		if i > 0 { // the first warms up
			committed, applied, cpu = append(committed, c), append(applied, a), append(cpu, after-before)
			busy = append(busy, b)
		}
	}
	r.CommittedMs, r.AppliedMs, r.CPUSeconds = median(committed), median(applied), median(cpu)/1000
	slices.Sort(busy)
	r.BusyPercent = busy[len(busy)/2]
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
func scaleRound(ctx context.Context, w *local.World, o *local.Observer, teams local.Teams, tag string) (committed, applied time.Duration, busy float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	apps := teams.All()
	since := time.Now() // a sweep may find the first ones before anybody tells
	w.Door.HoldRegistry(true)
	known := len(w.Door.FromRegistry())
	digests := make([]string, len(apps))
	pushing, pushed := errgroup.WithContext(ctx)
	pushing.SetLimit(8)
	for i, app := range apps {
		pushing.Go(func() (err error) { digests[i], err = w.Push(pushed, teams.Image(app), tag); return })
	}
	if err := pushing.Wait(); err != nil {
		return 0, 0, 0, err
	}
	err = parts.Eventually(ctx, time.Minute, func() error { return local.ToldOf(w.Door.FromRegistry()[known:], digests) })
	if err != nil {
		return 0, 0, 0, err
	}
	told := w.Door.FromRegistry()[known:]
	w.Door.HoldRegistry(false)
	allApplied, err := o.AllName(ctx, tag, len(apps))
	if err != nil {
		return 0, 0, 0, err
	}
	begin := time.Now()
	before, err := readCores()
	if err != nil {
		return 0, 0, 0, err
	}
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
		at, _, err := allCommitted(ctx, o, since, len(apps))
		committed = at.Sub(begin)
		return err
	})
	group.Go(func() error {
		at, err := allApplied()
		applied = at.Sub(begin)
		return err
	})
	if err := group.Wait(); err != nil {
		return 0, 0, 0, err
	}
	after, err := readCores()
	return committed, applied, after.busySince(before), err
}

// cores is what this machine's cores have done, in the kernel's ticks.
type cores struct{ all, idle float64 }

// readCores reads the first line of /proc/stat (proc(5)).
func readCores() (c cores, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return c, fmt.Errorf("read what the cores do: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line)[1:] {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return c, fmt.Errorf("read what the cores do: %w", err)
		}
		const idle, wait, guest = 3, 4, 8
		if i < guest { // what guests have is in the user's, too
			c.all += n
		}
		if i == idle || i == wait {
			c.idle += n
		}
	}
	return c, nil
}

func (c cores) busySince(before cores) float64 {
	return 100 * (1 - (c.idle-before.idle)/max(c.all-before.all, 1))
}

func runScales(ctx context.Context, sizes string, concurrency int, latency time.Duration, asJSON bool) error {
	all, err := each(ctx, "-scale", sizes, func(n int) (scale, error) { return measureScale(ctx, n, concurrency, latency) })
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
	fmt.Fprintln(w, "latency\trepos\tapplications\tat a time\treplicas\tall committed\tall applied\ttimes the work of one\tour CPU\tmachine busy\t")
	for _, s := range all {
		for _, r := range s.Runs {
			fmt.Fprintf(w, "%.0f ms\t%d\t%d\t%d\t%d\t%.0f ms\t%.0f ms\t%.2f\t%.1f s\t%.0f %%\t\n", s.LatencyMs, s.Repos, s.Applications, s.Concurrency, r.Replicas,
				r.CommittedMs, r.AppliedMs, s.Runs[0].AppliedMs/r.AppliedMs, r.CPUSeconds, r.BusyPercent)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
