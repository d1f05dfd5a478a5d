package e2e_test

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
)

// spanSink takes OTLP over HTTP, and keeps the spans by trace.
type spanSink struct {
	mu     sync.Mutex
	traces map[string][]sunk
}

type sunk struct {
	service string
	*spans.Span
}

func (s *spanSink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	var err error
	if r.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	data, err := io.ReadAll(body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(data, &request)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range request.ResourceSpans {
		service := ""
		for _, a := range resource.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				id := hex.EncodeToString(span.TraceId)
				s.traces[id] = append(s.traces[id], sunk{service, span})
			}
		}
	}
}

// of gives what a trace has, as "service: span", and why it isn't one tree or
// several.
func (s *spanSink) of(chain string) (all []string, fault error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.traces[strings.ReplaceAll(chain, "-", "")]
	ids := map[string]bool{}
	for _, span := range found {
		ids[string(span.SpanId)] = true
	}
	for _, span := range found {
		all = append(all, span.service+": "+span.Name)
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
	sink := &spanSink{traces: map[string][]sunk{}}
	server := httptest.NewServer(sink)
	t.Cleanup(server.Close)
	must(t, parts.Build(t.Context(), nil))
	bin, err := separateBin()
	must(t, err)
	w, err := local.Start(t.Context(), local.Options{Dir: t.TempDir(), Bin: bin, Separate: true, Tracing: server.URL})
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
		all, fault := sink.of(release.ChainID)
		for _, name := range want {
			if !slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, name) }) {
				return fmt.Errorf("no %q among\n%s", name, strings.Join(all, "\n"))
			}
		}
		return fault
	}))
	sink.mu.Lock()
	defer sink.mu.Unlock()
	services := map[string]bool{}
	for _, all := range sink.traces {
		for _, span := range all {
			services[span.service] = true
		}
	}
	if len(services) != 4 {
		t.Errorf("spans of %v", slices.Sorted(maps.Keys(services)))
	}
}
