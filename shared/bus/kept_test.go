package bus_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

func keep(t *testing.T, b *bus.Bus) *bus.Kept[string] {
	t.Helper()
	k, err := bus.Keep[string](t.Context(), b, "kept", bus.BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := k.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	if err := k.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWhatIsKeptIsSeenByAllAndWrittenByTheFirst(t *testing.T) {
	b := bustest.Start(t)
	here := keep(t, b)
	first, err := here.Write(t.Context(), "a", "one", 0)
	if err != nil {
		t.Fatal(err)
	}
	there := keep(t, b) // starts later, and knows it when it is ready
	if v, ok := there.Of("a"); !ok || v.Value != "one" || len(there.All()) != 1 {
		t.Fatalf("there %+v", there.All())
	}
	if _, err := there.Write(t.Context(), "a", "two", first.Revision); err != nil {
		t.Fatal(err)
	}
	for _, over := range []uint64{0, first.Revision} {
		if _, err := here.Write(t.Context(), "a", "three", over); !errors.Is(err, bus.ErrConflict) {
			t.Errorf("written over revision %d: %v", over, err)
		}
	}
	if v, ok, err := here.Read(t.Context(), "a"); err != nil || !ok || v.Value != "two" {
		t.Errorf("read %+v, %t, %v", v, ok, err)
	}
	if v, ok := here.Of("a"); !ok || v.Value != "two" {
		t.Errorf("after a read it knows %+v", v)
	}
	if _, ok, err := here.Read(t.Context(), "b"); ok || err != nil {
		t.Errorf("what is not there is %t, %v", ok, err)
	}
}
