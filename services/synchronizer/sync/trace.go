package sync

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/tracing"
)

// traced is a context with a run's span in a chain, which begins with the first
// event of the run.
func (b *Brain) traced(ctx context.Context, n *run, chain string) context.Context {
	if b.cfg.Tracer == nil {
		return ctx
	}
	span, begun := n.spans[chain]
	if !begun {
		_, span = b.cfg.Tracer.Start(context.Background(), chain, "", "sync "+n.app.name.String(), trace.WithTimestamp(n.started), trace.WithAttributes(
			attribute.String("slipway.application", n.app.name.String()), attribute.String("slipway.cluster", b.cfg.Cluster),
			attribute.String("vcs.ref.head.revision", n.commit), attribute.StringSlice("slipway.images", n.images),
		))
		if n.spans == nil {
			n.spans = map[string]trace.Span{}
		}
		n.spans[chain] = span
	}
	return trace.ContextWithSpan(ctx, span)
}

// traceEnd ends the spans of a run when it was told how it ended. What comes
// later, such as health after a time-out, has spans of its own.
func (b *Brain) traceEnd(n *run, told [][]note) {
	for _, list := range told {
		for _, t := range list {
			end, is := t.payload.(events.PipelineRunFinished)
			if !is {
				continue
			}
			span, begun := n.spans[t.chain]
			if !begun {
				continue
			}
			b.traceStages(n, t.chain, span)
			span.SetAttributes(attribute.String("slipway.outcome", end.Outcome))
			var err error
			if end.Errors != "" {
				err = errors.New(end.Errors)
			}
			tracing.End(span, err)
			delete(n.spans, t.chain)
		}
	}
}

// traceStages makes spans of what a run has gone through.
func (b *Brain) traceStages(n *run, chain string, of trace.Span) {
	stage := func(name string, from, to time.Time) {
		if !from.IsZero() && !to.IsZero() {
			_, span := b.cfg.Tracer.Start(trace.ContextWithSpan(context.Background(), of), chain, "", name, trace.WithTimestamp(from))
			span.End(trace.WithTimestamp(to))
		}
	}
	stage("fetch and render", n.started, n.rendered)
	stage("apply", n.rendered, n.appliedAt)
	if !n.appliedAt.IsZero() {
		stage("wait for health", n.appliedAt, time.Now())
	}
}
