package promote

import (
	"context"

	"github.com/slipway-cd/slipway/events"
)

// remember makes durable what waits: proposals, and the times at which to
// decide again. What the decisions left behind is ended.
func (d *Deployer) remember(ctx context.Context, r *Repository, decisions []Decision) error {
	for _, decision := range decisions {
		if decision.Propose != nil && decision.Outcome != events.Deploy {
			if err := d.Approvals.Propose(ctx, *decision.Propose); err != nil {
				return err
			}
		}
		if decision.Ending != nil && decision.Outcome != events.Deploy {
			if err := d.end(ctx, *decision.Ending); err != nil {
				return err
			}
		}
		if !decision.Again.IsZero() {
			item := pair{decision.Application.Name, decision.Image}.item()
			if err := d.Due.At(ctx, r.Key, item, decision.Again); err != nil {
				return err
			}
		}
	}
	return nil
}

// conclude ends the proposals whose commit has landed.
func (d *Deployer) conclude(ctx context.Context, decisions []Decision) error {
	for _, decision := range decisions {
		if decision.Ending != nil && decision.Outcome == events.Deploy {
			if err := d.end(ctx, *decision.Ending); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Deployer) end(ctx context.Context, e Ending) error {
	return d.Approvals.Close(ctx, e.Proposal, e.Status, e.Reason, d.now())
}
