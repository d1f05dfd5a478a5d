package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
)

// Kept is a bucket of JSON values in the memory of every replica that watches
// it. The watch is in step with nothing else: what must be the newest is read
// by [Kept.Read], or after [Follower.CatchUp].
type Kept[T any] struct {
	*Follower
	mu    sync.RWMutex
	byKey map[string]Version[T]
}

// Version is a value as it was stored.
type Version[T any] struct {
	Value T
	// Revision grows with each change; zero for a value that was never stored.
	Revision uint64
}

// Keep opens the bucket of that name, as [Bus.Bucket] does. [Kept.Run] must run
// beside it.
func Keep[T any](ctx context.Context, b *Bus, name string, o BucketOptions) (*Kept[T], error) {
	bucket, err := b.Bucket(ctx, name, o)
	if err != nil {
		return nil, err
	}
	k := &Kept[T]{byKey: map[string]Version[T]{}}
	k.Follower = bucket.Follow(k.take)
	return k, nil
}

func (k *Kept[T]) take(c Change) {
	var value T
	switch {
	case c.Deleted:
		k.forget(c.Key, c.Revision)
	case json.Unmarshal(c.Value, &value) == nil:
		k.set(c.Key, Version[T]{value, c.Revision})
	}
}

// set takes what was read or written, unless something newer is there: the
// watch may tell late of what we have overwritten since.
func (k *Kept[T]) set(key string, v Version[T]) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byKey[key].Revision <= v.Revision {
		k.byKey[key] = v
	}
}

func (k *Kept[T]) forget(key string, revision uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byKey[key].Revision <= revision {
		delete(k.byKey, key)
	}
}

// Of gives a value as this replica knows it.
func (k *Kept[T]) Of(key string) (Version[T], bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	v, ok := k.byKey[key]
	return v, ok
}

// All are all values as this replica knows them.
func (k *Kept[T]) All() map[string]Version[T] {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return maps.Clone(k.byKey)
}

// Read gives a value from the bucket itself; ok is false where there is none,
// or none that can be read: its revision is then what a write needs.
func (k *Kept[T]) Read(ctx context.Context, key string) (v Version[T], ok bool, err error) {
	e, err := k.bucket.Get(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return v, false, nil
	}
	if err != nil {
		return v, false, err
	}
	if json.Unmarshal(e.Value, &v.Value) != nil {
		return Version[T]{Revision: e.Revision}, false, nil
	}
	v.Revision = e.Revision
	k.set(key, v)
	return v, true, nil
}

// Write stores a value over the one of that revision, zero for none. It errs
// with [ErrConflict] where somebody else was faster.
func (k *Kept[T]) Write(ctx context.Context, key string, value T, over uint64) (Version[T], error) {
	v := Version[T]{Value: value}
	data, err := json.Marshal(value)
	switch {
	case err != nil:
	case over == 0:
		if v.Revision, err = k.bucket.Create(ctx, key, data); errors.Is(err, ErrExists) {
			err = fmt.Errorf("%w: %w", ErrConflict, err)
		}
	default:
		v.Revision, err = k.bucket.Update(ctx, key, data, over)
	}
	if err != nil {
		return v, err
	}
	k.set(key, v)
	return v, nil
}

// Delete removes a value; one that isn't there is no error.
func (k *Kept[T]) Delete(ctx context.Context, key string) error {
	if err := k.bucket.Delete(ctx, key); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.byKey, key)
	return nil
}
