// Package gate lets few calls to other hosts through at a time, and none to a host
// that is away, so that one that is slow leaves room for all others.
package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
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

// maxHosts bounds how many hosts are remembered.
const maxHosts = 4096

// Gate lets few through at a time. It is safe for concurrent use.
type Gate struct {
	away error
	all  chan struct{}

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

// New makes a gate. A host that can't be reached is one whose call errs with away.
func New(away error) *Gate {
	return &Gate{away: away, all: make(chan struct{}, together), hosts: map[string]*host{}}
}

// Wait waits for a place in a channel, until the context ends or it takes too
// long, which is the host being away.
func (g *Gate) Wait(ctx context.Context, turn chan struct{}) error {
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
		return fmt.Errorf("%w yet: others are being fetched from", g.away)
	}
}

// Through does f, which calls a host.
func (g *Gate) Through(ctx context.Context, name string, f func(context.Context) error) error {
	h := g.host(name)
	if err := g.Wait(ctx, h.turns); err != nil {
		return err
	}
	defer func() { <-h.turns }()
	if err := g.enter(h); err != nil {
		return err
	}
	if err := g.Wait(ctx, g.all); err != nil {
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

func (g *Gate) host(name string) *host {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.hosts[name]
	if h == nil {
		if len(g.hosts) >= maxHosts {
			clear(g.hosts)
		}
		h = &host{turns: make(chan struct{}, togetherHost)}
		g.hosts[name] = h
	}
	return h
}

// enter errs while a host rests, with what it failed by.
func (g *Gate) enter(h *host) error {
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
func (g *Gate) leave(h *host, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h.probed = false
	switch {
	case errors.Is(err, context.Canceled):
	case errors.Is(err, g.away):
		h.until = time.Now().Add(min(firstRest<<min(h.failed, 10), lastRest))
		h.failed, h.lastErr = h.failed+1, err
	default:
		h.failed, h.lastErr = 0, nil
	}
}
