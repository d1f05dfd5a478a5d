package webhook

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
)

// Events makes the events of a delivery. Ids and chain come of the delivery,
// so that one told again gives the same; time is the sender's, else now.
func Events(service string, s Source, r Request, delivery Delivery, now time.Time) ([]events.Event, error) {
	chain, id := events.Delivery{Source: s.Name, SenderID: delivery.ID, Body: r.Body, Timeless: delivery.Timeless}.IDs()
	var all []events.Event
	for i, item := range delivery.Items {
		at := item.Time
		if at.IsZero() {
			at = now
		}
		e, err := events.New(events.Meta{ID: id(i), Source: "/" + service + "/" + s.Name, ChainID: chain, Time: at}, item.Payload)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// clocks is how much a sender's clock may differ from ours.
const clocks = 10 * time.Minute

// keep stores the events of a delivery, unless they were stored before: a
// sender may tell a delivery again by hand days later. The server knows the ids
// of the last hour by itself; a delivery that by its own time is older than
// that is looked up.
func (d *Door) keep(ctx context.Context, all []events.Event) error {
	if at := all[0].Time; time.Since(at) > bus.Remembered-clocks {
		had, err := d.bus.Has(ctx, all[0], at.Add(-clocks))
		if err != nil {
			return fmt.Errorf("look for an earlier delivery: %w", err)
		}
		if had {
			return nil
		}
	}
	return d.bus.Publish(ctx, all...)
}
