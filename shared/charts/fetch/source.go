package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/gate"
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
	return &patient{source{c, ask}, gate.Shared[api.ChartRef, charts.Archive]{Within: within, Longest: longestFetch}}
}

// longestFetch bounds what goes on when nobody waits for it.
const longestFetch = 3 * gate.FileWithin

type patient struct {
	source
	shared gate.Shared[api.ChartRef, charts.Archive]
}

func (p *patient) Chart(ctx context.Context, ref api.ChartRef) (charts.Archive, error) {
	q := p.ask(ref)
	if a, known := p.client.Known(q); known {
		return a, nil
	}
	late := fmt.Errorf("chart %s: %w yet: it takes its time", ref, charts.ErrAway)
	a, err := p.shared.Do(ctx, ref, late, func(ctx context.Context) (charts.Archive, error) { return p.source.Chart(ctx, ref) })
	if !errors.Is(err, charts.ErrAway) {
		return a, err
	}
	q.Since = time.Time{}
	if a, known := p.client.Known(q); known {
		return a, nil
	}
	return charts.Archive{}, err
}
