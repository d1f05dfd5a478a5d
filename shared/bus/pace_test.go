package bus_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

// TestPace: after a work, items of other kinds wait for company.
func TestPace(t *testing.T) {
	q, err := bustest.Start(t).Queue(t.Context(), "paced", bus.QueueOptions{
		Pace: time.Hour,
		Kind: func(item string) string { kind, _, _ := strings.Cut(item, ":"); return kind },
	})
	if err != nil {
		t.Fatal(err)
	}
	works := worked(t, q)
	for _, step := range []struct {
		put  []string
		work string // what was gathered; empty for nothing
	}{
		{[]string{"web:1"}, "web:1"},
		{[]string{"api:1", "cart:1"}, ""},
		{[]string{"web:2"}, "api:1 cart:1 web:2"}, // its kind was in the work before
		{[]string{"cart:2"}, "cart:2"},
		{[]string{"web:3"}, ""}, // by now another's turn
		{[]string{":a", "cart:3"}, "web:3 :a cart:3"},
		{[]string{":b"}, ":b"}, // what has no kind doesn't wait when it is alone
		{[]string{"api:2"}, ""},
		{[]string{"web:4"}, "api:2 web:4"}, // and changed nothing
	} {
		for _, item := range step.put {
			if err := q.Put(t.Context(), "key", item); err != nil {
				t.Fatal(err)
			}
		}
		if step.work == "" {
			continue // what follows shows that it waited
		}
		select {
		case got := <-works:
			if got := strings.Join(got, " "); got != step.work {
				t.Fatalf("worked on %q, want %q", got, step.work)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("nothing was done, want %q", step.work)
		}
	}
}

// TestPaceEnds: what waits for company is worked on without any in the end.
func TestPaceEnds(t *testing.T) {
	q, err := bustest.Start(t).Queue(t.Context(), "paced", bus.QueueOptions{Pace: 200 * time.Millisecond, Kind: func(item string) string { return item }})
	if err != nil {
		t.Fatal(err)
	}
	works := worked(t, q)
	for _, item := range []string{"a", "b", "c"} {
		if err := q.Put(t.Context(), "key", item); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-works:
			if !slices.Equal(got, []string{item}) {
				t.Fatalf("worked on %q, want %q", got, item)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s was never worked on", item)
		}
	}
}

// worked runs a queue and gives the items of each work.
func worked(t *testing.T, q *bus.Queue) <-chan []string {
	t.Helper()
	works := make(chan []string, 16)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- q.Run(ctx, func(_ context.Context, w bus.Work) error {
			works <- w.Items
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return works
}
