package bus

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Outcomes of a handled event or a piece of work, as logged and counted.
const (
	outcomeDone    = "done"
	outcomeRetry   = "retry"
	outcomeDead    = "dead"
	outcomeUnknown = "unknown_type"
	outcomeLost    = "lease_lost"
	// outcomePostponed is a repeat that found no place to wait in.
	outcomePostponed = "postponed"
)

type metrics struct {
	published *prometheus.CounterVec
	handled   *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	worked    *prometheus.CounterVec
	workSecs  *prometheus.HistogramVec
	waiting   *prometheus.GaugeVec
	age       *prometheus.GaugeVec
	pending   *prometheus.GaugeVec
	letters   prometheus.Gauge
	dead      *prometheus.CounterVec
	clock     prometheus.Gauge
}

func newMetrics(to prometheus.Registerer) *metrics {
	buckets := prometheus.ExponentialBuckets(0.001, 4, 9) // 1 ms to 65 s
	m := &metrics{
		published: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipway_bus_published_total", Help: "Events stored, by type; repeats count again.",
		}, []string{"type"}),
		handled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipway_bus_handled_total", Help: "Runs of event handlers, by consumer, type and outcome.",
		}, []string{"consumer", "type", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "slipway_bus_handle_seconds", Help: "Time in event handlers.", Buckets: buckets,
		}, []string{"consumer"}),
		worked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipway_bus_worked_total", Help: "Runs of workers, by queue and outcome.",
		}, []string{"queue", "outcome"}),
		workSecs: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "slipway_bus_work_seconds", Help: "Time in workers.", Buckets: buckets,
		}, []string{"queue"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "slipway_bus_waiting_keys", Help: "Keys that have work, as this process sees the queue.",
		}, []string{"queue"}),
		age: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "slipway_bus_waiting_seconds", Help: "Age of the oldest work that waits, as this process sees the queue.",
		}, []string{"queue"}),
		pending: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "slipway_bus_pending_events", Help: "Events stored that the consumer has not finished.",
		}, []string{"consumer"}),
		letters: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "slipway_bus_dead_letters", Help: "Dead letters that wait for somebody, of all consumers and queues.",
		}),
		dead: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slipway_bus_dead_total", Help: "Dead letters written, by consumer or queue.",
		}, []string{"consumer"}),
		clock: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "slipway_bus_clock_ahead_seconds", Help: "How far this machine's clock is ahead of the NATS server's; negative behind.",
		}),
	}
	if to != nil {
		m.published, m.handled, m.dead = register(to, m.published), register(to, m.handled), register(to, m.dead)
		m.worked, m.waiting = register(to, m.worked), register(to, m.waiting)
		m.clock = register(to, m.clock)
		m.age, m.pending, m.letters = register(to, m.age), register(to, m.pending), register(to, m.letters)
		m.seconds, m.workSecs = register(to, m.seconds), register(to, m.workSecs)
	}
	return m
}

// register takes the collector that is already there, since several services
// in one process share a registry.
func register[C prometheus.Collector](to prometheus.Registerer, c C) C {
	var already prometheus.AlreadyRegisteredError
	if err := to.Register(c); errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	return c
}
