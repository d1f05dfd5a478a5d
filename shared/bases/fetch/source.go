package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/shared/bases"
)

// Ask says how an address is asked for, or why it isn't.
type Ask func(a bases.Address, files bool) (Question, error)

// Source asks as a function says for each base.
func (c *Client) Source(ask Ask) bases.Source { return source{c, ask} }

type source struct {
	client *Client
	ask    Ask
}

func (s source) Base(ctx context.Context, a bases.Address, files bool) (bases.Base, error) {
	q, err := s.ask(a, files)
	if err != nil {
		return bases.Base{}, fmt.Errorf("%s: %w", a, err)
	}
	return s.client.Fetch(ctx, q)
}

// Here is a source for who may not wait: it has what this process has brought.
func (c *Client) Here(ask Ask) bases.Source { return here{c, ask} }

type here struct {
	client *Client
	ask    Ask
}

func (h here) Base(_ context.Context, a bases.Address, files bool) (bases.Base, error) {
	q, err := h.ask(a, files)
	if err == nil {
		_, err = h.client.may(q)
	}
	if err != nil {
		return bases.Base{}, fmt.Errorf("%s: %w", a, err)
	}
	if base, known := h.client.Known(q); known {
		return base, nil
	}
	return bases.Base{}, fmt.Errorf("%s: %w yet: nobody has asked it", a, bases.ErrAway)
}

// Patient is a source for who has other work: it waits no longer than within for a
// base. One that takes longer is brought all the same, and is there for who asks
// later. While a host is away, what lies there is what it was.
func (c *Client) Patient(within time.Duration, ask Ask) bases.Source {
	return &patient{source: source{c, ask}, within: within, running: map[string]*running{}}
}

type patient struct {
	source
	within time.Duration

	mu      sync.Mutex
	running map[string]*running
}

// running is a fetch that those who ask for the same share.
type running struct {
	done chan struct{}
	base bases.Base
	err  error
}

func (p *patient) Base(ctx context.Context, a bases.Address, files bool) (bases.Base, error) {
	q, err := p.ask(a, files)
	if err == nil {
		_, err = p.client.may(q)
	}
	if err != nil {
		return bases.Base{}, fmt.Errorf("%s: %w", a, err)
	}
	if base, known := p.client.Known(q); known {
		return base, nil
	}
	r := p.start(ctx, q)
	t := time.NewTimer(p.within)
	defer t.Stop()
	select {
	case <-r.done:
		err = r.err
	case <-ctx.Done():
		return bases.Base{}, ctx.Err()
	case <-t.C:
		err = fmt.Errorf("%s: %w yet: it takes its time", a, bases.ErrAway)
	}
	if err == nil {
		return r.base, nil
	}
	q.Since = time.Time{}
	if base, known := p.client.Known(q); known && errors.Is(err, bases.ErrAway) {
		return base, nil
	}
	return bases.Base{}, err
}

// longestFetch bounds what goes on when nobody waits for it.
const longestFetch = 3 * allWithin

// start brings a base, unless that is under way.
func (p *patient) start(ctx context.Context, q Question) *running {
	key := q.key()
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.running[key]; r != nil {
		return r
	}
	r := &running{done: make(chan struct{})}
	p.running[key] = r
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestFetch)
	go func() {
		defer cancel()
		r.base, r.err = p.client.Fetch(ctx, q)
		p.mu.Lock()
		delete(p.running, key)
		p.mu.Unlock()
		close(r.done)
	}()
	return r
}
