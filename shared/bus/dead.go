package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/slipway-cd/slipway/events"
)

// ErrNoLetter says that there is no dead letter of that id, or no longer.
var ErrNoLetter = errors.New("no such dead letter")

// DeadLetter is an event or a work item that could not be handled.
type DeadLetter struct {
	// ID names the letter for Replay.
	ID uint64
	// Consumer is the subscription, or the queue, in which it died.
	Consumer string
	// Reason is the last error.
	Reason string
	// Tries is how often it was tried.
	Tries int
	// Stored is when the event or item was stored, At when it died.
	Stored, At time.Time
	// Subject is where the event was published; empty for a work item.
	Subject string
	// Event is the event; nil for a work item and for what is not an event.
	Event *events.Event
	// Data is the message as it was; empty for a work item.
	Data []byte
	// Key and Item are the work item's; empty for an event.
	Key, Item string
}

// letter is a dead letter as it is stored. The message itself is kept as JSON
// where it is JSON, so that people can read it.
type letter struct {
	Consumer string          `json:"consumer"`
	Reason   string          `json:"reason"`
	Tries    int             `json:"tries"`
	Stored   time.Time       `json:"stored"`
	Subject  string          `json:"subject,omitempty"`
	Event    json.RawMessage `json:"event,omitempty"`
	Data     []byte          `json:"data,omitempty"`
	Key      string          `json:"key,omitempty"`
	Item     string          `json:"item,omitempty"`
	Aside    bool            `json:"aside,omitempty"`
}

func (l *letter) hold(data []byte) {
	if json.Valid(data) {
		l.Event = data
		return
	}
	l.Data = data
}

func (l *letter) read(meta *jetstream.MsgMetadata) DeadLetter {
	d := DeadLetter{
		ID: meta.Sequence.Stream, Consumer: l.Consumer, Reason: l.Reason, Tries: l.Tries,
		Stored: l.Stored, At: meta.Timestamp, Subject: l.Subject, Data: l.Data, Key: l.Key, Item: l.Item,
	}
	if l.Event != nil {
		d.Data = l.Event
		if e, err := events.Parse(l.Event); err == nil {
			d.Event = &e
		}
	}
	return d
}

// originalSubject is the subject that a replayed event had at first.
func originalSubject(consumer, subject string) string {
	return strings.TrimPrefix(subject, replayPrefix+"."+consumer+".")
}

// writeLetter stores a letter once for each id.
func (b *Bus) writeLetter(ctx context.Context, id string, l letter) error {
	body, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode a dead letter: %w", err)
	}
	subject := l.Subject
	if subject == "" {
		subject = "work." + events.EncodeKey(l.Key)
	}
	m := nats.NewMsg(deadPrefix + "." + l.Consumer + "." + subject)
	m.Header.Set(jetstream.MsgIDHeader, id)
	m.Data = body
	if err := b.publishOne(ctx, m); err != nil {
		return fmt.Errorf("write a dead letter: %w", err)
	}
	b.metrics.dead.WithLabelValues(l.Consumer).Inc()
	return nil
}

// Dead lists the dead letters of all consumers and queues, the oldest first.
func (b *Bus) Dead(ctx context.Context) ([]DeadLetter, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var all []DeadLetter
	for m, err := range b.scan(ctx, scan{stream: deadStream, filters: []string{deadPrefix + ".>"}}) {
		if err != nil {
			return nil, fmt.Errorf("list the dead letters: %w", err)
		}
		var l letter
		if err := json.Unmarshal(m.Data(), &l); err != nil {
			b.log.Warn("unreadable dead letter", "id", m.meta.Sequence.Stream, "error", err)
			continue
		}
		all = append(all, l.read(m.meta))
	}
	return all, nil
}

// Replay gives a dead letter back to the consumer or queue in which it died,
// to no other, and takes it off the list. The error is [ErrNoLetter] where it
// isn't on the list.
func (b *Bus) Replay(ctx context.Context, id uint64) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	stream, err := b.js.Stream(ctx, deadStream)
	if err != nil {
		return fmt.Errorf("replay dead letter %d: %w", id, err)
	}
	raw, err := stream.GetMsg(ctx, id)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("replay %d: %w", id, ErrNoLetter)
	}
	if err != nil {
		return fmt.Errorf("read dead letter %d: %w", id, err)
	}
	var l letter
	if err := json.Unmarshal(raw.Data, &l); err != nil {
		return fmt.Errorf("read dead letter %d: %w", id, err)
	}
	if err := b.sendBack(ctx, l); err != nil {
		return fmt.Errorf("replay dead letter %d: %w", id, err)
	}
	if err := stream.DeleteMsg(ctx, id); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) && codeOf(err) != jetstream.JSErrCodeMessageNotFound {
		return fmt.Errorf("dead letter %d was replayed, but stays on the list: %w", id, err)
	}
	return nil
}

func (b *Bus) sendBack(ctx context.Context, l letter) error {
	if l.Aside {
		return ErrAside
	}
	if l.Subject == "" {
		return b.putItem(ctx, l.Consumer, ticket{Key: l.Key, Item: l.Item})
	}
	m := nats.NewMsg(replayPrefix + "." + l.Consumer + "." + l.Subject)
	m.Header.Set(jetstream.MsgIDHeader, nuid.Next())
	m.Header.Set(contentTypeHeader, events.ContentType)
	if m.Data = l.Data; l.Event != nil {
		m.Data = l.Event
	}
	return b.publishOne(ctx, m)
}

// String names the letter for people.
func (d DeadLetter) String() string {
	what := d.Subject
	if what == "" {
		what = d.Key + " " + d.Item
	}
	return strconv.FormatUint(d.ID, 10) + " " + d.Consumer + ": " + what + ": " + d.Reason
}
