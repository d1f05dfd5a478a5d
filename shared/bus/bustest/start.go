// Package bustest gives tests a real bus: an embedded server with its files in
// the test's folder, and one suite of what a bus must do.
package bustest

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/busserver"
)

// Start gives a bus of its own to a test; both end with it.
func Start(t testing.TB) *bus.Bus {
	t.Helper()
	return Connect(t, Server(t).URL())
}

// Server runs a server until the test ends.
func Server(t testing.TB) *busserver.Server {
	t.Helper()
	s, err := busserver.Start(busserver.Options{Dir: t.TempDir(), Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
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
func Silent() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

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
