package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// unansweredAfter is how many questions in a row go unanswered before the
// streams count as away: a server that has much to do, or a cluster that chooses
// a new leader, takes a moment.
const unansweredAfter = 3

// watchAnswers asks, until the bus is closed, whether the streams answer. A
// server that can be reached and has lost the others of its cluster takes our
// connection and stores nothing: nothing else would have us leave it.
func (b *Bus) watchAnswers() {
	tick := time.NewTicker(b.every / 2)
	defer tick.Stop()
	silent, leaveAt := 0, unansweredAfter
	for {
		select {
		case <-b.life.Done():
			return
		case <-tick.C:
		}
		if b.nc.Status() != nats.CONNECTED {
			continue // which is told as such, and mended by the client
		}
		err := b.ask()
		if err == nil || b.life.Err() != nil {
			silent, leaveAt = 0, unansweredAfter
			b.unanswered.Store(nil)
			continue
		}
		if silent++; silent < unansweredAfter {
			continue
		}
		err = fmt.Errorf("the bus is reached, and its streams don't answer (has the NATS cluster lost more than half of its nodes?): %w", err)
		b.unanswered.Store(&err)
		if silent < leaveAt {
			continue
		}
		leaveAt *= 2 // where none has a majority, leaving doesn't help
		b.log.Warn("leave the NATS server for another", "server", b.nc.ConnectedUrlRedacted(), "error", err)
		if err := b.nc.ForceReconnect(); err != nil {
			b.log.Warn("leave the NATS server", "error", err)
		}
	}
}

// ask asks for the stream of events and who leads it: it is told of without a
// leader, too, and nothing is stored then.
func (b *Bus) ask() error {
	ctx, cancel := context.WithTimeout(b.life, min(b.every/2, stepTimeout))
	defer cancel()
	_, err := inTime(ctx, func() (struct{}, error) {
		stream, err := b.js.Stream(ctx, eventStream)
		if err == nil {
			if c := stream.CachedInfo().Cluster; c != nil && c.Leader == "" {
				err = errors.New("the stream of events has no leader")
			}
		}
		return struct{}{}, err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer")
	}
	return err
}
