package bus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/busserver"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/freeport"
)

func TestMain(m *testing.M) {
	if child := os.Getenv(childVariable); child != "" {
		os.Exit(runChild(child))
	}
	// A server of NATS may forget a stream's files that it was making when it
	// was shut down. The leaks of the bus are ours, those of the server aren't.
	const server = "github.com/nats-io/nats-server/v2/server"
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(server+".(*fileStore).flushStreamStateLoop"), goleak.IgnoreAnyFunction(server+"/ats.Register.func1"))
}

func TestSingleServer(t *testing.T) {
	bustest.Run(t, func(t *testing.T) bustest.Target {
		t.Helper()
		server := bustest.Server(t)
		return bustest.Target{URL: server.URL(), Stop: server.Stop, Start: func() { server.Start(t) }}
	})
}

func TestConnectWaitsForTheServer(t *testing.T) {
	addr, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	o := bus.Options{URL: "nats://" + addr, Token: "secret", Log: bustest.Silent()}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := bus.Connect(short, o); err == nil || !strings.Contains(err.Error(), "no servers available") {
		t.Fatalf("error: %v", err)
	}
	opened := make(chan *bus.Bus, 1)
	go func() {
		b, err := bus.Connect(t.Context(), o)
		if err != nil {
			t.Error(err)
		}
		opened <- b
	}()
	server, err := busserver.Start(busserver.Options{Dir: t.TempDir(), Addr: addr, Token: "secret", SyncAlways: true})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	b := bustest.Receive(t, "the connection", opened)
	if err := b.Healthy(); err != nil {
		t.Error(err)
	}
	b.Close()
	b.Close()
	if b.Healthy() == nil {
		t.Error("healthy after its end")
	}
	o.Token = "wrong"
	short, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := bus.Connect(short, o); err == nil || strings.Contains(err.Error(), "wrong") {
		t.Fatalf("error with a wrong token: %v", err)
	}
}

func TestVersions(t *testing.T) {
	for version, ok := range map[string]bool{
		"2.12.0": true, "2.15.2": true, "3.0.0-beta": true, "2.9.10": false, "2.11.9": false, "1.4.1": false, "": false,
	} {
		if err := bus.CheckVersion(version); (err == nil) != ok {
			t.Errorf("%q: %v", version, err)
		}
	}
}

// TestAbandonedBatch holds that nothing of a batch is seen before its end.
func TestAbandonedBatch(t *testing.T) {
	b := bustest.Start(t)
	e := bustest.Artifact(t, "e", "shop/web")
	if err := b.AbandonBatch(e.NATSSubject()); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), e, bustest.Artifact(t, "f", "shop/web")); err != nil {
		t.Fatal(err)
	}
	n := 0
	for stored, err := range b.Read(t.Context(), bus.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; stored.Sequence != uint64(n) {
			t.Errorf("event %d is at %d", n, stored.Sequence)
		}
	}
	if n != 2 {
		t.Errorf("read %d", n)
	}
}

// TestOddMessages meets what a newer or a broken service publishes, and looks
// at the log and the metrics.
func TestOddMessages(t *testing.T) {
	server := bustest.Server(t)
	registry := prometheus.NewPedanticRegistry()
	reader, writer := io.Pipe()
	log := slog.New(slog.NewJSONHandler(writer, nil))
	b := bustest.Open(t, bus.Options{URL: server.URL(), Log: log, Metrics: registry})
	other := bustest.Open(t, bus.Options{URL: server.URL(), Log: bustest.Silent(), Metrics: registry})
	e := bustest.Artifact(t, "e", "shop/web")
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.ReplaceAll(body, []byte(".0.3.0"), []byte(".9.0.0"))
	for _, raw := range [][]byte{newer, []byte("{}"), []byte("no JSON\n")} {
		if err := other.PublishRaw(t.Context(), e.NATSSubject(), raw); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- b.Subscribe(ctx, bus.Subscription{Name: "c", Concurrency: 1, Types: []events.Type{e.Type()}},
			func(context.Context, events.Event) error { return nil })
		_ = writer.Close() // never errs
	}()
	outcomes := readOutcomes(t, json.NewDecoder(reader), e)
	cancel()
	go func() { _, _ = io.Copy(io.Discard, reader) }() // what is left must not block
	if err := bustest.Receive(t, "the end", done); err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{"done": 1, "dead": 2, "unknown_type": 1}; fmt.Sprint(outcomes) != fmt.Sprint(want) {
		t.Errorf("outcomes %v, want %v", outcomes, want)
	}
	letters, err := b.Dead(t.Context())
	if err != nil || len(letters) != 2 || string(letters[1].Data) != "no JSON\n" || letters[1].Event != nil {
		t.Errorf("letters %v, error %v", letters, err)
	}
	if n, err := testutil.GatherAndCount(registry, "slipway_bus_handled_total", "slipway_bus_dead_total", "slipway_bus_published_total", "slipway_bus_handle_seconds"); n != 6 || err != nil {
		t.Errorf("%d metrics, error %v", n, err)
	}
}

// readOutcomes reads four log lines, of which that of e tells all of it.
func readOutcomes(t *testing.T, lines *json.Decoder, e events.Event) map[string]int {
	t.Helper()
	outcomes := map[string]int{}
	for range 4 {
		var line map[string]any
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		outcomes[fmt.Sprint(line["outcome"])]++
		if line["outcome"] != "done" {
			continue
		}
		for key, want := range map[string]any{
			"event_id": e.ID, "type": string(e.Type()), "subject": e.Payload.SubjectID(), "chain_id": e.ChainID, "tries": 1.0, "consumer": "c",
		} {
			if line[key] != want {
				t.Errorf("log line has %s %v, want %v", key, line[key], want)
			}
		}
	}
	return outcomes
}

func TestBucketKeysAreReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a/.=\x00]+`)).Draw(t, "key")
		encoded, err := bus.EncodeBucketKey(key)
		if key == "" {
			if err == nil {
				t.Fatal("an empty key was taken")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(encoded, ".") || strings.HasSuffix(encoded, ".") || strings.Contains(encoded, "..") {
			t.Fatalf("%q has an empty token", encoded)
		}
		if decoded, err := bus.DecodeBucketKey(encoded); err != nil || decoded != key {
			t.Fatalf("%q came back as %q, %v", key, decoded, err)
		}
	})
}

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bus.Backoff{First: 100 * time.Millisecond, Max: 5 * time.Second}
		tries := rapid.IntRange(1, 1_000_000).Draw(t, "tries")
		want := b.Max
		if tries < 7 {
			want = b.First << (tries - 1)
		}
		if d := b.Delay(tries); d < want*3/4 || d > want*5/4 {
			t.Fatalf("try %d waits %s, want about %s", tries, d, want)
		}
	})
}
