package slipway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/slipway"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

// TestDeadLettersAreSeenAndGivenBack has a handler fail for good, and be mended.
func TestDeadLettersAreSeenAndGivenBack(t *testing.T) {
	server := bustest.Server(t)
	b := bustest.Connect(t, server.URL())
	config := filepath.Join(t.TempDir(), "slipway.yaml")
	if err := os.WriteFile(config, []byte(fmt.Sprintf("bus: {url: %q}\n", server.URL())), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(code int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if got := slipway.Main(append(args, "--config", config), strings.NewReader(""), &out, &errs); got != code {
			t.Fatalf("%v: exit %d, want %d\n%s%s", args, got, code, &out, &errs)
		}
		return out.String() + errs.String()
	}
	if out := run(0, "get", "dead"); out != "nothing is dead\n" {
		t.Errorf("%s", out)
	}

	var mended atomic.Bool
	handled := make(chan string, 10)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- b.Subscribe(ctx, bus.Subscription{Name: "ship", Types: []events.Type{events.ArtifactPublishedType}}, func(_ context.Context, e events.Event) error {
			if !mended.Load() {
				return bus.Permanent(errors.New("the hull has a hole\nand the mast is gone"))
			}
			handled <- e.ID
			return nil
		})
	}()
	for _, id := range []string{"a", "b", "c"} {
		if err := b.Publish(t.Context(), bustest.Artifact(t, id, "shop/"+id)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.PutAside(t.Context(), "registry-receiver", "quay", []byte("{"), errors.New("no JSON")); err != nil {
		t.Fatal(err)
	}
	var all []struct {
		ID                   uint64
		Consumer, What       string
		Chain, Reason, Event any
	}
	for deadline := time.Now().Add(10 * time.Second); len(all) < 4 && time.Now().Before(deadline); {
		if err := json.Unmarshal([]byte(run(0, "get", "dead", "-o", "json")), &all); err != nil {
			t.Fatal(err)
		}
	}
	table := run(0, "get", "dead", "--consumer", "ship")
	if len(all) != 4 || strings.Count(table, "the hull has a hole …") != 3 || strings.Contains(table, "quay") || !strings.Contains(table, "artifact.published pkg:oci/a") {
		t.Fatalf("%+v\n%s", all, table)
	}
	var second string // of the event b, whatever order they died in
	var aside []string
	for _, d := range all {
		switch {
		case d.Consumer != "ship":
			aside = append(aside, fmt.Sprint(d.ID))
		case strings.Contains(d.What, "oci/b"):
			second = fmt.Sprint(d.ID)
		}
	}

	mended.Store(true)
	if out := run(0, "replay", second); out != "replayed "+second+"\n" {
		t.Errorf("%s", out)
	}
	if got := <-handled; got != "b" {
		t.Errorf("%s was handled, not b", got)
	}
	if out := run(1, "replay", second); !strings.Contains(out, "no such dead letter") {
		t.Errorf("%s", out)
	}
	if out := run(1, "replay", "--all"); strings.Count(out, "replayed ") != 2 || !strings.Contains(out, "put aside unread") {
		t.Errorf("%s", out)
	}
	if a, c := <-handled, <-handled; a+c != "ac" && a+c != "ca" {
		t.Errorf("%s and %s were handled", a, c)
	}
	if out := run(0, "get", "dead"); len(aside) != 1 || strings.Count(out, "\n") != 2 || !strings.Contains(out, aside[0]) {
		t.Errorf("%s", out)
	}
	for _, args := range [][]string{{"replay"}, {"replay", "x"}, {"replay", "1", "--all"}, {"replay", "1", "--consumer", "ship"}} {
		run(2, args...)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
