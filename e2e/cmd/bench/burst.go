package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
)

// burst is many images, each of another application of one repo, pushed
// within a while. Times are milliseconds after the last push.
type burst struct {
	Images        int     `json:"images"`
	WithinSeconds float64 `json:"withinSeconds"` // how long the pushes took
	Commits       int     `json:"commits"`
	AllCommitted  float64 `json:"lastPushToAllCommittedMs"`
	AllApplied    float64 `json:"lastPushToAllAppliedMs"`
}

const burstTag = "1.1.0"

// measureBurst pushes n images evenly over within, and waits until each is on
// the branch and in the cluster. One that is lost fails it.
func measureBurst(ctx context.Context, s shape, n int, within time.Duration) (burst, error) {
	b := burst{Images: n}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "slipway-bench-")
	if err != nil {
		return b, fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	w, o, _, err := start(ctx, dir, s, n)
	if err != nil {
		return b, err
	}
	defer w.Stop()
	defer o.Close()
	allApplied, err := o.AllName(ctx, burstTag, n)
	if err != nil {
		return b, err
	}
	since := time.Now()
	var committed, applied time.Time
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { committed, b.Commits, err = allCommitted(ctx, o, since, n); return })
	group.Go(func() (err error) { applied, err = allApplied(); return })
	var last time.Time
	group.Go(func() (err error) { last, err = pushAll(ctx, w, n, within); return })
	if err := group.Wait(); err != nil {
		return b, err
	}
	b.WithinSeconds = last.Sub(since).Seconds()
	b.AllCommitted = float64(committed.Sub(last).Microseconds()) / 1000
	b.AllApplied = float64(applied.Sub(last).Microseconds()) / 1000
	return b, nil
}

// pushAll gives the moment after the last push.
func pushAll(ctx context.Context, w *local.World, n int, within time.Duration) (time.Time, error) {
	start := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range n {
		select {
		case <-ctx.Done():
			return time.Time{}, group.Wait()
		case <-time.After(time.Until(start.Add(within * time.Duration(i) / time.Duration(n)))):
		}
		group.Go(func() error {
			_, err := w.Push(ctx, image(i), burstTag)
			return err
		})
	}
	return time.Now(), group.Wait()
}

// allCommitted reads until n applications' changes are merged, and gives the
// moment when the last was stored, and of how many commits they are.
func allCommitted(ctx context.Context, o *local.Observer, since time.Time, n int) (time.Time, int, error) {
	merged, commits := map[string]bool{}, map[string]bool{}
	for s, err := range o.Bus.Read(ctx, bus.ReadOptions{Since: since, Follow: true}) {
		if err != nil {
			return time.Time{}, 0, fmt.Errorf("read the bus after %d of %d: %w", len(merged), n, err)
		}
		if p, ok := s.Event.Payload.(events.ChangeMerged); ok {
			merged[p.Application], commits[p.Commit] = true, true
		}
		if len(merged) == n {
			return s.StoredAt, len(commits), nil
		}
	}
	return time.Time{}, 0, fmt.Errorf("only %d of %d were committed: %w", len(merged), n, ctx.Err())
}

func burstTable(out io.Writer, bursts []burst) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "images\twithin\tcommits\tlast push→all committed\tlast push→all applied\t")
	for _, b := range bursts {
		fmt.Fprintf(w, "%d\t%.1f s\t%d\t%.0f ms\t%.0f ms\t\n", b.Images, b.WithinSeconds, b.Commits, b.AllCommitted, b.AllApplied)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
