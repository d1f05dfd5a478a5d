package promote

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/tracing"
)

// trace makes a span of a push in the chain of each change that went with it.
func (d *Deployer) trace(ctx context.Context, r *Repository, changes []Change, commit *gitrepo.Commit, began time.Time, err error) {
	for _, c := range changes {
		_, span := d.Bus.Tracer().Start(ctx, c.Chain, "", "commit "+string(r.Name), trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(began), trace.WithAttributes(
			attribute.String("slipway.application", c.Application.String()), attribute.String("slipway.image", c.Image.String()),
			attribute.String("slipway.to", c.To), attribute.String("vcs.ref.head.name", r.Branch),
		))
		if commit != nil {
			span.SetAttributes(attribute.String("vcs.ref.head.revision", commit.Hash()))
		}
		tracing.End(span, err)
	}
}
