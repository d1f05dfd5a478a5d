package sync

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	syncs *prometheus.CounterVec
	apply prometheus.Histogram
	ready *prometheus.HistogramVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		syncs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipway_sync_total", Help: "Syncs that ended, by outcome.",
		}, []string{"outcome"}),
		apply: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "slipway_sync_applied_seconds", Help: "From the begin of a sync until everything is applied.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 12),
		}),
		ready: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "slipway_sync_ended_seconds", Help: "From the begin of a sync until its end.",
			Buckets: prometheus.ExponentialBuckets(0.05, 2, 14),
		}, []string{"outcome"}),
	}
	if registerer != nil {
		registerer.MustRegister(m.syncs, m.apply, m.ready)
	}
	return m
}

func (m *metrics) applied(since time.Time) { m.apply.Observe(time.Since(since).Seconds()) }

func (m *metrics) done(outcome string, since time.Time) {
	m.syncs.WithLabelValues(outcome).Inc()
	m.ready.WithLabelValues(outcome).Observe(time.Since(since).Seconds())
}
