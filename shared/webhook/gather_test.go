package webhook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
)

// disk is a bus that takes a while for each write, one after the other.
type disk struct {
	Publisher
	mu            sync.Mutex
	write         sync.Mutex
	single, batch time.Duration
	refuse        bool // batches
	stored        map[string]int
	writes        int
}

func (d *disk) Publish(ctx context.Context, evs ...events.Event) error {
	d.write.Lock()
	defer d.write.Unlock()
	wait := d.single
	if len(evs) > 1 {
		wait = d.batch
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	if d.refuse && len(evs) > 1 {
		return errors.New("refused")
	}
	for _, e := range evs {
		if e.ID == "bad" {
			return errors.New("bad")
		}
		d.stored[e.ID]++
	}
	return nil
}

// many publishes n events at once and gives the errors.
func many(t *testing.T, g *gatherer, n int) []error {
	t.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = g.Publish(t.Context(), events.Event{ID: fmt.Sprint(i)}) })
	}
	all.Wait()
	return errs
}

// learn has the gatherer find out how slow the disk is.
func learn(t *testing.T, g *gatherer, d *disk) {
	t.Helper()
	d.stored = map[string]int{}
	if err := g.Publish(t.Context(), events.Event{ID: "first"}); err != nil {
		t.Fatal(err)
	}
	d.stored, d.writes = map[string]int{}, 0
}

func TestSingleEventsAreStoredTogetherWhereThatIsQuicker(t *testing.T) {
	for name, c := range map[string]struct {
		disk     *disk
		together bool
	}{
		"a slow disk":              {&disk{single: 2 * time.Millisecond, batch: 20 * time.Millisecond}, true},
		"a slow disk that refuses": {&disk{single: 2 * time.Millisecond, batch: 20 * time.Millisecond, refuse: true}, false},
	} {
		g := gather(c.disk)
		learn(t, g, c.disk)
		for _, err := range many(t, g, 200) {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(c.disk.stored) != 200 || (c.disk.writes < 100) != c.together {
			t.Errorf("%s: %d stored by %d writes", name, len(c.disk.stored), c.disk.writes)
		}
		for id, n := range c.disk.stored {
			if n != 1 {
				t.Errorf("%s: %s stored %d times", name, id, n)
			}
		}
	}
}

func TestSingleEventsAreStoredOneByOneWhereThatIsQuicker(t *testing.T) {
	d := disk{batch: 20 * time.Millisecond, stored: map[string]int{}}
	for _, err := range many(t, gather(&d), 200) {
		if err != nil {
			t.Error(err)
		}
	}
	if d.writes != 200 {
		t.Errorf("%d writes", d.writes)
	}
}

func TestAFaultyEventFailsItsOwnRequestAlone(t *testing.T) {
	d := disk{single: 2 * time.Millisecond, batch: 20 * time.Millisecond}
	g := gather(&d)
	learn(t, g, &d)
	var all sync.WaitGroup
	all.Go(func() {
		if err := g.Publish(t.Context(), events.Event{ID: "bad"}); err == nil {
			t.Error("the faulty event was stored")
		}
	})
	for _, err := range many(t, g, 200) {
		if err != nil {
			t.Error(err)
		}
	}
	all.Wait()
}

func TestARequestThatEndedWhileItWaitedIsAnError(t *testing.T) {
	d := disk{single: time.Millisecond}
	g := gather(&d)
	learn(t, g, &d)
	d.write.Lock() // nothing is written
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for i := range 20 {
		all.Go(func() {
			if err := g.Publish(ctx, events.Event{ID: fmt.Sprint(i)}); err == nil {
				t.Error("stored after its request had ended")
			}
		})
	}
	<-ctx.Done()
	d.write.Unlock()
	all.Wait()
}
