// Command bench measures releases from push to ready, with few and with many
// applications in the repo, beside what this machine's parts cost by
// themselves in the same run.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-cd/slipway/e2e/parts"
)

func main() {
	sizes := flag.String("applications", "1,50,1000", "how many applications the repo has, one run each")
	releases := flag.Int("releases", 20, "how many releases are measured, after a warm-up")
	burst := flag.String("burst", "", "instead, how many images of as many applications are pushed as one burst, one run each")
	fleets := flag.String("fleet", "", "instead, how many applications are installed at once, beside a bare client that applies the same; one run each")
	scales := flag.String("scale", "", "instead, how many config repos share the work of one and of three replicas of each service, one run each")
	concurrency := flag.Int("concurrency", 2, "with -scale, how many applications each synchronizer has in work at a time (its config's default is 8)")
	latency := flag.Duration("latency", 50*time.Millisecond, "with -scale, how much longer a request to the Git host, the registry or the API server takes")
	within := flag.Duration("within", 0, "the time over which a burst is spread; 0 is as fast as it goes")
	files := flag.Int("files", 0, "how many files the repo has beside the applications'")
	separate := flag.Bool("separate", false, "run each service as a process of its own, to see each one's memory; the bus and the registry are behind proxies then")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	shape := shape{files: *files, separate: *separate}
	var err error
	if *scales != "" {
		err = runScales(ctx, *scales, *concurrency, *latency, *asJSON)
	} else if *fleets != "" {
		err = runFleets(ctx, *fleets, *asJSON)
	} else if *burst != "" {
		err = runBursts(ctx, shape, *burst, *within, *asJSON)
	} else {
		err = run(ctx, shape, *sizes, *releases, *asJSON)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// shape is what a world has beside the applications of one run.
type shape struct {
	files    int
	separate bool
}

func run(ctx context.Context, s shape, sizes string, releases int, asJSON bool) error {
	results, err := each(ctx, "-applications", sizes, func(n int) (result, error) { return measure(ctx, s, n, releases) })
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(results)
	}
	return table(os.Stdout, results)
}

func runBursts(ctx context.Context, s shape, sizes string, within time.Duration, asJSON bool) error {
	bursts, err := each(ctx, "-burst", sizes, func(n int) (burst, error) { return measureBurst(ctx, s, n, within) })
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(bursts)
	}
	return burstTable(os.Stdout, bursts)
}

func runFleets(ctx context.Context, sizes string, asJSON bool) error {
	all, err := each(ctx, "-fleet", sizes, func(n int) (fleet, error) { return measureFleet(ctx, n) })
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(all)
	}
	return fleetTable(os.Stdout, all)
}

// each measures with each of the sizes.
func each[T any](ctx context.Context, flag, sizes string, measure func(n int) (T, error)) ([]T, error) {
	if err := parts.Build(ctx, nil); err != nil {
		return nil, err
	}
	var all []T
	for size := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%s: %q is not a number", flag, size)
		}
		fmt.Fprintf(os.Stderr, "%s %d …\n", flag, n)
		r, err := measure(n)
		if err != nil {
			return nil, fmt.Errorf("%d applications: %w", n, err)
		}
		all = append(all, r)
	}
	return all, nil
}
