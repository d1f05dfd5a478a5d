package gate

import (
	"context"
	"sync"
	"time"
)

// Shared does what several want at the same time once. Who waits does so no longer
// than Within; the work goes on all the same, for who asks later, up to Longest.
type Shared[K comparable, V any] struct {
	Within, Longest time.Duration

	mu      sync.Mutex
	running map[K]*running[V]
}

// running is one work that is under way.
type running[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// Do gives what f gives, late where it takes longer than one waits, or the context's
// error. f's own context outlives ctx.
func (s *Shared[K, V]) Do(ctx context.Context, key K, late error, f func(context.Context) (V, error)) (V, error) {
	r := s.start(ctx, key, f)
	t := time.NewTimer(s.Within)
	defer t.Stop()
	var none V
	select {
	case <-r.done:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-t.C:
		return none, late
	}
}

// start begins a work, unless it is under way.
func (s *Shared[K, V]) start(ctx context.Context, key K, f func(context.Context) (V, error)) *running[V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.running[key]; r != nil {
		return r
	}
	if s.running == nil {
		s.running = map[K]*running[V]{}
	}
	r := &running[V]{done: make(chan struct{})}
	s.running[key] = r
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Longest)
	go func() {
		defer cancel()
		r.value, r.err = f(ctx)
		s.mu.Lock()
		delete(s.running, key)
		s.mu.Unlock()
		close(r.done)
	}()
	return r
}
