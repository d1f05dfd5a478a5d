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

func TestSmoke(t *testing.T) {
	b := bustest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	sub := make(chan error)
	got2 := make(chan string, 10)
	go func() {
		sub <- b.Subscribe(ctx, bus.Subscription{Name: "c"}, func(_ context.Context, e events.Event) error {
			got2 <- e.ID
			return nil
		})
	}()
	for i := range 3 {
		start := time.Now()
		if err := b.Publish(ctx, bustest.Artifact(t, fmt.Sprint("i", i), "a/b"), bustest.Artifact(t, fmt.Sprint("j", i), "a/b")); err != nil {
			t.Fatal(err)
		}
		p := time.Since(start)
		t.Log(p, <-got2, <-got2, time.Since(start))
	}
	for s, err := range b.Read(ctx, bus.ReadOptions{Key: "registry.example.com/a/b"}) {
		t.Log(s.Sequence, s.Event.ID, err)
	}
	q, err := b.Queue(t.Context(), "q", bus.QueueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan bus.Work, 10)
	done := make(chan error)
	go func() { done <- q.Run(ctx, func(_ context.Context, w bus.Work) error { got <- w; return nil }) }()
	for i := range 5 {
		start := time.Now()
		if err := q.Put(ctx, "k/a.b", fmt.Sprint("item", i)); err != nil {
			t.Fatal(err)
		}
		put := time.Since(start)
		w := <-got
		t.Log(put, time.Since(start), w)
	}
	cancel()
	t.Log(<-sub)
	t.Log(<-done)
}
