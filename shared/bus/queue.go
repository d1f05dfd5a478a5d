package bus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/slipway-cd/slipway/events"
)

// QueueOptions say how a queue's work is done. Zero fields take the defaults.
type QueueOptions struct {
	// Quiet is how long a key must have had no new item before it is worked
	// on, and Longest how long it may wait for that since its first: at once
	// and 20 times Quiet.
	Quiet, Longest time.Duration
	// Pace is how long after one work on it began a key rests before the next
	// in this process, so that items that come one by one are gathered, too:
	// not at all. They don't rest when one of them is of a kind that was in the
	// work before, or when all are without a kind. Kind gives the kinds; nil
	// means that items have none.
	Pace time.Duration
	Kind func(item string) string
	// Concurrency is the most keys that this process works on at once: 16.
	Concurrency int
	// LeaseTTL is how long a key stays with a replica that shows no sign of
	// life: 5 s.
	LeaseTTL time.Duration
	// MaxAge is how long after it was put a failing item is tried: 24 h.
	MaxAge time.Duration
	// Timeout ends the worker's context: 15 min.
	Timeout time.Duration
	// Backoff are the delays of a failing key: 500 ms to 5 min.
	Backoff Backoff
	// Drain is how long running workers may go on after Run's context ended,
	// before their own contexts end: 20 s.
	Drain time.Duration
	// Group names what a key depends on, such as its Git host. Keys of one
	// group take at most half of the places, and groups whose last work failed
	// take at most half together, so that a host that answers nothing holds up
	// nobody else. The group of the empty name has no such bounds, and has all
	// keys when nil.
	Group func(key string) string
	// Home is which replica is preferred for a key: none.
	Home Home
	// Gone is told of each other replica that ended, or has shown no sign of life
	// for longer than LeaseTTL; worked says of a key whether it worked on it last,
	// or nobody is known to have. It must not block. Nil: nobody asks, and this one
	// gives no signs.
	Gone func(worked func(key string) bool)
}

func (o QueueOptions) complete() QueueOptions {
	if o.Kind == nil {
		o.Kind = func(string) string { return "" }
	}
	o.Longest = orElse(o.Longest, 20*o.Quiet)
	o.Concurrency = orElse(o.Concurrency, 16)
	o.LeaseTTL = orElse(o.LeaseTTL, 5*time.Second)
	o.MaxAge = orElse(o.MaxAge, day)
	o.Timeout = orElse(o.Timeout, 15*time.Minute)
	o.Drain = orElse(o.Drain, 20*time.Second)
	o.Backoff = o.Backoff.orElse(500*time.Millisecond, 5*time.Minute)
	return o
}

// Queue is durable work, in items that are gathered by key. No two replicas
// work on one key at the same time, as far as a lease can promise that: what
// must hold beyond a pause of the process longer than the lease needs a check
// of its own, such as git's expected old commit.
type Queue struct {
	bus  *Bus
	name string
	me   string // this replica, as a home
	o    QueueOptions
}

// Work is everything that waits for one key.
type Work struct {
	Key string
	// Items are in the order in which they were put.
	Items []string
	// Tries is how often the key's work failed in a row.
	Tries int
	// Since is when the oldest of the items was put.
	Since time.Time
}

// Queue opens the work queue of that name: letters, digits, '-' and '_'.
func (b *Bus) Queue(_ context.Context, name string, o QueueOptions) (*Queue, error) {
	if err := checkName("queue", name); err != nil {
		return nil, err
	}
	return &Queue{bus: b, name: name, me: nuid.Next(), o: o.complete()}, nil
}

// Put stores one item of work and returns when it is safe. An item that is
// waiting already is not doubled; one that is being worked on is worked on
// once more. An error means that it is not stored or that this is unknown; to
// put it again is safe.
func (q *Queue) Put(ctx context.Context, key, item string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := q.bus.putItem(ctx, q.name, ticket{key, item, q.me}); err != nil {
		return fmt.Errorf("put work for %s into %s: %w", key, q.name, err)
	}
	return nil
}

// ticket is the body of a work item's message.
type ticket struct {
	Key  string `json:"key"`
	Item string `json:"item"`
	By   string `json:"by,omitempty"` // the replica that has put it
}

func (b *Bus) putItem(ctx context.Context, queue string, t ticket) error {
	if t.Key == "" {
		return errors.New("the key is empty")
	}
	if !utf8.ValidString(t.Key) || !utf8.ValidString(t.Item) {
		return errors.New("key and item must be UTF-8")
	}
	body, err := json.Marshal(t)
	if err != nil {
		return err
	}
	m := nats.NewMsg(workSubject(queue, subjectToken(t.Key), subjectToken(t.Item)))
	m.Data = body
	return b.publishOne(ctx, m)
}

func workSubject(queue, key, item string) string {
	return workPrefix + "." + queue + "." + key + "." + item
}

func leaseSubject(queue, key string) string {
	return leasePrefix + "." + queue + "." + key
}

// subjectToken is the encoded text where that is short, as it mostly is, else
// its hash: a subject must fit in one line of the protocol. "%h" begins no
// encoded text.
func subjectToken(text string) string {
	if encoded := events.EncodeKey(text); encoded != "" && len(encoded) <= 256 {
		return encoded
	}
	sum := sha256.Sum256([]byte(text))
	return "%h" + hex.EncodeToString(sum[:])
}
