package sync

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	syncs *prometheus.CounterVec
	apply prometheus.Histogram
	ready *prometheus.HistogramVec
	drift *prometheus.CounterVec
}

// newMetrics registers them; counts are asked for when somebody looks.
func newMetrics(registerer prometheus.Registerer, applications, watches func() int) *metrics {
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
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipway_drift_objects_total", Help: "Objects that others had changed, by what was done (Corrected, Drifted, Fight).",
		}, []string{"reason"}),
	}
	gauge := func(name, help string, count func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(count()) })
	}
	if registerer != nil {
		registerer.MustRegister(m.syncs, m.apply, m.ready, m.drift,
			gauge("slipway_applications", "Applications of the cluster.", applications),
			gauge("slipway_watches", "Watches that run, one for each kind of object and cluster.", watches))
	}
	return m
}

// drifted counts objects that others had changed.
func (m *metrics) drifted(objects int, reason string) {
	m.drift.WithLabelValues(reason).Add(float64(objects))
}

func (m *metrics) applied(since time.Time) { m.apply.Observe(time.Since(since).Seconds()) }

func (m *metrics) done(outcome string, since time.Time) {
	m.syncs.WithLabelValues(outcome).Inc()
	m.ready.WithLabelValues(outcome).Observe(time.Since(since).Seconds())
}
