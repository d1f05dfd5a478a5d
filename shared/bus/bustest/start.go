// Package bustest gives tests a real bus: an embedded server with its files in
// the test's folder, and one suite of what a bus must do.
package bustest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/busserver"
	"github.com/slipway-cd/slipway/shared/freeport"
)

// patience is how long what must happen may take, on a machine that has much
// else to do.
const patience = 90 * time.Second

// Start gives a bus of its own to a test; both end with it.
func Start(t testing.TB) *bus.Bus {
	t.Helper()
	return Connect(t, Server(t).URL())
}

// Server runs a server until the test ends.
func Server(t testing.TB) *Embedded {
	t.Helper()
	e := &Embedded{o: busserver.Options{Dir: t.TempDir(), Addr: address(t)}}
	e.Start(t)
	t.Cleanup(e.Stop)
	return e
}

// Embedded is a server that a test may stop and start again; its store and its
// address stay.
type Embedded struct {
	o      busserver.Options
	server *busserver.Server
}

// URL is where clients connect.
func (e *Embedded) URL() string { return e.server.URL() }

// Start runs the server.
func (e *Embedded) Start(t testing.TB) {
	t.Helper()
	s, err := busserver.Start(e.o)
	if err != nil {
		t.Fatal(err)
	}
	e.server = s
}

// Stop ends the server.
func (e *Embedded) Stop() { e.server.Shutdown() }

// Limit bounds the stream of events as an operator may, to that many bytes
// more than it has: what is beyond is refused. A negative number takes the
// bound away.
func (e *Embedded) Limit(t testing.TB, bytes int64) {
	t.Helper()
	nc, err := nats.Connect(e.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "SLIPWAY")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.Discard, cfg.MaxBytes = jetstream.DiscardNew, -1
	if bytes >= 0 {
		cfg.MaxBytes = int64(stream.CachedInfo().State.Bytes) + bytes
	}
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// Connect is one more connection to a server, as another service has it.
func Connect(t testing.TB, url string) *bus.Bus {
	t.Helper()
	return Open(t, bus.Options{Name: t.Name(), URL: url, Log: Silent()})
}

// Open connects with options and closes with the test.
func Open(t testing.TB, o bus.Options) *bus.Bus {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b, err := bus.Connect(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// Silent is a logger that writes nothing.
func Silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Until waits until ok is true, with patience.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never came: %s", what)
		}
	}
}

// Receive takes the next value of a channel, with patience.
func Receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("never came: %s", what)
		panic("unreachable")
	}
}

// Artifact makes an "artifact.published" event about the image repository
// "registry.example.com/<name>".
func Artifact(t testing.TB, id, name string) events.Event {
	t.Helper()
	e, err := events.New(
		events.Meta{ID: id, Source: "/bustest/a", ChainID: "chain-" + id, Time: time.Now()},
		events.ArtifactPublished{Artifact: events.Artifact{
			Registry: "registry.example.com", Repository: name, Tag: "1.0.0", Provider: "test", Source: "a",
		}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Cluster is three servers that share everything.
type Cluster []*Embedded

// StartCluster runs a cluster until the test ends.
func StartCluster(t testing.TB) Cluster {
	t.Helper()
	var all Cluster
	var ports []int
	var routes []string
	for range 3 {
		port, err := freeport.Take()
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	for i := range routes {
		e := &Embedded{o: busserver.Options{
			Dir: t.TempDir(), Addr: address(t),
			Cluster: &busserver.Cluster{Name: fmt.Sprint("server", i), Port: ports[i], Routes: routes},
		}}
		e.Start(t)
		t.Cleanup(e.Stop)
		all = append(all, e)
	}
	return all
}

// URL is where clients connect: to any of the servers.
func (c Cluster) URL() string {
	var urls []string
	for _, e := range c {
		urls = append(urls, e.URL())
	}
	return strings.Join(urls, ",")
}

// address is the server's own also while it is stopped.
func address(t testing.TB) string {
	t.Helper()
	addr, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}
