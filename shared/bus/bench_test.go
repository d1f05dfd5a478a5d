package bus_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/busserver"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

// bothSyncs runs a benchmark with and without a sync of every write.
func bothSyncs(b *testing.B, run func(b *testing.B, c *bus.Bus)) {
	for _, always := range []bool{false, true} {
		b.Run(fmt.Sprint("sync=", always), func(b *testing.B) {
			s, err := busserver.Start(busserver.Options{Dir: b.TempDir(), Addr: ":0", SyncAlways: always})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(s.Shutdown)
			run(b, bustest.Connect(b, s.URL()))
		})
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 2, 50} {
		b.Run(fmt.Sprint("events=", n), func(b *testing.B) {
			bothSyncs(b, func(b *testing.B, c *bus.Bus) {
				for i := 0; b.Loop(); i++ {
					b.StopTimer()
					evs := make([]events.Event, n)
					for j := range evs {
						evs[j] = bustest.Artifact(b, fmt.Sprint(i, "-", j), "shop/web")
					}
					b.StartTimer()
					if err := c.Publish(b.Context(), evs...); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func BenchmarkSubscribe(b *testing.B) {
	bothSyncs(b, func(b *testing.B, c *bus.Bus) {
		var evs []events.Event
		for i := range b.N {
			if evs = append(evs, bustest.Artifact(b, fmt.Sprint(i), "shop/web")); len(evs) == 500 || i == b.N-1 {
				if err := c.Publish(b.Context(), evs...); err != nil {
					b.Fatal(err)
				}
				evs = nil
			}
		}
		ctx, cancel := context.WithCancel(b.Context())
		var n atomic.Int64
		b.ResetTimer()
		err := c.Subscribe(ctx, bus.Subscription{Name: "c"}, func(context.Context, events.Event) error {
			if n.Add(1) == int64(b.N) {
				cancel()
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
}

// BenchmarkQueue measures from the call of Put to the worker's start.
func BenchmarkQueue(b *testing.B) {
	bothSyncs(b, func(b *testing.B, c *bus.Bus) {
		q, err := c.Queue(b.Context(), "bench", bus.QueueOptions{})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		started, done := make(chan time.Time), make(chan error, 1)
		go func() {
			done <- q.Run(ctx, func(context.Context, bus.Work) error { started <- time.Now(); return nil })
		}()
		var took []time.Duration
		pace := time.NewTicker(20 * time.Millisecond) // the work before has ended
		defer pace.Stop()
		for i := 0; b.Loop(); i++ {
			<-pace.C
			began := time.Now()
			if err := q.Put(b.Context(), fmt.Sprint("key", i%100), "item"); err != nil {
				b.Fatal(err)
			}
			took = append(took, (<-started).Sub(began))
		}
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs/median")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs/p99")
	})
}
