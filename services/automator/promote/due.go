package promote

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/shared/bus"
)

// Due has things decided on again at a time: when a freeze, a hold or a
// deadline ends, or health has lasted. The times are in a bucket that every
// replica watches; whoever comes first puts the work.
type Due struct {
	bucket *bus.Bucket
	queue  *bus.Queue

	mu     sync.Mutex
	timers map[string]*time.Timer
	fire   chan due
}

// due is one time.
type due struct {
	Key  string    `json:"key"`  // the repository
	Item string    `json:"item"` // of work
	At   time.Time `json:"at"`

	revision uint64
}

func (d due) id() string { return d.Key + " " + d.Item }

// OpenDue opens the bucket. [Due.Run] must run beside it.
func OpenDue(ctx context.Context, b *bus.Bus, queue *bus.Queue) (*Due, error) {
	bucket, err := b.Bucket(ctx, "slipway-due", bus.BucketOptions{})
	if err != nil {
		return nil, fmt.Errorf("open due times: %w", err)
	}
	return &Due{bucket: bucket, queue: queue, timers: map[string]*time.Timer{}, fire: make(chan due)}, nil
}

// At has an item of work put at that time; a later call for the same item
// replaces it.
func (d *Due) At(ctx context.Context, key, item string, at time.Time) error {
	entry := due{Key: key, Item: item, At: at.UTC()}
	data, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("have %s decided on again: %w", item, err)
	}
	if _, err := d.bucket.Put(ctx, entry.id(), data); err != nil {
		return fmt.Errorf("have %s decided on again: %w", item, err)
	}
	return nil
}

// Run puts what is due until ctx ends.
func (d *Due) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { _ = d.bucket.Follow(func(c bus.Change) { d.take(ctx, c) }).Run(ctx) }) // it ends with ctx alone
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry := <-d.fire:
			if err := d.put(ctx, entry); err != nil && ctx.Err() == nil {
				slog.WarnContext(ctx, "what is due can't be put, trying again", "item", entry.Item, "error", err)
				d.set(ctx, entry, time.Second)
			}
		}
	}
}

// put stores the work, and then forgets the time. A time that was set again
// meanwhile stays.
func (d *Due) put(ctx context.Context, entry due) error {
	if err := d.queue.Put(ctx, entry.Key, entry.Item); err != nil {
		return err
	}
	e, err := d.bucket.Get(ctx, entry.id())
	if err != nil || e.Revision != entry.revision {
		return nil //nolint:nilerr // gone already, or another's
	}
	return d.bucket.Delete(ctx, entry.id())
}

func (d *Due) take(ctx context.Context, c bus.Change) {
	var entry due
	switch {
	case c.Deleted:
		d.forget(c.Key)
	case json.Unmarshal(c.Value, &entry) == nil:
		entry.revision = c.Revision
		d.set(ctx, entry, time.Until(entry.At))
	}
}

func (d *Due) set(ctx context.Context, entry due, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.timers[entry.id()]; t != nil {
		t.Stop()
	}
	d.timers[entry.id()] = time.AfterFunc(max(wait, 0), func() {
		select {
		case d.fire <- entry:
		case <-ctx.Done():
		}
	})
}

func (d *Due) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.timers[id]; t != nil {
		t.Stop()
		delete(d.timers, id)
	}
}
