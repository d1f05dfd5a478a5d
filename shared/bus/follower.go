package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Follower keeps up with a bucket, for whoever has in memory what is in it. Its watch is
// in step with nothing else; [Follower.CatchUp] waits for it.
type Follower struct {
	bucket *Bucket
	take   func(Change)
	once   sync.Once
	ready  chan struct{}
	again  chan struct{} // asks for another watch

	mu   sync.Mutex
	seen uint64        // the revision up to which everything was taken
	grew chan struct{} // closed and replaced when that grows
}

// Why a watch is begun again.
var (
	errReconnected = errors.New("the connection was lost, and the watch perhaps with it")
	errBehind      = errors.New("the watch is behind")
)

// Follow has changes taken, one after the other, first those that lead to what is there.
// [Follower.Run] must run.
func (k *Bucket) Follow(take func(Change)) *Follower {
	return &Follower{bucket: k, take: take, ready: make(chan struct{}), again: make(chan struct{}, 1), grew: make(chan struct{})}
}

// Run follows the bucket until ctx ends, from its beginning again where the watch was
// lost, or may have been.
func (f *Follower) Run(ctx context.Context) error {
	const pause = time.Second
	for {
		err := f.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errReconnected):
			continue
		}
		f.bucket.bus.log.Warn("the watch of a bucket ended, watching again", "bucket", f.bucket.name, "error", err)
		if errors.Is(err, errBehind) {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (f *Follower) follow(ctx context.Context) error {
	reconnect := f.bucket.bus.nextReconnect()
	last, err := f.bucket.last(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.seen = 0
	f.mu.Unlock()
	watching, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-reconnect:
			stop(errReconnected)
		case <-f.again:
			stop(errBehind)
		case <-watching.Done():
		}
	}()
	for c, err := range f.bucket.Watch(watching) {
		switch {
		case err != nil:
			return fmt.Errorf("watch bucket %s: %w", f.bucket.name, err)
		case c.Current:
			f.reached(last)
			f.once.Do(func() { close(f.ready) })
		default:
			f.take(c)
			f.reached(c.Revision)
		}
	}
	return context.Cause(watching)
}

func (f *Follower) reached(revision uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if revision > f.seen {
		f.seen = revision
		close(f.grew)
		f.grew = make(chan struct{})
	}
}

// Ready waits until everything that was there at the start is taken.
func (f *Follower) Ready(ctx context.Context) error {
	select {
	case <-f.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// How long a watch may lag before it is begun anew, and before whoever waits gives up:
// a watch that was lost with a server says nothing of it for many seconds.
const (
	lag     = 500 * time.Millisecond
	lagMost = 10 * time.Second
)

// CatchUp waits until everything is taken that was stored when it was called. Work that
// another replica has put may come before what that one has stored.
func (f *Follower) CatchUp(ctx context.Context) error {
	last, err := f.bucket.last(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lagMost)
	defer cancel()
	late := time.NewTimer(lag)
	defer late.Stop()
	for {
		f.mu.Lock()
		seen, grew := f.seen, f.grew
		f.mu.Unlock()
		if seen >= last {
			return nil
		}
		select {
		case <-grew:
		case <-late.C:
			select {
			case f.again <- struct{}{}:
			default: // it is asked already
			}
		case <-ctx.Done():
			return fmt.Errorf("catch up with bucket %s: it is known up to revision %d of %d: %w", f.bucket.name, seen, last, ctx.Err())
		}
	}
}

// last is the revision that was given last in the bucket.
func (k *Bucket) last(ctx context.Context) (revision uint64, err error) {
	kv, err := k.kv(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask bucket %s: %w", k.name, err)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	err = retry(ctx, publishBackoff, func(int) error {
		try, cancel := context.WithTimeout(ctx, stepTimeout)
		defer cancel()
		status, err := kv.Status(try)
		if err != nil {
			return onlyPassing(err)
		}
		if s, ok := status.(*jetstream.KeyValueBucketStatus); ok {
			revision = s.StreamInfo().State.LastSeq
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("ask bucket %s: %w", k.name, err)
	}
	return revision, nil
}
