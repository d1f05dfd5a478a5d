// Package tracing makes spans of OpenTelemetry: each chain of events is one
// trace. Its id follows from the chain's, so that every service finds the same
// one, whether or not the event before carried a trace context.
//
// It needs OpenTelemetry's interfaces only; package otlp sends spans away.
package tracing

import (
	"context"
	"crypto/sha256"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Tracer begins spans. Nil is a Tracer that makes none.
type Tracer struct{ tracer trace.Tracer }

// New makes a Tracer over one of OpenTelemetry's, which must take the ids of new
// traces from [TraceID] of [Chain].
func New(t trace.Tracer) *Tracer { return &Tracer{t} }

// TraceID is the trace of a chain: the chain's own bytes where it is a UUID, as
// ours are, else a hash.
func TraceID(chain string) (id trace.TraceID) {
	if u, err := uuid.Parse(chain); err == nil && u != uuid.Nil {
		return trace.TraceID(u)
	}
	sum := sha256.Sum256([]byte(chain))
	copy(id[:], sum[:])
	return id
}

type chainKey struct{}

// Chain is the chain for which a span without a parent is begun; empty for none.
func Chain(ctx context.Context) string {
	chain, _ := ctx.Value(chainKey{}).(string)
	return chain
}

// Start begins a span of a chain. Its parent is the traceparent's span where
// that is of the chain's trace, else the context's. A span of the context that
// is of another trace is linked.
func (t *Tracer) Start(ctx context.Context, chain, traceparent, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	if t == nil {
		return ctx, noop.Span{}
	}
	id := TraceID(chain)
	around := trace.SpanContextFromContext(ctx)
	switch told := parse(traceparent); {
	case told.TraceID() == id:
		ctx = trace.ContextWithRemoteSpanContext(ctx, told)
	case around.TraceID() == id:
	default:
		if around.IsValid() {
			o = append(o, trace.WithLinks(trace.Link{SpanContext: around}))
		}
		ctx = context.WithValue(ctx, chainKey{}, chain)
		o = append(o, trace.WithNewRoot())
	}
	return t.tracer.Start(ctx, name, append(o, trace.WithAttributes(attribute.String("slipway.chain.id", chain)))...)
}

// End ends a span, which failed unless err is nil.
func End(span trace.Span, err error, o ...trace.SpanEndOption) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End(o...)
}

var w3c = propagation.TraceContext{}

// Traceparent is a span as the W3C trace context writes it; empty for one that
// is none.
func Traceparent(span trace.Span) string {
	carrier := propagation.MapCarrier{}
	w3c.Inject(trace.ContextWithSpan(context.Background(), span), carrier)
	return carrier["traceparent"]
}

func parse(traceparent string) trace.SpanContext {
	if traceparent == "" {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(w3c.Extract(context.Background(), propagation.MapCarrier{"traceparent": traceparent}))
}
