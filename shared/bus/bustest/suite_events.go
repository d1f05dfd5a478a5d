package bustest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
)

func eventTests() []suiteTest {
	return []suiteTest{
		{name: "batch is stored once", run: batchOnce},
		{name: "batch with some duplicates ends complete", run: batchCompleted},
		{name: "many batches at once", run: manyBatches},
		{name: "read", run: read},
		{name: "read follows", run: readFollows},
		{name: "a failing handler gets the event again", run: redelivers},
		{name: "a failing event dies of age", run: diesOfAge},
		{name: "a permanent error and its replay", run: replay},
		{name: "three panics", run: panics},
		{name: "failing events delay no other", run: failingDelayNoOther},
		{name: "replicas share", run: replicasShare},
		{name: "a long handler keeps its event", run: longHandler},
		{name: "drain", run: drains},
		{name: "subscription over a restart", restarts: true, run: subscriptionRestart},
	}
}

func batchOnce(s *suite) {
	b := s.connect()
	evs := s.artifacts("e", "shop/web", 50)
	for range 3 {
		s.ok(b.Publish(s.Context(), evs...))
	}
	s.ok(b.Publish(s.Context(), evs[7]))
	s.ok(b.Publish(s.Context(), append(evs[:2:2], evs[0])...))
	if got := s.ids(b); len(got) != 50 || got[0] != "e-0" || got[49] != "e-49" {
		s.Errorf("stored %d: %v", len(got), got)
	}
	s.ok(b.Publish(s.Context()))
	if err := b.Publish(s.Context(), s.artifacts("x", "shop/web", bus.MaxBatch+1)...); err == nil {
		s.Error("a batch beyond the server's limit was taken")
	}
}

func batchCompleted(s *suite) {
	b := s.connect()
	evs := s.artifacts("e", "shop/web", 6)
	s.ok(b.Publish(s.Context(), evs[1], evs[3]))
	s.ok(b.Publish(s.Context(), evs...))
	got := s.ids(b)
	slices.Sort(got)
	if want := []string{"e-0", "e-1", "e-2", "e-3", "e-4", "e-5"}; !slices.Equal(got, want) {
		s.Errorf("stored %v, want %v", got, want)
	}
}

// manyBatches has more batches in flight than the server takes for a stream.
func manyBatches(s *suite) {
	var wg sync.WaitGroup
	for i := range 10 {
		b := s.connect()
		for j := range 10 {
			wg.Go(func() {
				evs := s.artifacts(fmt.Sprintf("e%d-%d", i, j), "shop/web", 5)
				if err := b.Publish(s.Context(), evs...); err != nil {
					s.Error(err)
				}
			})
		}
	}
	wg.Wait()
	got := s.ids(s.connect())
	slices.Sort(got)
	if all := len(slices.Compact(slices.Clone(got))); len(got) != 500 || all != 500 {
		s.Errorf("stored %d events, %d different, want 500", len(got), all)
	}
}

func read(s *suite) {
	b := s.connect()
	count := func(o bus.ReadOptions) (n int) {
		for _, err := range b.Read(s.Context(), o) {
			s.ok(err)
			n++
		}
		return n
	}
	if n := count(bus.ReadOptions{}); n != 0 {
		s.Errorf("an empty stream gave %d", n)
	}
	s.ok(b.Publish(s.Context(), s.artifacts("a", "shop/web", 20)...))
	s.ok(b.Publish(s.Context(), s.artifacts("b", "shop/api", 30)...))
	for what, c := range map[string]struct {
		o    bus.ReadOptions
		want int
	}{
		"all":           {bus.ReadOptions{}, 50},
		"key":           {bus.ReadOptions{Key: "registry.example.com/shop/web"}, 20},
		"other key":     {bus.ReadOptions{Key: "registry.example.com/shop"}, 0},
		"type":          {bus.ReadOptions{Types: []events.Type{events.ArtifactPublishedType}}, 50},
		"other type":    {bus.ReadOptions{Types: []events.Type{events.RefUpdatedType}}, 0},
		"chain":         {bus.ReadOptions{ChainID: "chain-b-3"}, 1},
		"since forever": {bus.ReadOptions{Since: time.Now().Add(-time.Hour)}, 50},
		"since later":   {bus.ReadOptions{Since: time.Now().Add(time.Hour)}, 0},
	} {
		if n := count(c.o); n != c.want {
			s.Errorf("%s: read %d, want %d", what, n, c.want)
		}
	}
	for what, c := range map[string]struct {
		event events.Event
		since time.Time
		want  bool
	}{
		"stored":           {s.artifacts("a", "shop/web", 20)[7], time.Now().Add(-time.Hour), true},
		"stored before":    {s.artifacts("a", "shop/web", 20)[7], time.Now().Add(time.Hour), false},
		"never stored":     {s.artifacts("c", "shop/web", 1)[0], time.Now().Add(-time.Hour), false},
		"of another image": {s.artifacts("a", "shop/nobody", 1)[0], time.Now().Add(-time.Hour), false},
	} {
		if had, err := b.Has(s.Context(), c.event, c.since); err != nil || had != c.want {
			s.Errorf("an event %s: has it is %t, %v", what, had, err)
		}
	}
	for stored, err := range b.Read(s.Context(), bus.ReadOptions{}) {
		s.ok(err)
		if stored.Sequence != 1 || stored.StoredAt.IsZero() {
			s.Errorf("first is %+v", stored)
		}
		break // must end the reader
	}
}

func readFollows(s *suite) {
	b := s.connect()
	s.ok(b.Publish(s.Context(), s.artifacts("a", "shop/web", 3)...))
	got := make(chan string, 10)
	s.goes(func(ctx context.Context) error {
		for stored, err := range b.Read(ctx, bus.ReadOptions{Follow: true}) {
			if err != nil {
				return err
			}
			got <- stored.Event.ID
		}
		return nil
	})
	for i := range 3 {
		if id := Receive(s.T, "a stored event", got); id != fmt.Sprint("a-", i) {
			s.Errorf("event %d is %s", i, id)
		}
	}
	s.ok(b.Publish(s.Context(), Artifact(s.T, "new", "shop/web")))
	if id := Receive(s.T, "the new event", got); id != "new" {
		s.Errorf("got %s", id)
	}
}

func redelivers(s *suite) {
	b := s.connect()
	times := make(chan time.Time, 10)
	s.subscribe(b, bus.Subscription{Name: "c", Backoff: bus.Backoff{First: 100 * time.Millisecond, Max: time.Second}},
		func(context.Context, events.Event) error {
			times <- time.Now()
			if len(times) < 4 {
				return errTest
			}
			return nil
		})
	s.ok(b.Publish(s.Context(), Artifact(s.T, "e", "shop/web")))
	Until(s.T, "four tries", func() bool { return len(times) == 4 })
	last := <-times
	for i, least := range []time.Duration{70, 140, 280} {
		next := <-times
		if gap := next.Sub(last); gap < least*time.Millisecond {
			s.Errorf("try %d came after %s, want at least %d ms", i+2, gap, least)
		}
		last = next
	}
	if letters := s.dead(b, 0); len(letters) > 0 {
		s.Error(letters)
	}
}

func diesOfAge(s *suite) {
	b := s.connect()
	s.subscribe(b, bus.Subscription{Name: "c", MaxAge: 300 * time.Millisecond, Backoff: bus.Backoff{First: 50 * time.Millisecond}},
		func(context.Context, events.Event) error { return errTest })
	s.ok(b.Publish(s.Context(), Artifact(s.T, "e", "shop/web")))
	letter := s.dead(b, 1)[0]
	if letter.Event == nil || letter.Event.ID != "e" || letter.Tries < 2 || !strings.Contains(letter.Reason, errTest.Error()) {
		s.Errorf("letter: %+v", letter)
	}
}

func replay(s *suite) {
	b := s.connect()
	heals := make(chan struct{})
	var first, second seen
	s.subscribe(b, bus.Subscription{Name: "first"}, func(_ context.Context, e events.Event) error {
		first.add(e.ID)
		select {
		case <-heals:
			return nil
		default:
			return fmt.Errorf("look: %w", bus.Permanent(errTest))
		}
	})
	s.subscribe(b, bus.Subscription{Name: "second"}, func(_ context.Context, e events.Event) error {
		second.add(e.ID)
		return nil
	})
	s.ok(b.Publish(s.Context(), s.artifacts("e", "shop/web", 2)...))
	letters := s.dead(b, 2)
	if l := letters[0]; l.Consumer != "first" || l.Tries != 1 || l.Reason != "look: not today" || l.Event == nil {
		s.Errorf("letter: %+v", l)
	}
	close(heals)
	id := letters[0].Event.ID
	s.ok(b.Replay(s.Context(), letters[0].ID))
	Until(s.T, "the replayed event", func() bool { return first.of(id) == 2 })
	if rest := s.dead(b, 1); rest[0].ID != letters[1].ID {
		s.Errorf("left: %v", rest)
	}
	if err := b.Replay(s.Context(), letters[0].ID); err == nil {
		s.Error("replayed a letter that is no longer there")
	}
	// What comes after the replay has passed both: no other was told again.
	s.ok(b.Publish(s.Context(), Artifact(s.T, "last", "shop/web")))
	Until(s.T, "the last event", func() bool { return second.of("last") == 1 && first.of("last") == 1 })
	if n := second.of(id); n != 1 {
		s.Errorf("the other consumer got it %d times", n)
	}
}

func panics(s *suite) {
	b := s.connect()
	var all seen
	s.subscribe(b, bus.Subscription{Name: "c", Backoff: bus.Backoff{First: 10 * time.Millisecond}},
		func(_ context.Context, e events.Event) error {
			if all.add(e.ID); e.ID == "bad" {
				panic("no")
			}
			return nil
		})
	s.ok(b.Publish(s.Context(), Artifact(s.T, "bad", "shop/web"), Artifact(s.T, "good", "shop/web")))
	letter := s.dead(b, 1)[0]
	if letter.Event.ID != "bad" || all.of("bad") != 3 || all.of("good") != 1 || !strings.Contains(letter.Reason, "3 times") {
		s.Errorf("letter %+v, bad %d, good %d", letter, all.of("bad"), all.of("good"))
	}
}

// failingDelayNoOther has 5,000 events of a dead host wait for their next try
// while one of a live host comes.
func failingDelayNoOther(s *suite) {
	n := 5000
	if s.target.Replicas > 1 {
		n = 500
	}
	b := s.connect()
	var all seen
	alive := make(chan time.Time, 1)
	s.subscribe(b, bus.Subscription{Name: "c"}, func(_ context.Context, e events.Event) error {
		if strings.HasSuffix(e.Payload.Key(), "alive/web") {
			alive <- time.Now()
			return nil
		}
		all.add(e.ID)
		return errTest
	})
	for i := 0; i < n; i += 500 {
		s.ok(b.Publish(s.Context(), s.artifacts(fmt.Sprint("e", i), "dead/web", 500)...))
	}
	Until(s.T, "a first try of each", func() bool { return all.len() == n })
	began := time.Now()
	s.ok(b.Publish(s.Context(), Artifact(s.T, "live", "alive/web")))
	took := Receive(s.T, "the live host's event", alive).Sub(began)
	s.Logf("handled %s after its publishing, beside %d failing events", took, n)
	if took > 5*time.Second {
		s.Errorf("took %s", took)
	}
}

func replicasShare(s *suite) {
	var all seen
	release := make(chan struct{})
	for range 3 {
		s.subscribe(s.connect(), bus.Subscription{Name: "c", Concurrency: 2}, func(_ context.Context, e events.Event) error {
			all.add(e.ID)
			<-release
			return nil
		})
	}
	b := s.connect()
	s.ok(b.Publish(s.Context(), s.artifacts("e", "shop/web", 20)...))
	// Six places hold six events: none waits behind a busy one.
	Until(s.T, "all replicas at work", func() bool { return all.len() == 6 })
	close(release)
	Until(s.T, "everything", func() bool { return all.len() == 20 })
	for i := range 20 {
		if id := fmt.Sprint("e-", i); all.of(id) != 1 {
			s.Errorf("%s came %d times", id, all.of(id))
		}
	}
}

func longHandler(s *suite) {
	var all seen
	for range 2 {
		s.subscribe(s.connect(), bus.Subscription{Name: "c", AckWait: 500 * time.Millisecond}, func(ctx context.Context, e events.Event) error {
			all.add(e.ID)
			if e.ID == "long" {
				<-time.After(2 * time.Second)
			}
			return nil
		})
	}
	b := s.connect()
	s.ok(b.Publish(s.Context(), Artifact(s.T, "long", "shop/web")))
	Until(s.T, "the long handler", func() bool { return all.of("long") == 1 })
	<-time.After(2500 * time.Millisecond) // five times AckWait: that nothing comes can only be waited for
	if n := all.of("long"); n != 1 {
		s.Errorf("came %d times", n)
	}
}

func drains(s *suite) {
	b := s.connect()
	begun, release := make(chan struct{}), make(chan struct{})
	ended := false
	stop := s.subscribe(b, bus.Subscription{Name: "c"}, func(ctx context.Context, _ events.Event) error {
		close(begun)
		<-release
		ended = ctx.Err() == nil
		return nil
	})
	s.ok(b.Publish(s.Context(), Artifact(s.T, "e", "shop/web")))
	Receive(s.T, "the handler", begun)
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	stop()
	if !ended {
		s.Error("the handler was not let finish")
	}
	var again seen
	s.subscribe(b, bus.Subscription{Name: "c"}, func(_ context.Context, e events.Event) error {
		again.add(e.ID)
		return nil
	})
	s.ok(b.Publish(s.Context(), Artifact(s.T, "next", "shop/web")))
	Until(s.T, "the next event", func() bool { return again.of("next") == 1 })
	if again.of("e") != 0 {
		s.Error("a drained event came again")
	}
}

func subscriptionRestart(s *suite) {
	b := s.connect()
	var all seen
	s.subscribe(b, bus.Subscription{Name: "c"}, func(_ context.Context, e events.Event) error {
		all.add(e.ID)
		return nil
	})
	s.ok(b.Publish(s.Context(), Artifact(s.T, "before", "shop/web")))
	Until(s.T, "the event before", func() bool { return all.of("before") > 0 })
	s.target.Stop()
	Until(s.T, "the loss", func() bool { return b.Healthy() != nil })
	sent := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(s.Context(), 30*time.Second)
		defer cancel()
		sent <- b.Publish(ctx, s.artifacts("during", "shop/web", 2)...)
	}()
	s.target.Start()
	s.ok(Receive(s.T, "the publishing over a restart", sent))
	s.ok(b.Publish(s.Context(), Artifact(s.T, "after", "shop/web")))
	Until(s.T, "the events after", func() bool {
		return all.of("during-0") > 0 && all.of("during-1") > 0 && all.of("after") > 0
	})
}
