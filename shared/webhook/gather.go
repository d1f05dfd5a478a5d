package webhook

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
)

// gatherer is a Publisher that stores the single events of several requests in
// one write where that is quicker. Where each write is synced to the disk, one
// takes a millisecond and they follow each other; an atomic batch takes some
// twenty, however long it is. Where they aren't, single writes are quicker.
// Both are measured as it goes.
type gatherer struct {
	Publisher
	mu      sync.Mutex
	singles int // under way
	batch   bool
	waiting []*pending
	// each is what one more single write takes of the server's time, whole
	// what a batch takes: running means.
	each, whole time.Duration
}

type pending struct {
	ctx   context.Context
	event events.Event
	// turn says that the waiter shall write by itself, or what became of it.
	turn chan verdict
	left bool // nobody waits any more
}

type verdict struct {
	alone bool
	err   error
}

const (
	// slow is a single write that waits for the disk: only such ones are
	// gathered. Others take a tenth of it, and the more are under way, the fewer
	// calls of the system they cost.
	slow = 300 * time.Microsecond
	// maxSingles is how many slow writes are under way at once: enough to keep
	// the disk busy.
	maxSingles = 8
	firstWhole = 25 * time.Millisecond
)

// places is how many single writes may be under way; g.mu is held.
func (g *gatherer) places() int {
	if g.each > slow {
		return maxSingles
	}
	return math.MaxInt
}

func gather(p Publisher) *gatherer { return &gatherer{Publisher: p, whole: firstWhole} }

// Publish stores the events as [Publisher] says. The events of one call are
// never parted.
func (g *gatherer) Publish(ctx context.Context, evs ...events.Event) error {
	if len(evs) != 1 {
		return g.Publisher.Publish(ctx, evs...)
	}
	g.mu.Lock()
	if g.singles < g.places() && !g.batch {
		g.singles++
		g.mu.Unlock()
		return g.single(ctx, evs[0])
	}
	p := &pending{ctx: ctx, event: evs[0], turn: make(chan verdict, 1)}
	g.waiting = append(g.waiting, p)
	g.mu.Unlock()
	select {
	case v := <-p.turn:
		if !v.alone {
			return v.err
		}
		return g.single(ctx, evs[0])
	case <-ctx.Done():
		g.leave(p)
		return fmt.Errorf("wait for the store: %w", context.Cause(ctx))
	}
}

// leave gives up a place in the line, or a turn that came too late.
func (g *gatherer) leave(p *pending) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.left = true
	g.waiting = slices.DeleteFunc(g.waiting, func(q *pending) bool { return q == p })
	select {
	case v := <-p.turn:
		if v.alone {
			g.singles--
			g.next()
		}
	default:
	}
}

// single writes one event in a place that was taken for it, and gives the
// place on.
func (g *gatherer) single(ctx context.Context, e events.Event) error {
	began := time.Now()
	err := g.Publisher.Publish(ctx, e)
	took := time.Since(began)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		g.each = mean(g.each, took/time.Duration(g.singles))
	}
	g.singles--
	g.next()
	return err
}

func mean(was, now time.Duration) time.Duration {
	if was == 0 {
		return now
	}
	return was + (now-was)/16
}

// next lets those who wait go on, together or one by one; g.mu is held.
func (g *gatherer) next() {
	if g.batch {
		return
	}
	if g.each > slow && len(g.waiting) > 1 && time.Duration(len(g.waiting))*g.each > g.whole {
		n := min(len(g.waiting), bus.MaxBatch)
		all := slices.Clone(g.waiting[:n])
		g.waiting = slices.Delete(g.waiting, 0, n)
		g.batch = true
		go g.together(all)
		return
	}
	for g.singles < g.places() && len(g.waiting) > 0 {
		g.alone(g.waiting[0])
		g.waiting = g.waiting[1:]
	}
}

// alone gives a place to a waiter; g.mu is held.
func (g *gatherer) alone(p *pending) {
	if p.left {
		return
	}
	g.singles++
	p.turn <- verdict{alone: true}
}

// together writes the events of several requests. What the server refuses is
// sent again one by one, so that no request fails for another's event.
func (g *gatherer) together(all []*pending) {
	evs := make([]events.Event, 0, len(all))
	for _, p := range all {
		evs = append(evs, p.event)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(all[0].ctx), storeTimeout)
	defer cancel()
	began := time.Now()
	err := g.Publisher.Publish(ctx, evs...)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.batch = false
	g.whole = mean(g.whole, time.Since(began))
	for _, p := range all {
		if err == nil {
			p.turn <- verdict{}
		} else {
			g.alone(p)
		}
	}
	g.next()
}
