package bus

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/tracing"
)

// Tracer is that of [Options]; it may be nil, which makes no spans.
func (b *Bus) Tracer() *tracing.Tracer { return b.tracer }

// tracePublish gives events that carry the trace context of a span of their
// own, which end ends. What has a context keeps it.
func (b *Bus) tracePublish(ctx context.Context, evs []events.Event) (traced []events.Event, end func(error)) {
	if b.tracer == nil {
		return evs, func(error) {}
	}
	traced = slices.Clone(evs)
	spans := make([]trace.Span, len(evs))
	for i, e := range traced {
		if e.Payload == nil {
			continue // it is refused
		}
		_, spans[i] = b.tracer.Start(ctx, e.ChainID, e.Traceparent, "publish "+e.Type().Short(), trace.WithSpanKind(trace.SpanKindProducer), about(e))
		if e.Traceparent == "" {
			traced[i].Traceparent = tracing.Traceparent(spans[i])
		}
	}
	return traced, func(err error) {
		for _, s := range spans {
			if s != nil {
				tracing.End(s, err)
			}
		}
	}
}

// traceHandling begins the span of a handler's run.
func (d *delivery) traceHandling(ctx context.Context) (context.Context, trace.Span) {
	if d.bus.tracer == nil {
		return ctx, noop.Span{}
	}
	return d.bus.tracer.Start(ctx, d.event.ChainID, d.event.Traceparent, d.s.Name+" "+d.event.Type().Short(), trace.WithSpanKind(trace.SpanKindConsumer),
		about(d.event), trace.WithAttributes(attribute.Int("slipway.tries", d.tries())))
}

// about says of which event a span is, in OpenTelemetry's words where it has any.
func about(e events.Event) trace.SpanStartEventOption {
	return trace.WithAttributes(
		attribute.String("messaging.system", "nats"), attribute.String("messaging.destination.name", e.NATSSubject()),
		attribute.String("messaging.message.id", e.ID), attribute.String("cloudevents.event_type", string(e.Type())),
		attribute.String("cloudevents.event_source", e.Source), attribute.String("cloudevents.event_subject", e.Payload.SubjectID()),
	)
}
