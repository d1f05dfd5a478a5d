package promote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
)

// Known is a tag that we were told of.
type Known struct {
	Tag string `json:"tag"`
	// Digest is what the registry said; empty until it was asked.
	Digest string `json:"digest,omitempty"`
	// Chain is that of the push.
	Chain string `json:"chain"`
	// At is when the event of the push happened.
	At time.Time `json:"at"`
	// Pusher pushed it, where that is told.
	Pusher string `json:"pusher,omitempty"`
	// Created is when the image was made, as the image says; [undatable] where
	// it doesn't, zero while nobody needed to ask.
	Created time.Time `json:"created,omitzero"`

	revision uint64 // in the bucket
	found    bool   // by a sweep that has not told of it
	moved    bool   // found, and known with another digest
}

// undatable is what builds that can be repeated bit by bit give as the time of
// the image, and what we keep for one without a time.
var undatable = time.Unix(0, 0).UTC()

// born is when the image was made or, where that isn't known, when we heard of
// it; zero where neither is known.
func (k Known) born() time.Time {
	if k.Created.After(undatable) {
		return k.Created
	}
	return k.At
}

// Tags are the known tags of all images, in a bucket that every replica
// watches.
type Tags struct {
	*bus.Follower
	bucket *bus.Bucket
	mu     sync.RWMutex
	byRepo map[events.ImageRepository]map[string]Known
}

// OpenTags opens the bucket. [Tags.Run] must run beside it.
func OpenTags(ctx context.Context, b *bus.Bus) (*Tags, error) {
	bucket, err := b.Bucket(ctx, "slipway-tags", bus.BucketOptions{})
	if err != nil {
		return nil, fmt.Errorf("open known tags: %w", err)
	}
	t := &Tags{bucket: bucket, byRepo: map[events.ImageRepository]map[string]Known{}}
	t.Follower = bucket.Follow(t.take)
	return t, nil
}

func (t *Tags) take(c bus.Change) {
	image, err := events.ParseImage(c.Key, nil)
	if err != nil || image.Tag == "" {
		return
	}
	var k Known
	switch {
	case c.Deleted:
		t.forget(image, c.Revision)
	case json.Unmarshal(c.Value, &k) == nil:
		k.revision = c.Revision
		t.set(image.Repository, k)
	}
}

// set takes what was read or written, unless something newer is there: the
// watch may tell late of what we have overwritten since.
func (t *Tags) set(repo events.ImageRepository, k Known) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byRepo[repo] == nil {
		t.byRepo[repo] = map[string]Known{}
	}
	if t.byRepo[repo][k.Tag].revision <= k.revision {
		t.byRepo[repo][k.Tag] = k
	}
}

func (t *Tags) forget(image events.Image, revision uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byRepo[image.Repository][image.Tag].revision <= revision {
		delete(t.byRepo[image.Repository], image.Tag)
	}
}

// Of gives the known tags of a repository, in no order.
func (t *Tags) Of(repo events.ImageRepository) []Known {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]Known, 0, len(t.byRepo[repo]))
	for _, k := range t.byRepo[repo] {
		all = append(all, k)
	}
	return all
}

// Get reads one tag from the bucket itself; ok is false where it is unknown.
func (t *Tags) Get(ctx context.Context, image events.Image) (k Known, ok bool, err error) {
	e, err := t.bucket.Get(ctx, tagKey(image))
	if errors.Is(err, bus.ErrNotFound) {
		return Known{}, false, nil
	}
	if err != nil {
		return Known{}, false, fmt.Errorf("read known tag %s: %w", image, err)
	}
	if err := json.Unmarshal(e.Value, &k); err != nil {
		return Known{revision: e.Revision}, false, nil // what can't be read is learnt again
	}
	k.revision = e.Revision
	t.set(image.Repository, k)
	return k, true, nil
}

// ErrChanged says that a tag has changed since it was read.
var ErrChanged = errors.New("the known tag has changed")

// Put stores a tag for all replicas, as a change of what [Tags.Get] gave: the
// error is [ErrChanged] where somebody else was faster.
func (t *Tags) Put(ctx context.Context, repo events.ImageRepository, k Known) error {
	key := tagKey(events.Image{Repository: repo, Tag: k.Tag})
	data, err := json.Marshal(k)
	switch {
	case err != nil:
	case k.revision == 0:
		k.revision, err = t.bucket.Create(ctx, key, data)
	default:
		k.revision, err = t.bucket.Update(ctx, key, data, k.revision)
	}
	if errors.Is(err, bus.ErrExists) || errors.Is(err, bus.ErrConflict) {
		return fmt.Errorf("store known tag %s:%s: %w", repo, k.Tag, ErrChanged)
	}
	if err != nil {
		return fmt.Errorf("store known tag %s:%s: %w", repo, k.Tag, err)
	}
	t.set(repo, k)
	return nil
}

// Drop forgets a tag that is gone from the registry.
func (t *Tags) Drop(ctx context.Context, image events.Image) error {
	if err := t.bucket.Delete(ctx, tagKey(image)); err != nil {
		return fmt.Errorf("forget tag %s: %w", image, err)
	}
	t.forget(image, math.MaxUint64)
	return nil
}

func tagKey(i events.Image) string { return i.Repository.String() + ":" + i.Tag }
