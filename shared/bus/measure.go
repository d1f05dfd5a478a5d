package bus

import (
	"context"
	"time"
)

// countLetters keeps the number of dead letters up to date while the bus is
// open: a counter of those written tells neither which are still there, nor of
// the first.
func (b *Bus) countLetters() {
	b.measure(b.life, func(ctx context.Context) error {
		stream, err := b.js.Stream(ctx, deadStream)
		if err != nil {
			return err
		}
		b.metrics.letters.Set(float64(stream.CachedInfo().State.Msgs))
		return nil
	})
}

// countPending keeps the number of events that the consumer has not finished
// up to date until ctx ends.
func (s *subscriber) countPending(ctx context.Context) {
	s.bus.measure(ctx, func(ctx context.Context) error {
		consumer, err := s.bus.js.Consumer(ctx, eventStream, s.s.Name)
		if err != nil {
			return err
		}
		info := consumer.CachedInfo()
		//nolint:gosec // neither comes near 2^63
		s.bus.metrics.pending.WithLabelValues(s.s.Name).Set(float64(info.NumPending) + float64(info.NumAckPending))
		return nil
	})
}

// measure asks now and then until ctx ends. While there is no answer the last
// one stands.
func (b *Bus) measure(ctx context.Context, ask func(context.Context) error) {
	tick := time.NewTicker(b.every)
	defer tick.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, stepTimeout)
		if err := ask(try); err != nil {
			b.log.Debug("measure the bus", "error", err)
		}
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// waiting is the number of keys that have work, and when the oldest of it was
// put.
func (b *board) waiting() (keys int, oldest time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.desks {
		if len(d.items) > 0 {
			keys++
		}
		for _, item := range d.items {
			if oldest.IsZero() || item.stored.Before(oldest) {
				oldest = item.stored
			}
		}
	}
	return keys, oldest
}
