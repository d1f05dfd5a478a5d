package sync

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/shared/api"
)

type metrics struct {
	syncs *prometheus.CounterVec
	apply prometheus.Histogram
	ready *prometheus.HistogramVec
	drift *prometheus.CounterVec
}

// newMetrics registers them; counts are asked for when somebody looks.
func newMetrics(registerer prometheus.Registerer, applications, watches func() int, stands func() map[string]int) *metrics {
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
			gauge("slipway_watches", "Watches that run, one for each kind of object and cluster.", watches),
			&states{prometheus.NewDesc("slipway_applications_state", "Applications of the cluster, by how they are: ready, reconciling, stalled, suspended.", []string{"state"}, nil), stands})
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

// states counts applications by their conditions when somebody looks.
type states struct {
	desc  *prometheus.Desc
	count func() map[string]int
}

func (s *states) Describe(to chan<- *prometheus.Desc) { to <- s.desc }

func (s *states) Collect(to chan<- prometheus.Metric) {
	counted := s.count()
	for _, state := range []string{stateReady, stateReconciling, stateStalled, stateSuspended} {
		to <- prometheus.MustNewConstMetric(s.desc, prometheus.GaugeValue, float64(counted[state]), state)
	}
}

// What an application is, of which it is one at a time.
const (
	stateReady       = "ready"
	stateReconciling = "reconciling"
	stateStalled     = "stalled"
	stateSuspended   = "suspended"
)

// states counts the applications as their conditions have them.
func (a *applications) states() map[string]int {
	counted := map[string]int{}
	for _, key := range a.keys() {
		if u := a.cached(key); u != nil {
			counted[stateOf(u)]++
		}
	}
	return counted
}

func stateOf(u *unstructured.Unstructured) string {
	holds := map[string]bool{}
	found, _, _ := unstructured.NestedFieldNoCopy(u.Object, "status", "conditions")
	conditions, _ := found.([]any)
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["status"] == "True" {
			kind, _ := c["type"].(string)
			holds[kind] = true
		}
	}
	switch {
	case holds[api.ConditionSuspended]:
		return stateSuspended
	case holds[api.ConditionStalled]:
		return stateStalled
	case holds[api.ConditionReady]:
		return stateReady
	}
	return stateReconciling
}
