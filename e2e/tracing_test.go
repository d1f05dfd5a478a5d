package e2e_test

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	spans "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/shared/tracing/otlptest"
)

// traced gives what the trace of a chain has, as "service: span", and why it
// isn't one tree or several.
func traced(sink *otlptest.Sink, chain string) (all []string, fault error) {
	trace := strings.ReplaceAll(chain, "-", "")
	var found []otlptest.Span
	ids := map[string]bool{}
	for _, span := range sink.All() {
		if hex.EncodeToString(span.TraceId) == trace {
			found, ids[string(span.SpanId)] = append(found, span), true
		}
	}
	for _, span := range found {
		all = append(all, span.Service+": "+span.Name)
		if len(span.ParentSpanId) > 0 && !ids[string(span.ParentSpanId)] {
			fault = fmt.Errorf("the parent of %q isn't in the trace", span.Name)
		}
		if span.Status.GetCode() == spans.Status_STATUS_CODE_ERROR {
			fault = fmt.Errorf("%q failed: %s", span.Name, span.Status.Message)
		}
	}
	return all, fault
}

// TestAChainIsOneTrace follows an image through all services, by what they send
// to a collector.
func TestAChainIsOneTrace(t *testing.T) {
	t.Parallel()
	sink := &otlptest.Sink{}
	server := httptest.NewServer(sink)
	t.Cleanup(server.Close)
	must(t, parts.Build(t.Context(), nil))
	w, err := local.Start(t.Context(), local.Options{Dir: t.TempDir(), Bin: programs(t), Separate: true, Tracing: server.URL})
	must(t, err)
	t.Cleanup(w.Stop)
	must(t, w.Ready(t.Context()))
	must(t, w.Bootstrap(t.Context()))
	must(t, w.AllReady(t.Context(), 3, nil))
	o, err := w.Observe(t.Context())
	must(t, err)
	t.Cleanup(o.Close)
	release, err := o.Release(t.Context(), local.WebImage, "1.1.0", "web", nil)
	must(t, err)
	want := []string{
		"slipway-registry-receiver: publish artifact.published",
		"slipway-automator: automator artifact.published",
		"slipway-automator: publish decision.made",
		"slipway-automator: commit ",
		"slipway-automator: publish change.merged",
		"slipway-synchronizer: publish pipelinerun.started",
		"slipway-synchronizer: sync local/shop/web",
		"slipway-synchronizer: fetch and render",
		"slipway-synchronizer: apply",
		"slipway-synchronizer: wait for health",
		"slipway-synchronizer: publish pipelinerun.finished",
	}
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		all, fault := traced(sink, release.ChainID)
		for _, name := range want {
			if !slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, name) }) {
				return fmt.Errorf("no %q among\n%s", name, strings.Join(all, "\n"))
			}
		}
		return fault
	}))
	services := map[string]bool{}
	for _, span := range sink.All() {
		services[span.Service] = true
	}
	if len(services) != 4 {
		t.Errorf("spans of %v", slices.Sorted(maps.Keys(services)))
	}
}
