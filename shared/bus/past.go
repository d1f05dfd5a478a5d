package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// pastBucket keeps what is known of events that did not succeed at once.
const pastBucket = "slipway-past"

// past tells a delivery that was answered from one that ended with its
// process: the server counts deliveries, but not which of them we answered.
// It is written only after a failure, so a first delivery costs nothing.
type past struct {
	// Answered is the number of the last delivery that we know the end of.
	Answered uint64 `json:"answered"`
	// Kills is how often in a row the handler panicked or its process died.
	Kills int `json:"kills,omitempty"`
	// Running says that a repeat's handler was started and has not returned.
	Running bool `json:"running,omitempty"`

	stored bool
}

// delivered brings the past up to date with delivery number n, which is about
// to run.
func (p *past) delivered(n uint64) {
	if n-1 <= p.Answered {
		return
	}
	// A repeat that was not running waited for its turn when its process
	// died, and has no part in it. A first delivery ran, and may have.
	if p.Running || !p.stored {
		p.Kills++
	}
	p.Answered, p.Running = n-1, false
}

func (d *delivery) pastKey() string {
	return fmt.Sprintf("%s.%s.%d", d.s.Name, d.meta.Stream, d.meta.Sequence.Stream)
}

// pastContext is not the handler's, since a past must be written when the
// service is ending.
func (d *delivery) pastContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(d.work), 5*time.Second)
}

func (d *delivery) recall() error {
	ctx, cancel := d.pastContext()
	defer cancel()
	kv, err := d.bus.keyValue(ctx, pastBucket, BucketOptions{TTL: 30 * day})
	if err != nil {
		return err
	}
	entry, err := kv.Get(ctx, d.pastKey())
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(entry.Value(), &d.past); err != nil {
			return err
		}
		d.past.stored = true
	}
	d.past.delivered(d.meta.NumDelivered)
	return nil
}

// mark notes that a repeat's handler starts.
func (d *delivery) mark() error {
	d.past.Running = true
	return d.writePast()
}

// remember notes that this delivery was answered. Failing that, the event is
// taken for a suspect next time, which is slower but right.
func (d *delivery) remember() {
	d.past.Answered, d.past.Running = d.meta.NumDelivered, false
	if err := d.writePast(); err != nil {
		d.bus.log.Warn("note an event's failure", "consumer", d.s.Name, "event_id", d.event.ID, "error", err)
	}
}

func (d *delivery) writePast() error {
	ctx, cancel := d.pastContext()
	defer cancel()
	kv, err := d.bus.keyValue(ctx, pastBucket, BucketOptions{TTL: 30 * day})
	if err != nil {
		return err
	}
	value, err := json.Marshal(d.past)
	if err != nil {
		return err
	}
	_, err = kv.Put(ctx, d.pastKey(), value)
	d.past.stored = d.past.stored || err == nil
	return err
}

func (d *delivery) forget() {
	ctx, cancel := d.pastContext()
	defer cancel()
	kv, err := d.bus.keyValue(ctx, pastBucket, BucketOptions{TTL: 30 * day})
	if err == nil {
		err = kv.Purge(ctx, d.pastKey())
	}
	if err != nil {
		d.bus.log.Debug("forget an event's failures", "consumer", d.s.Name, "event_id", d.event.ID, "error", err)
	}
}
