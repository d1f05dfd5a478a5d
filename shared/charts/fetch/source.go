package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts"
)

// Source asks as a function says for each chart.
func (c *Client) Source(ask func(api.ChartRef) Question) charts.Source { return source{c, ask} }

type source struct {
	client *Client
	ask    func(api.ChartRef) Question
}

func (s source) Chart(ctx context.Context, ref api.ChartRef) (charts.Archive, error) {
	return s.client.Fetch(ctx, s.ask(ref))
}

// Patient is a source for who has other work: it waits no longer than within for
// a chart. One that takes longer is fetched all the same, and is there for who
// asks later. While a repository is away, a range is what it was.
func (c *Client) Patient(within time.Duration, ask func(api.ChartRef) Question) charts.Source {
	return &patient{source: source{c, ask}, within: within, running: map[api.ChartRef]*running{}}
}

// longestFetch bounds what goes on when nobody waits for it.
const longestFetch = 3 * allWithin

type patient struct {
	source
	within time.Duration

	mu      sync.Mutex
	running map[api.ChartRef]*running
}

// running is a fetch that those who ask for the same share.
type running struct {
	done    chan struct{}
	archive charts.Archive
	err     error
}

func (p *patient) Chart(ctx context.Context, ref api.ChartRef) (charts.Archive, error) {
	if a, known := p.client.Known(p.ask(ref)); known {
		return a, nil
	}
	r := p.start(ctx, ref)
	t := time.NewTimer(p.within)
	defer t.Stop()
	select {
	case <-r.done:
		if errors.Is(r.err, charts.ErrAway) {
			return p.before(ref, r.err)
		}
		return r.archive, r.err
	case <-ctx.Done():
		return charts.Archive{}, ctx.Err()
	case <-t.C:
		return p.before(ref, fmt.Errorf("chart %s: %w yet: it takes its time", ref, charts.ErrAway))
	}
}

// before is what was known at any time, else an error.
func (p *patient) before(ref api.ChartRef, err error) (charts.Archive, error) {
	q := p.ask(ref)
	q.Since = time.Time{}
	if a, known := p.client.Known(q); known {
		return a, nil
	}
	return charts.Archive{}, err
}

// start fetches a chart, unless that is under way.
func (p *patient) start(ctx context.Context, ref api.ChartRef) *running {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.running[ref]; r != nil {
		return r
	}
	r := &running{done: make(chan struct{})}
	p.running[ref] = r
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestFetch)
	go func() {
		defer cancel()
		r.archive, r.err = p.source.Chart(ctx, ref)
		p.mu.Lock()
		delete(p.running, ref)
		p.mu.Unlock()
		close(r.done)
	}()
	return r
}
