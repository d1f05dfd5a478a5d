package bus

import (
	"context"
	"time"
)

const (
	// clockInterval is how often the server's clock is compared with ours.
	clockInterval = 5 * time.Minute
	// clockTolerance is how far they may be apart before that is told: ages of
	// events and the order in what people read are by both.
	clockTolerance = 5 * time.Second
)

// watchClock tells, until the bus is closed, when the server's clock is another
// than ours.
func (b *Bus) watchClock() {
	tick := time.NewTicker(clockInterval)
	defer tick.Stop()
	for {
		b.compareClocks(b.life)
		select {
		case <-b.life.Done():
			return
		case <-tick.C:
		case <-b.nextReconnect():
		}
	}
}

// compareClocks asks the server for its time. Leases and the ends of entries
// are by the server's clock alone; what is not is told.
func (b *Bus) compareClocks(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	before := time.Now()
	stream, err := b.js.Stream(ctx, eventStream)
	if err != nil {
		return // the connection has its own words for that
	}
	after := time.Now()
	theirs := stream.CachedInfo().TimeStamp
	if theirs.IsZero() {
		return
	}
	// It was read somewhere between.
	var ahead time.Duration
	switch {
	case before.After(theirs):
		ahead = before.Sub(theirs)
	case after.Before(theirs):
		ahead = after.Sub(theirs)
	}
	b.metrics.clock.Set(ahead.Seconds())
	if ahead.Abs() <= clockTolerance {
		return
	}
	b.log.Warn("this machine's clock and the NATS server's are apart: put the wrong one right (NTP); signatures and certificates are judged by ours",
		"ahead", ahead.Round(time.Second).String(), "ours", after.UTC().Format(time.RFC3339), "theirs", theirs.UTC().Format(time.RFC3339))
}
