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

	"github.com/slipway-cd/slipway/e2e/parts"
)

func main() {
	sizes := flag.String("applications", "1,50,1000", "how many applications the repo has, one run each")
	releases := flag.Int("releases", 20, "how many releases are measured, after a warm-up")
	asJSON := flag.Bool("json", false, "print JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *sizes, *releases, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, sizes string, releases int, asJSON bool) error {
	if err := parts.Build(ctx, nil); err != nil {
		return err
	}
	var results []result
	for size := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil || n < 1 {
			return fmt.Errorf("-applications: %q is not a number of applications", size)
		}
		fmt.Fprintf(os.Stderr, "%d applications …\n", n)
		r, err := measure(ctx, n, releases)
		if err != nil {
			return fmt.Errorf("%d applications: %w", n, err)
		}
		results = append(results, r)
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(results)
	}
	return table(os.Stdout, results)
}
