package bus

import (
	"context"
	"encoding/json"

	"github.com/nats-io/nats.go"
)

// CheckVersion is checkVersion.
var CheckVersion = checkVersion

// SubjectToken is subjectToken.
var SubjectToken = subjectToken

// EncodeBucketKey and DecodeBucketKey are the keys of buckets.
var (
	EncodeBucketKey = encodeBucketKey
	DecodeBucketKey = decodeBucketKey
)

// PublishRaw stores bytes that need not be an event.
func (b *Bus) PublishRaw(ctx context.Context, subject string, body []byte) error {
	m := nats.NewMsg(subject)
	m.Data = body
	return b.publishOne(ctx, m)
}

// AbandonBatch sends a batch that is never committed.
func (b *Bus) AbandonBatch(subject string) error {
	m := nats.NewMsg(subject)
	m.Header.Set(batchIDHeader, "abandoned")
	m.Header.Set(batchSeqHeader, "1")
	if err := b.nc.PublishMsg(m); err != nil {
		return err
	}
	return b.nc.Flush()
}

// Reconnects is how often the connection was made anew.
func (b *Bus) Reconnects() uint64 { return b.nc.Stats().Reconnects }

// Unacknowledged is how many events a subscription has in its handlers.
func (b *Bus) Unacknowledged(ctx context.Context, name string) (int, error) {
	c, err := b.js.Consumer(ctx, eventStream, name)
	if err != nil {
		return 0, err
	}
	return c.CachedInfo().NumAckPending, nil
}

// ForgetBuckets has every bucket opened anew, as after a reconnect.
func (b *Bus) ForgetBuckets() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.buckets)
}

// Cut ends the connection as a death does, without a word.
func (b *Bus) Cut() { b.nc.Close() }

// Rests says whether a key's lease was released.
func (b *Bus) Rests(ctx context.Context, queue, key string) bool {
	stream, err := b.js.Stream(ctx, workStream)
	if err != nil {
		return false
	}
	raw, err := stream.GetLastMsgForSubject(ctx, leaseSubject(queue, subjectToken(key)))
	var body leaseBody
	return err == nil && json.Unmarshal(raw.Data, &body) == nil && body.Owner == ""
}

// Received is how many messages came over the connection.
func (b *Bus) Received() uint64 { return b.nc.Stats().InMsgs }

// Empty removes all events, as an operator may.
func (b *Bus) Empty(ctx context.Context) error {
	stream, err := b.js.Stream(ctx, eventStream)
	if err != nil {
		return err
	}
	return stream.Purge(ctx)
}

// ToldIDs is how many ids are kept.
func (b *Bus) ToldIDs() int {
	b.told.mu.Lock()
	defer b.told.mu.Unlock()
	return b.told.ids
}

// KeepTold bounds the ids that are kept.
func (b *Bus) KeepTold(most int) { b.told.most = most }
