package bus_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

// What waits is told while nobody finishes it, and what died until somebody takes
// it away.
func TestWhatWaitsAndWhatDiedIsCounted(t *testing.T) {
	server, metrics := bustest.Server(t), prometheus.NewRegistry()
	b := bustest.Open(t, bus.Options{Name: "counting", URL: server.URL(), Log: bustest.Silent(), Metrics: metrics, Measure: 10 * time.Millisecond})
	told := func(what string, lines ...string) {
		t.Helper()
		bustest.Until(t, what, func() bool {
			return testutil.GatherAndCompare(metrics, strings.NewReader(strings.Join(lines, "\n")+"\n"), strings.Fields(lines[0])[2]) == nil
		})
	}
	const letters = "slipway_bus_dead_letters"
	help := []string{"# HELP " + letters + " Dead letters that wait for somebody, of all consumers and queues.", "# TYPE " + letters + " gauge"}
	told("there are no dead letters", append(help, letters+" 0")...)
	if err := b.PutAside(t.Context(), "receiver", "source", []byte("x"), context.Canceled); err != nil {
		t.Fatal(err)
	}
	told("the dead letter", append(help, letters+" 1")...)

	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- b.Subscribe(ctx, bus.Subscription{Name: "slow", Concurrency: 1}, func(context.Context, events.Event) error {
			<-release
			return nil
		})
	}()
	for i := range 3 {
		if err := b.Publish(t.Context(), bustest.Artifact(t, fmt.Sprintf("waits-%d", i), "web")); err != nil {
			t.Fatal(err)
		}
	}
	const pending = "slipway_bus_pending_events"
	help = []string{"# HELP " + pending + " Events stored that the consumer has not finished.", "# TYPE " + pending + " gauge"}
	told("three events wait", append(help, pending+`{consumer="slow"} 3`)...)
	close(release)
	told("none waits", append(help, pending+`{consumer="slow"} 0`)...)
	cancel()
	if err := bustest.Receive(t, "the end", ended); err != nil {
		t.Error(err)
	}
}

// The age of work is that of the oldest item, from when it was put, and ends with
// the work.
func TestTheAgeOfWorkIsTold(t *testing.T) {
	metrics := prometheus.NewRegistry()
	b := bustest.Open(t, bus.Options{Name: "aging", URL: bustest.Server(t).URL(), Log: bustest.Silent(), Metrics: metrics, Measure: 10 * time.Millisecond})
	queue, err := b.Queue(t.Context(), "aging", bus.QueueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	told := func(name string) float64 {
		all, err := metrics.Gather()
		if err != nil {
			t.Error(err)
		}
		for _, f := range all {
			if f.GetName() == name && len(f.GetMetric()) == 1 {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		return -1
	}
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- queue.Run(ctx, func(context.Context, bus.Work) error { <-release; return nil })
	}()
	for _, key := range []string{"a", "b"} {
		if err := queue.Put(t.Context(), key, "item"); err != nil {
			t.Fatal(err)
		}
	}
	bustest.Until(t, "two keys wait", func() bool { return told("slipway_bus_waiting_keys") == 2 })
	first := told("slipway_bus_waiting_seconds")
	bustest.Until(t, "they grow older", func() bool { return told("slipway_bus_waiting_seconds") > max(first, 0) })
	close(release)
	bustest.Until(t, "none waits", func() bool { return told("slipway_bus_waiting_keys") == 0 && told("slipway_bus_waiting_seconds") == 0 })
	cancel()
	if err := bustest.Receive(t, "the end", ended); err != nil {
		t.Error(err)
	}
}
