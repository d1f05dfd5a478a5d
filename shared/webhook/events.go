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

// keepInTime is keep within storeTimeout. The client of NATS holds its lock while
// it connects anew, so that a call may come back seconds after its context has
// ended: what it stores then is what the sender's repeat finds.
func (d *Door) keepInTime(ctx context.Context, all []events.Event) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	kept := make(chan error, 1)
	go func() {
		defer cancel()
		kept <- d.keep(ctx, all)
	}()
	select {
	case err := <-kept:
		return err
	case <-ctx.Done():
	}
	select { // both may have come
	case err := <-kept:
		return err
	default:
		return fmt.Errorf("wait for the store: %w", context.Cause(ctx))
	}
}

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
