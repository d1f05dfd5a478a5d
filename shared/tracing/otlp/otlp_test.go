package otlp_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"github.com/slipway-cd/slipway/shared/tracing"
	"github.com/slipway-cd/slipway/shared/tracing/otlp"
	"github.com/slipway-cd/slipway/shared/tracing/otlptest"
)

func start(t *testing.T, o otlp.Options) (*tracing.Tracer, func(), *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	tracer, stop, err := otlp.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return tracer, func() { stop(context.Background()) }, log
}

func TestAChainIsOneTraceWhoeverMakesItsSpans(t *testing.T) {
	t.Parallel()
	s := &otlptest.Sink{Prefix: "/base"}
	server := httptest.NewServer(s)
	defer server.Close()
	o := otlp.Options{Endpoint: server.URL + "/base", Headers: map[string]string{"Authorization": "Bearer secret-of-the-collector"}, Sample: 1}
	o.Service = "one"
	one, stopOne, log := start(t, o)
	o.Service = "two"
	two, stopTwo, _ := start(t, o)

	chain, other := "0b4f6c0e-5a0e-5d7b-8c1e-2f3a4b5c6d7e", "a chain of somebody who has no UUIDs"
	ctx, first := one.Start(t.Context(), chain, "", "publish")
	_, inner := one.Start(ctx, chain, "", "inner")
	_, linked := one.Start(ctx, other, "", "linked")
	_, told := two.Start(t.Context(), chain, tracing.Traceparent(first), "handle")
	_, untold := two.Start(t.Context(), chain, "00-nonsense-01", "handle untold")
	_, foreign := two.Start(t.Context(), chain, tracing.Traceparent(linked), "handle what tells of another trace")
	for _, span := range []trace.Span{inner, first, linked, told, untold} {
		tracing.End(span, nil)
	}
	tracing.End(foreign, errors.New("it failed"))
	stopOne()
	stopTwo()

	byName := map[string]otlptest.Span{}
	for _, span := range s.All() {
		byName[span.Name] = span
	}
	id := uuid.MustParse(chain)
	for name, parent := range map[string]string{"publish": "", "inner": "publish", "handle": "publish", "handle untold": "", "handle what tells of another trace": ""} {
		span := byName[name]
		if span.Span == nil || string(span.TraceId) != string(id[:]) || string(span.ParentSpanId) != string(byName[parent].Span.GetSpanId()) {
			t.Errorf("%s: %v", name, span)
		}
	}
	if l := byName["linked"]; l.Span == nil || string(l.TraceId) == string(id[:]) || len(l.Links) != 1 || string(l.Links[0].TraceId) != string(id[:]) {
		t.Errorf("linked: %v", l)
	}
	if f := byName["handle what tells of another trace"]; f.Span.GetStatus().GetMessage() != "it failed" {
		t.Errorf("status %v", f.Span.GetStatus())
	}
	if s.Authorization() != "Bearer secret-of-the-collector" || log.Len() > 0 {
		t.Errorf("authorization %q, log %s", s.Authorization(), log)
	}
}

func TestAllServicesChooseTheSameShare(t *testing.T) {
	t.Parallel()
	one, stopOne, _ := start(t, otlp.Options{Endpoint: "http://127.0.0.1:1", Sample: 0.25})
	two, stopTwo, _ := start(t, otlp.Options{Endpoint: "http://127.0.0.1:1", Sample: 0.25})
	defer stopOne()
	defer stopTwo()
	const n = 4000
	chosen := 0
	for i := range n {
		chain := uuid.NewSHA1(uuid.NameSpaceURL, []byte{byte(i), byte(i >> 8)}).String()
		_, a := one.Start(t.Context(), chain, "", "a")
		_, b := two.Start(t.Context(), chain, "", "b")
		if a.SpanContext().IsSampled() != b.SpanContext().IsSampled() {
			t.Fatalf("chain %s is traced by one of two", chain)
		}
		if a.SpanContext().IsSampled() {
			chosen++
		}
	}
	if chosen < n/5 || chosen > n*3/10 {
		t.Errorf("%d of %d chains are traced, instead of a quarter", chosen, n)
	}
}

func TestACollectorThatIsAwayIsToldOnceAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer away.Close()
	tracer, stop, log := start(t, otlp.Options{Endpoint: away.URL, Headers: map[string]string{"Authorization": "Bearer secret-of-the-collector"}, Sample: 1})
	for range 2000 {
		_, span := tracer.Start(t.Context(), uuid.NewString(), "", "x")
		tracing.End(span, nil)
	}
	stop()
	if told := strings.Count(log.String(), "spans were not taken"); told != 1 || strings.Contains(log.String(), "secret-of") {
		t.Errorf("told %d times: %s", told, log)
	}
}

func TestWithoutATracerNothingIsTraced(t *testing.T) {
	t.Parallel()
	var none *tracing.Tracer
	ctx, span := none.Start(t.Context(), "chain", "", "x")
	tracing.End(span, errors.New("it failed"))
	if ctx != t.Context() || tracing.Traceparent(span) != "" {
		t.Error("a span was made")
	}
}
