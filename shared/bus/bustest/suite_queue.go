package bustest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/shared/bus"
)

func queueTests() []suiteTest {
	return []suiteTest{
		{name: "work is done once and forgotten", run: workOnce},
		{name: "work waits for quiet", run: quiet},
		{name: "work waits no longer than longest", run: longest},
		{name: "items merge while waiting and working", run: merge},
		{name: "a failing key backs off alone", run: failingKey},
		{name: "a new item wakes a failing key", run: wakes},
		{name: "hanging keys hold up no other group", run: hangingGroup},
		{name: "permanent work dies and is replayed", run: workDies},
		{name: "old work dies", run: workDiesOfAge},
		{name: "odd keys and items", run: oddKeys},
		{name: "one replica works on a key at a time", run: exclusive},
		{name: "queue drain", run: queueDrain},
		{name: "queue over a restart", restarts: true, run: queueRestart},
	}
}

func workOnce(s *suite) {
	b := s.connect()
	got := make(chan bus.Work, 10)
	worker := func(_ context.Context, w bus.Work) error { got <- w; return nil }
	q, stop := s.work(b, bus.QueueOptions{}, worker)
	s.ok(q.Put(s.Context(), "a/b", "one"))
	w := Receive(s.T, "the work", got)
	if w.Key != "a/b" || !slices.Equal(w.Items, []string{"one"}) || w.Tries != 0 || time.Since(w.Since) > time.Minute {
		s.Errorf("work: %+v", w)
	}
	stop()
	// Another replica finds nothing but what is put now.
	q, _ = s.work(s.connect(), bus.QueueOptions{}, worker)
	s.ok(q.Put(s.Context(), "c", "two"))
	if w := Receive(s.T, "the second work", got); w.Key != "c" {
		s.Errorf("work: %+v", w)
	}
}

func quiet(s *suite) {
	b := s.connect()
	got := make(chan bus.Work, 10)
	q, _ := s.work(b, bus.QueueOptions{Quiet: 300 * time.Millisecond, Longest: time.Minute},
		func(_ context.Context, w bus.Work) error { got <- w; return nil })
	for i := range 10 {
		s.ok(q.Put(s.Context(), "k", fmt.Sprint(i)))
	}
	last := time.Now()
	w := Receive(s.T, "the work", got)
	if gap := time.Since(last); gap < 250*time.Millisecond || len(w.Items) != 10 || w.Items[0] != "0" || w.Items[9] != "9" {
		s.Errorf("after %s: %+v", gap, w)
	}
}

func longest(s *suite) {
	b := s.connect()
	got := make(chan bus.Work, 100)
	q, _ := s.work(b, bus.QueueOptions{Quiet: 10 * time.Second, Longest: 500 * time.Millisecond},
		func(_ context.Context, w bus.Work) error { got <- w; return nil })
	first := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; len(got) == 0; i++ {
		s.ok(q.Put(s.Context(), "k", fmt.Sprint(i)))
		<-tick.C
	}
	if took := time.Since(first); took < 450*time.Millisecond || took > 5*time.Second {
		s.Errorf("began after %s", took)
	}
}

func merge(s *suite) {
	b := s.connect()
	got, release := make(chan bus.Work), make(chan struct{})
	q, _ := s.work(b, bus.QueueOptions{}, func(_ context.Context, w bus.Work) error {
		got <- w
		<-release
		return nil
	})
	s.ok(q.Put(s.Context(), "k", "first"))
	Receive(s.T, "the first work", got)
	for range 3 { // the same item and others, while it is worked on
		for _, item := range []string{"first", "second", "third"} {
			s.ok(q.Put(s.Context(), "k", item))
		}
	}
	release <- struct{}{}
	w := Receive(s.T, "the second work", got)
	slices.Sort(w.Items)
	if !slices.Equal(w.Items, []string{"first", "second", "third"}) {
		s.Errorf("second work: %+v", w)
	}
	s.ok(q.Put(s.Context(), "k", "last"))
	release <- struct{}{}
	if w := Receive(s.T, "the third work", got); !slices.Equal(w.Items, []string{"last"}) {
		s.Errorf("third work: %+v", w)
	}
	close(release)
}

func failingKey(s *suite) {
	b := s.connect()
	bad, good := make(chan time.Time, 100), make(chan time.Time, 100)
	q, _ := s.work(b, bus.QueueOptions{Backoff: bus.Backoff{First: 100 * time.Millisecond}, Concurrency: 1},
		func(_ context.Context, w bus.Work) error {
			if w.Key == "good" {
				good <- time.Now()
				return nil
			}
			if bad <- time.Now(); w.Tries < 3 {
				return errTest
			}
			return nil
		})
	s.ok(q.Put(s.Context(), "bad", "x"))
	last := Receive(s.T, "the first try", bad)
	began := time.Now()
	s.ok(q.Put(s.Context(), "good", "x"))
	if took := Receive(s.T, "the good key", good).Sub(began); took > time.Second {
		s.Errorf("the good key waited %s", took)
	}
	for i, least := range []time.Duration{70, 140, 280} {
		next := Receive(s.T, "the next try", bad)
		if gap := next.Sub(last); gap < least*time.Millisecond {
			s.Errorf("try %d came after %s, want at least %d ms", i+2, gap, least)
		}
		last = next
	}
}

func wakes(s *suite) {
	b := s.connect()
	got := make(chan bus.Work, 100)
	q, _ := s.work(b, bus.QueueOptions{Backoff: bus.Backoff{First: 50 * time.Millisecond, Max: time.Hour}},
		func(_ context.Context, w bus.Work) error {
			got <- w
			if len(w.Items) == 1 {
				return errTest
			}
			return nil
		})
	s.ok(q.Put(s.Context(), "k", "one"))
	for range 4 { // by now the delay is 400 ms and more
		Receive(s.T, "a try", got)
	}
	began := time.Now()
	s.ok(q.Put(s.Context(), "k", "two"))
	if w := Receive(s.T, "the try with the new item", got); len(w.Items) != 2 || time.Since(began) > 350*time.Millisecond {
		s.Errorf("after %s: %+v", time.Since(began), w)
	}
}

func hangingGroup(s *suite) {
	b := s.connect()
	alive := make(chan struct{}, 1)
	var hanging seen
	host := func(key string) string { h, _, _ := strings.Cut(key, "/"); return h }
	q, _ := s.work(b, bus.QueueOptions{Concurrency: 8, Group: host, Drain: time.Millisecond},
		func(ctx context.Context, w bus.Work) error {
			if host(w.Key) == "alive" {
				alive <- struct{}{}
				return nil
			}
			hanging.add(w.Key)
			<-ctx.Done()
			return context.Cause(ctx)
		})
	for i := range 100 {
		s.ok(q.Put(s.Context(), fmt.Sprint("dead/", i), "x"))
	}
	Until(s.T, "hanging workers", func() bool { return hanging.len() == 4 })
	began := time.Now()
	s.ok(q.Put(s.Context(), "alive/web", "x"))
	Receive(s.T, "the live host's work", alive)
	s.Logf("begun %s after its put, beside 100 keys that hang", time.Since(began))
	if n := hanging.len(); n != 4 {
		s.Errorf("%d keys of one group at once, want half of 8", n)
	}
}

func workDies(s *suite) {
	b := s.connect()
	heals := make(chan struct{})
	got := make(chan bus.Work, 10)
	q, _ := s.work(b, bus.QueueOptions{}, func(_ context.Context, w bus.Work) error {
		select {
		case <-heals:
			got <- w
			return nil
		default:
			return bus.Permanent(errTest)
		}
	})
	s.ok(q.Put(s.Context(), "k", "x"))
	letter := s.dead(b, 1)[0]
	if letter.Consumer != "suite" || letter.Key != "k" || letter.Item != "x" || letter.Event != nil {
		s.Errorf("letter: %+v", letter)
	}
	close(heals)
	s.ok(b.Replay(s.Context(), letter.ID))
	if w := Receive(s.T, "the replayed work", got); w.Key != "k" || !slices.Equal(w.Items, []string{"x"}) {
		s.Errorf("work: %+v", w)
	}
	s.dead(b, 0)
}

func workDiesOfAge(s *suite) {
	b := s.connect()
	q, _ := s.work(b, bus.QueueOptions{MaxAge: 300 * time.Millisecond, Backoff: bus.Backoff{First: 20 * time.Millisecond, Max: 50 * time.Millisecond}},
		func(context.Context, bus.Work) error { panic("also a panic is an error") })
	s.ok(q.Put(s.Context(), "k", "x"))
	if letter := s.dead(b, 1)[0]; letter.Tries < 2 || !strings.Contains(letter.Reason, "panic") {
		s.Errorf("letter: %+v", letter)
	}
}

func oddKeys(s *suite) {
	b := s.connect()
	got := make(chan bus.Work, 10)
	q, _ := s.work(b, bus.QueueOptions{}, func(_ context.Context, w bus.Work) error { got <- w; return nil })
	for _, odd := range []string{"a.b", "*", ">", "ü %", strings.Repeat("long", 10_000), "\x00"} {
		s.ok(q.Put(s.Context(), odd, odd))
		if w := Receive(s.T, "the work of an odd key", got); w.Key != odd || w.Items[0] != odd {
			s.Errorf("put %.20q, got %.20q", odd, w.Key)
		}
	}
	s.ok(q.Put(s.Context(), "k", ""))
	Receive(s.T, "the work of an empty item", got)
	if err := q.Put(s.Context(), "", "x"); err == nil {
		s.Error("an empty key was taken")
	}
	if err := q.Put(s.Context(), "k", "\xff"); err == nil {
		s.Error("an item that is not UTF-8 was taken")
	}
}

// exclusive has three replicas, of which one comes and goes, work on few keys
// that get many items, and watches that nobody is on a key beside another.
func exclusive(s *suite) {
	seed := uint64(time.Now().UnixNano())
	s.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	at, done, delays := map[string]int{}, map[string]bool{}, make(chan time.Duration, 1000)
	for range cap(delays) {
		delays <- time.Duration(dice.IntN(3000)) * time.Microsecond
	}
	worker := func(_ context.Context, w bus.Work) error {
		mu.Lock()
		at[w.Key]++
		if at[w.Key] > 1 {
			s.Errorf("%d at %s", at[w.Key], w.Key)
		}
		mu.Unlock()
		d := <-delays
		delays <- d
		<-time.After(d)
		mu.Lock()
		defer mu.Unlock()
		at[w.Key]--
		if d%7 == 0 {
			return errTest
		}
		for _, item := range w.Items {
			done[w.Key+" "+item] = true
		}
		return nil
	}
	o := bus.QueueOptions{Backoff: bus.Backoff{First: 5 * time.Millisecond, Max: 20 * time.Millisecond}, LeaseTTL: time.Second}
	q, _ := s.work(s.connect(), o, worker)
	s.work(s.connect(), o, worker)
	coming := s.connect()
	_, stop := s.work(coming, o, worker)
	const n = 400
	for i := range n {
		s.ok(q.Put(s.Context(), fmt.Sprint("key", dice.IntN(4)), fmt.Sprint(i)))
		if i%100 == 50 {
			stop()
			_, stop = s.work(coming, o, worker)
		}
	}
	Until(s.T, "all items", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(done) == n
	})
}

func queueDrain(s *suite) {
	b := s.connect()
	begun, release := make(chan struct{}), make(chan struct{})
	finished := false
	q, stop := s.work(b, bus.QueueOptions{}, func(ctx context.Context, _ bus.Work) error {
		close(begun)
		<-release
		finished = ctx.Err() == nil
		return nil
	})
	s.ok(q.Put(s.Context(), "k", "x"))
	Receive(s.T, "the worker", begun)
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	stop()
	if !finished {
		s.Error("the worker was not let finish")
	}
	// The lease was given back and the item ended: the next is at once.
	got := make(chan bus.Work, 10)
	q, _ = s.work(b, bus.QueueOptions{LeaseTTL: time.Minute}, func(_ context.Context, w bus.Work) error { got <- w; return nil })
	s.ok(q.Put(s.Context(), "k", "y"))
	if w := Receive(s.T, "the next work", got); !slices.Equal(w.Items, []string{"y"}) {
		s.Errorf("work: %+v", w)
	}
}

func queueRestart(s *suite) {
	b := s.connect()
	got, release := make(chan bus.Work, 100), make(chan struct{})
	q, _ := s.work(b, bus.QueueOptions{}, func(ctx context.Context, w bus.Work) error {
		got <- w
		<-release
		return ctx.Err()
	})
	s.ok(q.Put(s.Context(), "k", "x"))
	Receive(s.T, "the work", got)
	s.target.Stop()
	Until(s.T, "the loss", func() bool { return b.Healthy() != nil })
	s.target.Start()
	Until(s.T, "the connection", func() bool { return b.Healthy() == nil })
	s.ok(q.Put(s.Context(), "other", "y"))
	if w := Receive(s.T, "work that was put after the restart", got); w.Key != "other" {
		s.Errorf("work: %+v", w)
	}
	close(release)
	s.ok(q.Put(s.Context(), "k", "z"))
	if w := Receive(s.T, "the key that was worked on", got); w.Key != "k" || !slices.Equal(w.Items, []string{"z"}) {
		s.Errorf("work: %+v", w)
	}
}
