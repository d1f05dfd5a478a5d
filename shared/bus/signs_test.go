package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

// What a replica remembers is lost with it. The others are told, whether it ends or
// just says nothing any more, and of which keys it worked on.
func TestTheOthersAreToldOfAReplicaThatIsGone(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(victim *bus.Bus, stop func()){
		"ended":  func(_ *bus.Bus, stop func()) { stop() },
		"killed": func(victim *bus.Bus, _ func()) { victim.Cut() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := bustest.Server(t)
			gone := make(chan map[string]bool, 10)
			run := func(b *bus.Bus, worked chan string, told func(worked func(string) bool)) (*bus.Queue, func()) {
				q, err := b.Queue(t.Context(), "q", bus.QueueOptions{LeaseTTL: 400 * time.Millisecond, Home: bus.HomePutter, Gone: told})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = q.Run(ctx, func(_ context.Context, w bus.Work) error { worked <- w.Key; return nil }) // its connection may be cut
				}()
				t.Cleanup(func() { cancel(); <-done })
				return q, cancel
			}
			mine, theirs := make(chan string, 10), make(chan string, 10)
			a, b := bustest.Connect(t, server.URL()), bustest.Connect(t, server.URL())
			first, _ := run(a, mine, func(worked func(string) bool) {
				gone <- map[string]bool{"mine": worked("mine"), "theirs": worked("theirs"), "nobody's": worked("nobody's")}
			})
			second, stop := run(b, theirs, func(func(string) bool) {})
			for _, put := range []struct {
				q   *bus.Queue
				key string
				by  chan string
			}{{first, "mine", mine}, {second, "theirs", theirs}} {
				if err := put.q.Put(t.Context(), put.key, "item"); err != nil {
					t.Fatal(err)
				}
				bustest.Receive(t, "the work on "+put.key, put.by)
				bustest.Until(t, "its end", func() bool { return a.Rests(t.Context(), "q", put.key) })
			}
			end(b, stop)
			if got := bustest.Receive(t, "word of it", gone); got["mine"] || !got["theirs"] || !got["nobody's"] {
				t.Errorf("told of %v", got)
			}
		})
	}
}
