package bustest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
)

// Target is the server or cluster on which a test of the suite runs.
type Target struct {
	URL      string
	Replicas int
	// Stop and Start make a restart; the store stays. Tests that need them
	// are left out when they are nil.
	Stop, Start func()
}

// Run holds a server, or a cluster of them, to everything that package bus
// promises. Each test gets a target of its own.
func Run(t *testing.T, start func(t *testing.T) Target) {
	t.Helper()
	for _, test := range slices.Concat(eventTests(), queueTests(), bucketTests()) {
		t.Run(test.name, func(t *testing.T) {
			target := start(t)
			if test.restarts && target.Stop == nil {
				t.Skip("the target can't be restarted")
			}
			test.run(&suite{T: t, target: target})
		})
	}
}

type suiteTest struct {
	name     string
	restarts bool
	run      func(*suite)
}

// suite is one test on its target.
type suite struct {
	*testing.T
	target Target
}

// connect is one service's connection.
func (s *suite) connect() *bus.Bus {
	s.Helper()
	return Open(s.T, bus.Options{Name: s.Name(), URL: s.target.URL, Replicas: s.target.Replicas, Log: Silent()})
}

// ok fails the test on an error.
func (s *suite) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// goes runs something that ends with its context, at the latest with the test,
// and fails the test where it errs.
func (s *suite) goes(run func(ctx context.Context) error) (stop func()) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := Receive(s.T, "the end of a subscription or queue", done); err != nil {
			s.Error(err)
		}
	})
	s.Cleanup(stop)
	return stop
}

// subscribe runs a handler until stop.
func (s *suite) subscribe(b *bus.Bus, sub bus.Subscription, h bus.Handler) (stop func()) {
	s.Helper()
	if sub.AckWait == 0 {
		sub.AckWait = time.Second
	}
	return s.goes(func(ctx context.Context) error { return b.Subscribe(ctx, sub, h) })
}

// work runs a worker until stop.
func (s *suite) work(b *bus.Bus, o bus.QueueOptions, worker bus.Worker) (q *bus.Queue, stop func()) {
	s.Helper()
	q, err := b.Queue(s.Context(), "suite", o)
	s.ok(err)
	return q, s.goes(func(ctx context.Context) error { return q.Run(ctx, worker) })
}

// ids reads the ids of everything that is stored.
func (s *suite) ids(b *bus.Bus) []string {
	s.Helper()
	var all []string
	for stored, err := range b.Read(s.Context(), bus.ReadOptions{}) {
		s.ok(err)
		all = append(all, stored.Event.ID)
	}
	return all
}

// artifacts makes n events with ids "<prefix>-0"…
func (s *suite) artifacts(prefix, name string, n int) []events.Event {
	s.Helper()
	var all []events.Event
	for i := range n {
		all = append(all, Artifact(s.T, fmt.Sprintf("%s-%d", prefix, i), name))
	}
	return all
}

// dead waits for n dead letters.
func (s *suite) dead(b *bus.Bus, n int) []bus.DeadLetter {
	s.Helper()
	var letters []bus.DeadLetter
	Until(s.T, fmt.Sprintf("%d dead letters", n), func() bool {
		var err error
		letters, err = b.Dead(s.Context())
		s.ok(err)
		return len(letters) == n
	})
	return letters
}

var errTest = errors.New("not today")

// seen counts ids as handlers meet them.
type seen struct {
	mu    sync.Mutex
	count map[string]int
}

func (s *seen) add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == nil {
		s.count = map[string]int{}
	}
	s.count[id]++
}

func (s *seen) of(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[id]
}

func (s *seen) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.count)
}
