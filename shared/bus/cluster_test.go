package bus_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers for each test")
	}
	bustest.Run(t, func(t *testing.T) bustest.Target {
		t.Helper()
		return bustest.Target{URL: bustest.StartCluster(t).URL(), Replicas: 3}
	})
}

// TestClusterLosesServers stops each server of a cluster in turn while events
// and work go on: of three, two are enough.
func TestClusterLosesServers(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers")
	}
	cluster := bustest.StartCluster(t)
	b := bustest.Open(t, bus.Options{URL: cluster.URL(), Replicas: 3, Log: bustest.Silent()})
	q, err := b.Queue(t.Context(), "q", bus.QueueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	worked, done := make(chan string, 100), make(chan error, 2)
	go func() {
		done <- b.Subscribe(ctx, bus.Subscription{Name: "c"}, func(ctx context.Context, e events.Event) error {
			return q.Put(ctx, "key", e.ID)
		})
	}()
	go func() {
		done <- q.Run(ctx, func(_ context.Context, w bus.Work) error {
			for _, item := range w.Items {
				worked <- item
			}
			return nil
		})
	}()
	round := func(id string) {
		began := time.Now()
		publishing, stop := context.WithTimeout(ctx, 30*time.Second)
		defer stop()
		if err := b.Publish(publishing, bustest.Artifact(t, id+"-1", "shop/web"), bustest.Artifact(t, id+"-2", "shop/web")); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		bustest.Until(t, "the work of "+id, func() bool {
			for len(worked) > 0 {
				seen[<-worked] = true
			}
			return seen[id+"-1"] && seen[id+"-2"]
		})
		t.Logf("%s: worked on %s after its publishing", id, time.Since(began))
	}
	round("all")
	for i, server := range cluster {
		server.Stop()
		round(fmt.Sprint("without-", i))
		server.Start(t)
		round(fmt.Sprint("again-", i))
	}
	cancel()
	for range 2 {
		if err := bustest.Receive(t, "the end", done); err != nil {
			t.Error(err)
		}
	}
}
