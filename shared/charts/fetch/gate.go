package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/shared/charts"
)

const (
	// together is how many fetches run at a time, and of one host.
	together     = 4
	togetherHost = 2
	// longestWait is how long one waits for its turn: who asks has other work.
	longestWait = 5 * time.Second
	// firstRest is how long a host isn't asked that couldn't be reached; it
	// doubles with each time in a row, up to lastRest.
	firstRest = 2 * time.Second
	lastRest  = 2 * time.Minute
)

// errBusy says that others were asked all the time.
var errBusy = fmt.Errorf("%w yet: others are being fetched from", charts.ErrAway)

// gate lets few through at a time, and none to a host that is away.
type gate struct {
	all chan struct{}

	mu    sync.Mutex
	hosts map[string]*host
}

// host is what is known of one.
type host struct {
	turns   chan struct{}
	failed  int // in a row
	until   time.Time
	probed  bool // somebody tries whether it is back
	lastErr error
}

func newGate() *gate {
	return &gate{all: make(chan struct{}, together), hosts: map[string]*host{}}
}

// wait waits for a place in a channel, until the context ends or it takes too
// long.
func wait(ctx context.Context, turn chan struct{}) error {
	select {
	case turn <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(longestWait)
	defer t.Stop()
	select {
	case turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return errBusy
	}
}

// through does f, which calls a host.
func (g *gate) through(ctx context.Context, name string, f func(context.Context) error) error {
	h := g.host(name)
	if err := wait(ctx, h.turns); err != nil {
		return err
	}
	defer func() { <-h.turns }()
	if err := g.enter(h); err != nil {
		return err
	}
	if err := wait(ctx, g.all); err != nil {
		g.leave(h, context.Canceled)
		return err
	}
	defer func() { <-g.all }()
	err := f(ctx)
	if ctx.Err() != nil {
		g.leave(h, context.Canceled)
		return ctx.Err()
	}
	g.leave(h, err)
	return err
}

func (g *gate) host(name string) *host {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.hosts[name]
	if h == nil {
		if len(g.hosts) >= maxKnown {
			clear(g.hosts)
		}
		h = &host{turns: make(chan struct{}, togetherHost)}
		g.hosts[name] = h
	}
	return h
}

// enter errs while a host rests, with what it failed by.
func (g *gate) enter(h *host) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if h.failed > 0 && (h.probed || time.Now().Before(h.until)) {
		return h.lastErr
	}
	h.probed = h.failed > 0
	return nil
}

// leave notes what became of it; nobody learns anything of a host by
// [context.Canceled].
func (g *gate) leave(h *host, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h.probed = false
	switch {
	case errors.Is(err, context.Canceled):
	case errors.Is(err, charts.ErrAway):
		h.until = time.Now().Add(min(firstRest<<min(h.failed, 10), lastRest))
		h.failed, h.lastErr = h.failed+1, err
	default:
		h.failed, h.lastErr = 0, nil
	}
}
