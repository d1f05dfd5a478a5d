package bus_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

// withEvents is a bus with so many events of shop/web.
func withEvents(t testing.TB, n int) (*bus.Bus, []events.Event) {
	t.Helper()
	b := bustest.Start(t)
	var all []events.Event
	for i := range n {
		all = append(all, bustest.Artifact(t, fmt.Sprint(i), "shop/web"))
	}
	for from := 0; from < n; from += bus.MaxBatch {
		if err := b.Publish(t.Context(), all[from:min(from+bus.MaxBatch, n)]...); err != nil {
			t.Fatal(err)
		}
	}
	return b, all
}

func has(t testing.TB, b *bus.Bus, e events.Event, ago time.Duration) bool {
	t.Helper()
	had, err := b.Has(t.Context(), e, time.Now().Add(-ago))
	if err != nil {
		t.Fatal(err)
	}
	return had
}

func TestAStormOfOldDeliveriesReadsTheStreamOnce(t *testing.T) {
	const stored, storm = 2000, 200
	b, all := withEvents(t, stored)
	before := b.Received()
	var asked sync.WaitGroup
	for i := range storm {
		asked.Go(func() {
			// Each is a little older than the one before.
			if has(t, b, bustest.Artifact(t, fmt.Sprint("new-", i), "shop/web"), time.Hour+time.Duration(i)*time.Second) {
				t.Errorf("new-%d is said to be stored", i)
			}
		})
	}
	asked.Wait()
	if n := b.Received() - before; n < stored || n > 2*stored {
		t.Errorf("%d questions brought %d messages, with %d events stored", storm, n, stored)
	}
	if !has(t, b, all[stored/2], time.Hour) {
		t.Error("one that is stored isn't found")
	}
}

func TestWhatWasRemovedIsNotTakenForStored(t *testing.T) {
	b, all := withEvents(t, 20)
	if !has(t, b, all[3], time.Hour) {
		t.Fatal("one that is stored isn't found")
	}
	if err := b.Empty(t.Context()); err != nil {
		t.Fatal(err)
	}
	if has(t, b, all[3], time.Hour) {
		t.Error("one that was removed is said to be stored")
	}
}

func TestTheIdsOfManySubjectsAreForgotten(t *testing.T) {
	const most = 100
	b, _ := withEvents(t, 0)
	b.KeepTold(most)
	for i := range 3 * most {
		name, stored := fmt.Sprint("shop/", i), fmt.Sprint("stored-", i)
		if err := b.Publish(t.Context(), bustest.Artifact(t, stored, name)); err != nil {
			t.Fatal(err)
		}
		if !has(t, b, bustest.Artifact(t, stored, name), time.Hour) || has(t, b, bustest.Artifact(t, "other", name), time.Hour) {
			t.Fatal(name, ": has tells what isn't so")
		}
		if n := b.ToldIDs(); n > most {
			t.Fatalf("%d ids are kept, more than %d", n, most)
		}
	}
	if n := b.ToldIDs(); n < 2 {
		t.Errorf("%d ids are counted: the last is among them, and its subject", n)
	}
}

func TestASendersClockMayBeAnything(t *testing.T) {
	b, all := withEvents(t, 20)
	for _, since := range []time.Time{{}, time.Unix(0, 0), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), time.Now().Add(-time.Hour)} {
		if had, err := b.Has(t.Context(), all[3], since); err != nil || !had {
			t.Errorf("since %s: has it is %t, %v", since, had, err)
		}
	}
	before := b.Received()
	if had, err := b.Has(t.Context(), bustest.Artifact(t, "new", "shop/web"), time.Time{}); err != nil || had {
		t.Errorf("a new one: has it is %t, %v", had, err)
	}
	if n := b.Received() - before; n > 0 {
		t.Errorf("what was read from the beginning is read anew: %d messages", n)
	}
}

// BenchmarkHas is one question of a storm.
func BenchmarkHas(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint("stored=", n), func(b *testing.B) {
			c, _ := withEvents(b, n)
			for i := 0; b.Loop(); i++ {
				has(b, c, bustest.Artifact(b, fmt.Sprint("new-", i), "shop/web"), time.Hour)
			}
		})
	}
}
