package bus_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

// few is a limit that one of the events below does not fit in.
const few = 100

// TestAFullBusIsToldAtOnce fills the stream, then the server: no publish waits
// for room, nothing is stored, and the same events are taken when there is
// room.
func TestAFullBusIsToldAtOnce(t *testing.T) {
	for name, events := range map[string][]events.Event{
		"one event": {bustest.Artifact(t, "1", "web")},
		"a batch":   {bustest.Artifact(t, "1", "web"), bustest.Artifact(t, "2", "web"), bustest.Artifact(t, "3", "web")},
	} {
		t.Run(name, func(t *testing.T) {
			server := bustest.Server(t)
			b := bustest.Connect(t, server.URL())
			server.Limit(t, few)
			refusedAtOnce(t, b, events)
			if n := count(t, b); n != 0 {
				t.Errorf("%d events are stored", n)
			}
			server.Limit(t, -1)
			for range 2 {
				if err := b.Publish(t.Context(), events...); err != nil {
					t.Errorf("with room: %v", err)
				}
			}
			if n := count(t, b); n != len(events) {
				t.Errorf("%d events are stored, want %d", n, len(events))
			}
		})
		t.Run(name+" at the server's limit", func(t *testing.T) {
			b := bustest.Connect(t, boundedServer(t, 64<<10))
			var err error
			for i := 0; err == nil && i < 1000; i++ {
				err = b.Publish(t.Context(), bustest.Artifact(t, fmt.Sprint("fill-", i), "web"))
			}
			refusedAtOnce(t, b, events)
		})
	}
}

func refusedAtOnce(t *testing.T, b *bus.Bus, all []events.Event) {
	t.Helper()
	began := time.Now()
	err := b.Publish(t.Context(), all...)
	if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "no room") || took > 2*time.Second { // an attempt that times out
		t.Errorf("publish: %v after %s", err, took)
	}
}

func count(t *testing.T, b *bus.Bus) (n int) {
	t.Helper()
	for _, err := range b.Read(t.Context(), bus.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// boundedServer keeps at most so many bytes in all of its streams.
func boundedServer(t *testing.T, bytes int64) string {
	t.Helper()
	return serve(t, server.Options{JetStreamMaxStore: bytes})
}

// serve runs a server with options of the test's own.
func serve(t *testing.T, o server.Options) (url string) {
	t.Helper()
	o.Host, o.Port, o.JetStream, o.StoreDir, o.NoSigs, o.NoLog = "127.0.0.1", server.RANDOM_PORT, true, t.TempDir(), true, true
	s, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server did not start")
	}
	return s.ClientURL()
}
