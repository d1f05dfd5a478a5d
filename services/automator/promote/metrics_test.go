package promote_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/promote"
)

// TestMetricsFollowAnImage counts decisions and pushes, and how long images took.
func TestMetricsFollowAnImage(t *testing.T) {
	b := start(t, nil)
	shown := prometheus.NewRegistry()
	m, err := promote.NewMetrics(shown)
	must(t, err)
	b.deploy.Metrics = m
	b.pushed("1.1.0", digestA)
	once := sync.Once{}
	b.before = func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/git-receive-pack") && !strings.HasPrefix(r.Header.Get("User-Agent"), "git/2") {
			once.Do(func() {
				b.git.Pull()
				b.git.Commit("faster", map[string]string{"README.md": "x"})
			})
		}
	}
	must(t, b.work("ghcr.io/acme/web:1.1.0"))

	healthy := time.Now().Add(time.Minute)
	service := events.ServiceEvent{Kind: events.ServiceUpgradedType, Service: events.Service{
		Environment: "production", Cluster: "production", Application: "production/shop/web", Images: []string{"ghcr.io/acme/web:1.1.0@" + digestA}, HealthySince: &healthy,
		Artifact: events.ImagePURL(events.Image{Repository: events.ImageRepository{Host: "ghcr.io", Path: "acme/web"}, Tag: "1.1.0", Digest: digestA}),
	}}
	e, err := events.New(events.Meta{ID: "1", Source: "/synchronizer/production", ChainID: "chain-1.1.0", Time: healthy}, service)
	must(t, err)
	failing := errors.New("not stored")
	for _, fails := range []error{failing, nil} {
		handle := b.deploy.Metrics.Measured(b.tags, nil, func(context.Context, events.Event) error { return fails })
		if err := handle(t.Context(), e); !errors.Is(err, fails) {
			t.Errorf("%v, want %v", err, fails)
		}
	}

	families, err := shown.Gather()
	must(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName() + " " + m.Label[0].GetValue()
			got[name] = m.Counter.GetValue() + float64(m.Histogram.GetSampleCount())
			if name == "slipway_lead_seconds running" && m.Histogram.GetSampleSum() < 59 {
				t.Errorf("running took %v s", m.Histogram.GetSampleSum())
			}
		}
	}
	for name, want := range map[string]float64{
		"slipway_commits_total moved": 1, "slipway_commits_total pushed": 1, "slipway_decisions_total deploy": 2,
		"slipway_lead_seconds decided": 2, "slipway_lead_seconds committed": 1, "slipway_lead_seconds running": 1,
	} {
		if got[name] != want {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
}
