package bus

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A node that is lost leaves streams without a leader for seconds, in which a key
// may fail often: it must not rest for minutes after that.
func TestTheBusAwayIsNoFailureOfTheWork(t *testing.T) {
	t.Parallel()
	q := &Queue{o: QueueOptions{}.complete()}
	r := &run{q: q}
	items := []held{{sequence: 7}}
	gone := fmt.Errorf("tell the head: %w", fmt.Errorf("update: %w", jetstream.ErrNoStreamResponse))
	for _, c := range []struct {
		reason      error
		tries, want int
		longest     time.Duration
	}{
		{gone, 0, 1, time.Second},
		{gone, 1, 1, time.Second},
		{gone, 8, 8, time.Second},
		{errors.New("the registry is away"), 0, 1, time.Second},
		{errors.New("the registry is away"), 8, 9, 3 * time.Minute},
	} {
		body := r.backOff(Work{Tries: c.tries}, items, c.reason)
		if body.Tries != c.want || body.RetryAfter > c.longest || body.RetryAfter < c.longest/4 || body.Worked != 7 {
			t.Errorf("%v after %d tries: %+v", c.reason, c.tries, body)
		}
	}
}
