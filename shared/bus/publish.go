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

const (
	// MaxBatch is the most events that one Publish stores: the server's limit
	// for an atomic batch.
	MaxBatch = 1000
	// maxBatches bounds this process's batches in flight, well below the
	// server's 50 for a stream.
	maxBatches = 8
	// attemptTimeout is when an answer counts as lost with its connection.
	attemptTimeout = 2 * time.Second

	contentTypeHeader = "Content-Type"
	batchIDHeader     = "Nats-Batch-Id"
	batchSeqHeader    = "Nats-Batch-Sequence"
	batchCommitHeader = "Nats-Batch-Commit"

	// Answers of the server that nats.go has no name for.
	codeNoResources    jetstream.ErrorCode = 10023
	codeStoreFailed    jetstream.ErrorCode = 10077
	codeIDInProcess    jetstream.ErrorCode = 10158
	codeBatchLost      jetstream.ErrorCode = 10176
	codeBatchDuplicate jetstream.ErrorCode = 10201
	codeTooManyBatches jetstream.ErrorCode = 10210
)

// Publish stores the events, all or none, and returns when they are safe.
//
// The event's id is the message id: what was stored in the last hour is not
// stored again, and a repeat is no error. On an error nothing was stored or it
// is unknown; publishing the same events again is safe. While the server is
// away Publish keeps trying until ctx ends, or for ten seconds where ctx has
// no deadline; one that has no room is told at once.
func (b *Bus) Publish(ctx context.Context, evs ...events.Event) error {
	evs, end := b.tracePublish(ctx, evs)
	err := b.store(ctx, evs)
	end(err)
	return err
}

func (b *Bus) store(ctx context.Context, evs []events.Event) error {
	msgs, err := encodeAll(evs)
	if err != nil || len(msgs) == 0 {
		return err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err = inTime(ctx, func() (struct{}, error) {
		if len(msgs) == 1 {
			return struct{}{}, b.publishOne(ctx, msgs[0])
		}
		return struct{}{}, b.publishBatch(ctx, msgs)
	})
	if err != nil {
		return fmt.Errorf("publish %d events: %w", len(evs), err)
	}
	for _, e := range evs {
		b.metrics.published.WithLabelValues(string(e.Type())).Inc()
	}
	return nil
}

// encodeAll leaves out an id that is already there: the server refuses a batch
// that repeats itself.
func encodeAll(evs []events.Event) ([]*nats.Msg, error) {
	if len(evs) > MaxBatch {
		return nil, fmt.Errorf("publish %d events: the server takes at most %d at once", len(evs), MaxBatch)
	}
	msgs := make([]*nats.Msg, 0, len(evs))
	seen := make(map[string]bool, len(evs))
	for _, e := range evs {
		if seen[e.ID] {
			continue
		}
		seen[e.ID] = true
		body, err := e.Encode()
		if err != nil {
			return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
		}
		m := nats.NewMsg(e.NATSSubject())
		m.Header.Set(jetstream.MsgIDHeader, e.ID)
		m.Header.Set(contentTypeHeader, events.ContentType)
		m.Data = body
		msgs = append(msgs, m)
	}
	return msgs, nil
}

var publishBackoff = Backoff{First: 5 * time.Millisecond, Max: 500 * time.Millisecond}

// publishOne stores one message, or finds it stored.
func (b *Bus) publishOne(ctx context.Context, m *nats.Msg) error {
	return retry(ctx, publishBackoff, func(int) error {
		try, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		_, err := b.js.PublishMsg(try, m, jetstream.WithRetryAttempts(0))
		return onlyPassing(err)
	})
}

func (b *Bus) publishBatch(ctx context.Context, msgs []*nats.Msg) error {
	select {
	case b.batches <- struct{}{}:
		defer func() { <-b.batches }()
	case <-ctx.Done():
		return fmt.Errorf("wait for a batch: %w", context.Cause(ctx))
	}
	var code jetstream.ErrorCode
	err := retry(ctx, publishBackoff, func(int) error {
		try, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		err := b.tryBatch(try, msgs)
		code = codeOf(err)
		return onlyPassing(err)
	})
	if code != codeBatchDuplicate {
		return err
	}
	// Most often all of them were stored before. Where only some were, the
	// server has told us nothing of which: published one by one, each is
	// stored unless it is there. They are no longer atomic, but an error here
	// makes the caller repeat, and nobody can have been told of success.
	for _, m := range msgs {
		if err := b.publishOne(ctx, single(m)); err != nil {
			return fmt.Errorf("complete a batch that was stored in part: %w", err)
		}
	}
	return nil
}

// tryBatch sends one atomic batch (ADR-50 of NATS): the messages carry the
// batch's id and their place, the last one commits and is answered.
func (b *Bus) tryBatch(ctx context.Context, msgs []*nats.Msg) error {
	id := nuid.Next()
	last := len(msgs) - 1
	for i, m := range msgs {
		m.Header.Set(batchIDHeader, id)
		m.Header.Set(batchSeqHeader, strconv.Itoa(i+1))
		if i < last {
			if err := b.nc.PublishMsg(m); err != nil {
				return fmt.Errorf("send a batch: %w", err)
			}
		}
	}
	msgs[last].Header.Set(batchCommitHeader, "1")
	answer, err := b.nc.RequestMsgWithContext(ctx, msgs[last])
	if err != nil {
		return fmt.Errorf("commit a batch: %w", err)
	}
	var ack struct {
		Error *jetstream.APIError `json:"error"`
		Batch string              `json:"batch"`
		Count int                 `json:"count"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return final{fmt.Errorf("read the answer to a batch: %w", err)}
	}
	if ack.Error != nil {
		return fmt.Errorf("commit a batch: %w", ack.Error)
	}
	if ack.Batch != id || ack.Count != len(msgs) {
		return final{fmt.Errorf("the server acknowledged %d of %d messages of a batch: not atomic", ack.Count, len(msgs))}
	}
	return nil
}

func single(m *nats.Msg) *nats.Msg {
	one := nats.NewMsg(m.Subject)
	one.Data = m.Data
	for _, h := range []string{jetstream.MsgIDHeader, contentTypeHeader} {
		one.Header.Set(h, m.Header.Get(h))
	}
	return one
}

// onlyPassing makes final every error that a repeat can't heal.
func onlyPassing(err error) error {
	if full(err) {
		return final{fmt.Errorf("the bus has no room: %w", err)}
	}
	if err == nil || passing(err) {
		return err
	}
	if _, ok := err.(final); ok { //nolint:errorlint // wrapped here, never elsewhere
		return err
	}
	return final{err}
}

// full is true of a stream or server at its limit. Room is made in minutes:
// the caller had better know now.
func full(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	if !ok {
		return false
	}
	// The same code tells of a store that is being closed, which passes.
	return api.ErrorCode == codeNoResources ||
		api.ErrorCode == codeStoreFailed && (strings.Contains(api.Description, "maximum") || strings.Contains(api.Description, "no space left"))
}

// passing is true of a server that is away, has no leader or too much to do.
func passing(err error) bool {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch api.ErrorCode {
		case codeIDInProcess, codeBatchLost, codeTooManyBatches:
			return true
		}
		return api.Code >= 500
	}
	return away(err) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded)
}

// away is true of a server that can't be reached, or a stream without a leader.
func away(err error) bool {
	for _, target := range []error{
		nats.ErrNoResponders, jetstream.ErrNoStreamResponse, nats.ErrDisconnected, nats.ErrConnectionReconnecting, nats.ErrReconnectBufExceeded,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func codeOf(err error) jetstream.ErrorCode {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode
	}
	return 0
}
