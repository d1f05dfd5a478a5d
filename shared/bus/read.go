package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-cd/slipway/events"
)

// ReadOptions say which stored events to read; zero fields don't restrict.
type ReadOptions struct {
	// Types are the types to read.
	Types []events.Type
	// Key is the repository or application that the events are about.
	Key string
	// ChainID is the chain that the events belong to.
	ChainID string
	// Since leaves out what was stored earlier.
	Since time.Time
	// Follow goes on with new events until the context ends.
	Follow bool
}

// Stored is an event as it was stored.
type Stored struct {
	Event events.Event
	// Sequence grows with each event stored.
	Sequence uint64
	// StoredAt is the server's time.
	StoredAt time.Time
}

func (o ReadOptions) filters() []string {
	key := "*"
	if o.Key != "" {
		key = events.EncodeKey(o.Key)
	}
	if len(o.Types) == 0 {
		return []string{events.SubjectPrefix + ".*.*." + key}
	}
	var all []string
	for _, t := range o.Types {
		all = append(all, events.SubjectPrefix+"."+t.Short()+"."+key)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Read goes through the stored events, the oldest first, each once. Without
// Follow it ends with the event that was the last when it began. Events of
// types that we do not know are left out. After an error it ends; the end of
// ctx is an error only where Follow is not set.
func (b *Bus) Read(ctx context.Context, o ReadOptions) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		s := scan{stream: eventStream, filters: o.filters(), since: o.Since, follow: o.Follow}
		for m, err := range b.scan(ctx, s) {
			if err != nil {
				yield(Stored{}, fmt.Errorf("read events: %w", err))
				return
			}
			e, err := events.Parse(m.Data())
			if err != nil {
				b.log.Debug("read events: left one out", "sequence", m.meta.Sequence.Stream, "error", err)
				continue
			}
			if o.ChainID != "" && e.ChainID != o.ChainID {
				continue
			}
			if !yield(Stored{Event: e, Sequence: m.meta.Sequence.Stream, StoredAt: m.meta.Timestamp}, nil) {
				return
			}
		}
	}
}

// scan is a walk over a stream.
type scan struct {
	stream  string
	filters []string
	since   time.Time
	follow  bool

	from uint64 // the first sequence to read, once something was read
	end  uint64 // the last sequence to read; 0 follows
}

type scanned struct {
	jetstream.Msg
	meta *jetstream.MsgMetadata
}

var errScanned = errors.New("at the end")

// scan survives reconnects and lost consumers: it goes on behind the last
// message that it gave out.
func (b *Bus) scan(ctx context.Context, s scan) iter.Seq2[scanned, error] {
	return func(yield func(scanned, error) bool) {
		err := retry(ctx, Backoff{First: 50 * time.Millisecond, Max: 2 * time.Second}, func(int) error {
			err := b.walk(ctx, &s, func(m scanned) bool { return yield(m, nil) })
			if err != nil && (s.follow || passing(err)) && !errors.Is(err, errScanned) {
				return err
			}
			return final{err}
		})
		if errors.Is(err, errScanned) || s.follow && ctx.Err() != nil {
			return
		}
		yield(scanned{}, err)
	}
}

// walk gives out messages until the end of the scan, which is errScanned.
func (b *Bus) walk(ctx context.Context, s *scan, give func(scanned) bool) (err error) {
	if !s.follow && s.end == 0 {
		stream, err := b.streamOf(ctx, s.stream)
		if err != nil {
			return err
		}
		if s.end = stream.CachedInfo().State.LastSeq; s.end == 0 {
			return errScanned
		}
	}
	consumer, err := b.ordered(ctx, s.stream, s.config())
	if err != nil {
		return err
	}
	defer func() {
		if errors.Is(err, errScanned) { // after any other end the server may be away
			b.forget(ctx, s.stream, consumer)
		}
	}()
	if info := consumer.CachedInfo(); !s.follow && info != nil && info.NumPending == 0 {
		return errScanned
	}
	messages, err := consumer.Messages(pullExpiry, pullHeartbeat)
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if !s.follow && meta.Sequence.Stream > s.end {
			return errScanned
		}
		s.from = meta.Sequence.Stream + 1
		if !give(scanned{m, meta}) || !s.follow && (meta.NumPending == 0 || s.from > s.end) {
			return errScanned
		}
	}
}

func (b *Bus) streamOf(ctx context.Context, name string) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return b.js.Stream(ctx, name)
}

func (b *Bus) ordered(ctx context.Context, stream string, c jetstream.OrderedConsumerConfig) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return b.js.OrderedConsumer(ctx, stream, c)
}

// forget deletes a reader's consumer, which the server would keep for minutes: a
// stream has room for so many. Where that fails the server does it later.
func (b *Bus) forget(ctx context.Context, stream string, consumer jetstream.Consumer) {
	info := consumer.CachedInfo()
	if info == nil || !b.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepTimeout)
	defer cancel()
	_ = b.js.DeleteConsumer(ctx, stream, info.Name)
}

func (s *scan) config() jetstream.OrderedConsumerConfig {
	c := jetstream.OrderedConsumerConfig{FilterSubjects: s.filters, DeliverPolicy: jetstream.DeliverAllPolicy}
	switch {
	case s.from > 0:
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, s.from
	case !s.since.IsZero():
		c.DeliverPolicy, c.OptStartTime = jetstream.DeliverByStartTimePolicy, &s.since
	}
	return c
}
