package bus

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-cd/slipway/events"
)

const (
	// toldFresh is how long a reading of a subject counts: what was stored since is
	// known to the server by its id, see [Remembered].
	toldFresh = Remembered / 2
	// maxTold bounds the ids that are kept, of all subjects: some 10 MB.
	maxTold = 200_000
)

// told keeps which ids the subjects have that were asked for, so that a storm of old
// deliveries of one repository reads its events once, and not once for each.
type told struct {
	mu       sync.Mutex
	subjects map[string]*subject
	ids      int
	most     int
}

func newTold() *told { return &told{subjects: map[string]*subject{}, most: maxTold} }

// subject is what was read of one.
type subject struct {
	turn      chan struct{} // of who reads or looks
	since, at time.Time     // how far back it was read, and when; zero before
	seqs      map[idHash]uint64
}

// idHash stands for an event's id; a collision would lose an event.
type idHash [16]byte

func hashOf(id string) (h idHash) {
	sum := sha256.Sum256([]byte(id))
	copy(h[:], sum[:])
	return h
}

// Has says whether an event of e's id, type and key was stored since then, and more than
// half of [Remembered] ago: of what is younger the server knows the ids by itself. The
// first question for a type and key goes through all its events; those that follow
// read nothing for a while.
func (b *Bus) Has(ctx context.Context, e events.Event, since time.Time) (bool, error) {
	had, err := inTime(ctx, func() (bool, error) { return b.has(ctx, e, since) })
	if err != nil {
		return false, fmt.Errorf("look for event %s: %w", e.ID, err)
	}
	return had, nil
}

func (b *Bus) has(ctx context.Context, e events.Event, since time.Time) (bool, error) {
	name := e.NATSSubject()
	s := b.told.subject(name)
	since = notBeforeUnix(since)
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	for range 2 {
		if !s.fresh() || since.Before(s.since) {
			if err := b.readSubject(ctx, name, s, since); err != nil {
				return false, err
			}
		}
		seq, ok := s.seqs[hashOf(e.ID)]
		if !ok {
			return false, nil
		}
		stored, err := b.storedAt(ctx, seq, e.ID)
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return err == nil && !stored.Before(since), err
		}
		s.at = time.Time{} // the stream was emptied or made anew: what was read is void
	}
	return false, nil
}

// fresh says whether what was read counts. A machine that slept counts by the wall's
// clock, one whose clock was set by its own.
func (s *subject) fresh() bool {
	return !s.at.IsZero() && max(time.Since(s.at), time.Now().Round(0).Sub(s.at)) <= toldFresh
}

// readSubject goes through a subject's events since then, and from before that for as
// long again: of a queue of old deliveries the older may come later.
func (b *Bus) readSubject(ctx context.Context, name string, s *subject, since time.Time) error {
	at := time.Now()
	since = notBeforeUnix(since.Add(-max(at.Sub(since), 0)))
	was := len(s.seqs)
	seqs := map[idHash]uint64{}
	for m, err := range b.scan(ctx, scan{stream: eventStream, filters: []string{name}, since: since}) {
		if err != nil {
			return err
		}
		seqs[hashOf(m.Headers().Get(jetstream.MsgIDHeader))] = m.meta.Sequence.Stream
	}
	s.since, s.at, s.seqs = since, at, seqs
	b.told.count(name, s, was)
	return nil
}

// notBeforeUnix bounds what a sender says of its time to what JSON can hold.
func notBeforeUnix(t time.Time) time.Time {
	if begin := time.Unix(0, 0); t.Before(begin) {
		return begin
	}
	return t
}

// storedAt is when the message of a sequence was stored; one with another id is none.
func (b *Bus) storedAt(ctx context.Context, seq uint64, id string) (time.Time, error) {
	stream, err := b.streamOf(ctx, eventStream)
	if err != nil {
		return time.Time{}, err
	}
	m, err := stream.GetMsg(ctx, seq)
	if err != nil {
		return time.Time{}, err
	}
	if m.Header.Get(jetstream.MsgIDHeader) != id {
		return time.Time{}, jetstream.ErrMsgNotFound
	}
	return m.Time, nil
}

func (t *told) subject(name string) *subject {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.subjects[name]
	if s == nil {
		s = &subject{turn: make(chan struct{}, 1)}
		t.subjects[name] = s
		t.ids++
	}
	return s
}

// count notes how many ids a subject has that had fewer. Where they become too many, all
// that is kept of others is forgotten: it can be read again.
func (t *told) count(name string, s *subject, was int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.subjects[name] == s {
		t.ids -= was + 1
	}
	t.subjects[name] = s
	if t.ids += len(s.seqs) + 1; t.ids > t.most {
		t.subjects, t.ids = map[string]*subject{name: s}, len(s.seqs)+1
	}
}
