package promote

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// Metrics counts what the automator does. Nil counts nothing.
type Metrics struct {
	decisions, commits *prometheus.CounterVec
	lead               *prometheus.HistogramVec
}

// The stages of which the lead time is measured.
const (
	stageDecided   = "decided"
	stageCommitted = "committed"
	stageRunning   = "running"
)

// NewMetrics registers them.
func NewMetrics(to prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipway_decisions_total", Help: "Decisions of the automator that were told, by outcome; repeats count again.",
		}, []string{"outcome"}),
		commits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipway_commits_total", Help: "Pushes of commits to config repos, by outcome: pushed, moved (somebody else was first, and it is decided again), refused or failed.",
		}, []string{"outcome"}),
		lead: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "slipway_lead_seconds", Help: "From the push of an image, by its registry's clock, until a deploy of it is decided, committed, and running healthily.",
			Buckets: prometheus.ExponentialBuckets(0.05, 2, 18), // 50 ms to 110 min
		}, []string{"stage"}),
	}
	for _, c := range []prometheus.Collector{m.decisions, m.commits, m.lead} {
		if err := to.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) decided(outcome events.Outcome, pushed time.Time) {
	if m == nil {
		return
	}
	m.decisions.WithLabelValues(string(outcome)).Inc()
	if outcome == events.Deploy {
		m.led(stageDecided, pushed, time.Now())
	}
}

func (m *Metrics) committed(err error) {
	if m == nil {
		return
	}
	outcome := "failed"
	switch {
	case err == nil:
		outcome = "pushed"
	case errors.Is(err, gitrepo.ErrMoved):
		outcome = "moved"
	case errors.Is(err, gitrepo.ErrRefused):
		outcome = "refused"
	}
	m.commits.WithLabelValues(outcome).Inc()
}

// led measures a stage; an image that was told of without a time has none.
func (m *Metrics) led(stage string, pushed, at time.Time) {
	if m != nil && !pushed.IsZero() {
		m.lead.WithLabelValues(stage).Observe(max(at.Sub(pushed), 0).Seconds())
	}
}

// pushed is when the push of a chain happened; zero where that isn't known.
func (t *Tags) pushed(repo events.ImageRepository, chain string) time.Time {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, k := range t.byRepo[repo] {
		if k.Chain == chain {
			return k.At
		}
	}
	return time.Time{}
}

// Measured is a handler of what synchronizers tell that measures how long
// images took until they ran.
func (m *Metrics) Measured(tags *Tags, aliases events.Aliases, handle func(context.Context, events.Event) error) func(context.Context, events.Event) error {
	return func(ctx context.Context, e events.Event) error {
		if err := handle(ctx, e); err != nil {
			return err
		}
		p, ok := e.Payload.(events.ServiceEvent)
		if !ok || p.HealthySince == nil || p.Kind == events.ServiceRolledBackType {
			return nil
		}
		for _, ref := range p.Images {
			if image, err := events.ParseImage(ref, aliases); err == nil && events.ImagePURL(image) == p.Artifact {
				m.led(stageRunning, tags.pushed(image.Repository, e.ChainID), *p.HealthySince)
			}
		}
		return nil
	}
}
