// Package otlp sends the spans of a process to a collector, by OTLP over HTTP.
package otlp

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/slipway-cd/slipway/shared/tracing"
)

// Options say where spans go.
type Options struct {
	// Service names the process in the spans.
	Service string
	// Endpoint is the collector's base URL, such as http://collector:4318;
	// spans go to /v1/traces under it.
	Endpoint string
	// Headers go with each request. Their values are secrets.
	Headers map[string]string
	// Sample is the share of chains that are traced, from 0 to 1. All services
	// choose the same ones.
	Sample float64
	// Log is told of spans that could not be sent.
	Log *slog.Logger
}

// Start begins to send spans; stop sends what is left. A collector that is away
// holds up nobody: spans that it doesn't take in time are lost.
func Start(ctx context.Context, o Options) (t *tracing.Tracer, stop func(context.Context), err error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(o.Endpoint+"/v1/traces"), otlptracehttp.WithHeaders(o.Headers))
	if err != nil {
		return nil, nil, fmt.Errorf("trace to %s: %w", o.Endpoint, err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&telling{SpanExporter: exporter, log: o.Log}, sdktrace.WithBatchTimeout(time.Second)),
		sdktrace.WithSampler(sdktrace.ParentBased(share(o.Sample))),
		sdktrace.WithIDGenerator(ids{}),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", o.Service))),
	)
	return tracing.New(provider.Tracer("github.com/slipway-cd/slipway")), func(ctx context.Context) {
		if err := provider.Shutdown(ctx); err != nil {
			o.Log.Warn("send the last spans", "error", err)
		}
	}, nil
}

// share chooses chains by the first four bytes of the trace's id, which in a UUID
// are random. OpenTelemetry's own sampler goes by the last eight, whose first
// bits are the same in all UUIDs (RFC 9562, section 4.1).
type share float64

func (s share) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	r := sdktrace.SamplingResult{Decision: sdktrace.Drop, Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState()}
	if float64(binary.BigEndian.Uint32(p.TraceID[:4])) < float64(s)*(1<<32) {
		r.Decision = sdktrace.RecordAndSample
	}
	return r
}

func (s share) Description() string { return fmt.Sprintf("share of chains: %g", float64(s)) }

// telling logs what OpenTelemetry would tell a global handler.
type telling struct {
	sdktrace.SpanExporter
	log  *slog.Logger
	last time.Time // one export runs at a time
}

const tellAgain = time.Minute

func (t *telling) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := t.SpanExporter.ExportSpans(ctx, spans)
	if err != nil && time.Since(t.last) > tellAgain {
		t.last = time.Now()
		t.log.Warn("spans were not taken, and are lost", "spans", len(spans), "error", err)
	}
	return nil
}

// ids takes the ids of traces from the chains.
type ids struct{}

func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if chain := tracing.Chain(ctx); chain != "" {
		id := tracing.TraceID(chain)
		return id, ids{}.NewSpanID(ctx, id)
	}
	var id trace.TraceID
	_, _ = crand.Read(id[:]) // it never errs
	return id, ids{}.NewSpanID(ctx, id)
}

func (ids) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	_, _ = crand.Read(id[:]) // it never errs
	return id
}
