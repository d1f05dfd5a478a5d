package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-cd/slipway/shared/bases"
	"github.com/slipway-cd/slipway/shared/gate"
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
	return &patient{source{c, ask}, gate.Shared[string, bases.Base]{Within: within, Longest: longestFetch}}
}

// longestFetch bounds what goes on when nobody waits for it.
const longestFetch = 3 * gate.FileWithin

type patient struct {
	source
	shared gate.Shared[string, bases.Base]
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
	late := fmt.Errorf("%s: %w yet: it takes its time", a, bases.ErrAway)
	base, err := p.shared.Do(ctx, q.key(), late, func(ctx context.Context) (bases.Base, error) { return p.client.Fetch(ctx, q) })
	if !errors.Is(err, bases.ErrAway) {
		return base, err
	}
	whenever := q // which the fetch that goes on reads
	whenever.Since = time.Time{}
	if base, known := p.client.Known(whenever); known {
		return base, nil
	}
	return bases.Base{}, err
}
