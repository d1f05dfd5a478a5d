package gate_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-cd/slipway/shared/gate"
)

var errLate = errors.New("late")

func TestSharedWorkIsDoneOnceAndGoesOnWithoutThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gate.Shared[string, int]{Within: time.Second, Longest: time.Minute}
		var begun atomic.Int64
		slow := func(ctx context.Context) (int, error) {
			begun.Add(1)
			select {
			case <-time.After(10 * time.Second):
				return 7, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if _, err := s.Do(t.Context(), "a", errLate, slow); !errors.Is(err, errLate) {
					t.Errorf("who waits a second of ten: %v", err)
				}
			})
		}
		all.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Do(ctx, "a", errLate, slow); !errors.Is(err, context.Canceled) {
			t.Errorf("who may not wait: %v", err)
		}
		time.Sleep(8500 * time.Millisecond)
		if v, err := s.Do(t.Context(), "a", errLate, slow); v != 7 || err != nil || begun.Load() != 1 {
			t.Errorf("who comes at the end: %d, %v after %d beginnings", v, err, begun.Load())
		}
		if _, err := s.Do(t.Context(), "a", errLate, slow); !errors.Is(err, errLate) || begun.Load() != 2 {
			t.Errorf("afterwards: %v after %d beginnings", err, begun.Load())
		}
		time.Sleep(time.Minute)
	})
}

func TestSharedWorkEndsAtItsLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := gate.Shared[string, int]{Within: time.Hour, Longest: time.Minute}
		_, err := s.Do(t.Context(), "a", errLate, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestAHostThatIsAwayRestsLongerEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("away")
		g := gate.New(away)
		calls := 0
		call := func(answer error) error {
			return g.Through(t.Context(), "host", func(context.Context) error {
				calls++
				return answer
			})
		}
		for i, rest := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second} {
			if err := call(away); !errors.Is(err, away) || calls != i+1 {
				t.Fatalf("call %d: %v after %d", i, err, calls)
			}
			time.Sleep(rest - time.Millisecond)
			if err := call(nil); !errors.Is(err, away) || calls != i+1 {
				t.Errorf("while it rests: %v after %d", err, calls)
			}
			time.Sleep(2 * time.Millisecond)
		}
		if err := g.Through(t.Context(), "another", func(context.Context) error { return nil }); err != nil {
			t.Errorf("another host: %v", err)
		}
		if err := call(nil); err != nil {
			t.Errorf("it is back: %v", err)
		}
		if err := call(nil); err != nil || calls != 5 {
			t.Errorf("and stays: %v after %d", err, calls)
		}
	})
}

func TestAHostGetsFewCallsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("away")
		g := gate.New(away)
		var now, most, refused atomic.Int64
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				err := g.Through(t.Context(), "host", func(context.Context) error {
					most.Store(max(most.Load(), now.Add(1)))
					time.Sleep(3 * time.Second)
					now.Add(-1)
					return nil
				})
				if errors.Is(err, away) {
					refused.Add(1)
				}
			})
		}
		all.Wait()
		if most.Load() != 2 || refused.Load() != 6 {
			t.Errorf("%d at a time, %d were told to come later", most.Load(), refused.Load())
		}
	})
}
