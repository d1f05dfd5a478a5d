package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// doneHeader marks the message that ends an item.
const doneHeader = "Slipway-Done"

// Worker does everything that waits for one key. Nil ends the items it was
// given, but for those put again meanwhile; an error has the key tried again
// later; [Permanent] makes dead letters of the items. Its context ends with
// the lease of the key, after the time-out, and at the end of the drain.
type Worker func(ctx context.Context, w Work) error

// run is one Run in progress.
type run struct {
	q      *Queue
	me     string
	log    *slog.Logger
	board  *board
	worker Worker
	ctx    context.Context // of Run: ends when no more work is to be begun
	work   context.Context // of the workers: ends Drain later
	wg     sync.WaitGroup
	signs  *signs
}

// Run works on the queue together with all other replicas until ctx ends, then
// waits for the running workers, at most the queue's Drain and a second. It
// survives restarts of the server. The error says that workers did not end.
//
// A failing key waits its back-off, which all replicas share, and takes no
// place meanwhile. The work of a replica that died is taken over when its
// lease has ended. A key that let three replicas die in a row rests likewise,
// but stays until it is MaxAge old, since it may just have been beside those
// deaths.
func (q *Queue) Run(ctx context.Context, worker Worker) error {
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(q.o.Drain, func() { cancel(errStopping) })
	})()
	r := &run{
		q: q, me: nuid.Next(), log: q.bus.log.With("queue", q.name), worker: worker, ctx: ctx, work: work, signs: newSigns(q.me),
	}
	r.board = newBoard(q.o, q.me, r.me, func(d *desk) { r.wg.Go(func() { r.attend(d) }) })

	// The reader outlives ctx: workers that drain need it.
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	var reader sync.WaitGroup
	reader.Go(func() { r.read(reading) })
	if q.o.Gone != nil {
		reader.Go(func() { r.live(reading) })
	}
	defer reader.Wait()
	defer stop()

	<-ctx.Done()
	r.board.stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.wg.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-work.Done():
	}
	select {
	case <-done:
		return nil
	case <-time.After(time.Second):
		return fmt.Errorf("queue %s: workers still run after %s and their contexts' end", q.name, q.o.Drain)
	}
}

// read keeps the board up to date until ctx ends. It begins anew after each
// reconnect, since messages that end others may have gone meanwhile.
func (r *run) read(ctx context.Context) {
	const often = 5 * time.Second
	tidy := time.NewTicker(min(often, r.q.bus.every))
	defer tidy.Stop()
	for tries := 0; ctx.Err() == nil; {
		reconnect := r.q.bus.nextReconnect()
		reading, err := r.open(ctx)
		if err != nil {
			tries++
			if tries%10 == 1 && ctx.Err() == nil {
				r.log.Warn("read the queue", "error", err)
			}
			sleep(ctx, Backoff{First: 20 * time.Millisecond, Max: 2 * time.Second}.Delay(tries))
			continue
		}
		tries = 0
		r.follow(ctx, reading, reconnect, tidy.C)
	}
}

func (r *run) follow(ctx context.Context, reading jetstream.ConsumeContext, reconnect <-chan struct{}, tidy <-chan time.Time) {
	closed := reading.Closed() // each call costs a goroutine until then
	defer func() {
		reading.Stop()
		<-closed
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-reconnect:
			return
		case <-closed:
			return
		case <-tidy:
			r.board.prune()
			r.gauge()
		}
	}
}

// open starts an ordered reader of all items and leases.
func (r *run) open(ctx context.Context) (jetstream.ConsumeContext, error) {
	consumer, err := r.q.bus.ordered(ctx, workStream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{workPrefix + "." + r.q.name + ".>", leasePrefix + "." + r.q.name + ".>"},
		DeliverPolicy:  jetstream.DeliverAllPolicy,
	})
	if err != nil {
		return nil, fmt.Errorf("make a reader: %w", err)
	}
	reading := r.board.reread()
	var left uint64 // of what was there when we began
	if info := consumer.CachedInfo(); info != nil {
		left = info.NumPending
	}
	settled := left == 0
	if settled {
		r.board.settle(reading)
	}
	running, err := consumer.Consume(func(m jetstream.Msg) {
		meta, err := m.Metadata()
		if err != nil {
			return
		}
		r.see(reading, m, meta)
		if left--; !settled && (left == 0 || meta.NumPending == 0) {
			settled = true
			r.board.settle(reading)
		}
	}, pullExpiry, pullHeartbeat)
	if err != nil {
		return nil, fmt.Errorf("start a reader: %w", err)
	}
	return running, nil
}

// see puts one message on the board.
func (r *run) see(reading int, m jetstream.Msg, meta *jetstream.MsgMetadata) {
	subject := m.Subject()
	if key, ok := strings.CutPrefix(subject, leasePrefix+"."+r.q.name+"."); ok {
		var body leaseBody
		if err := json.Unmarshal(m.Data(), &body); err != nil {
			r.log.Warn("unreadable lease", "subject", subject, "error", err)
		}
		if isSign(key) {
			r.signed(body)
			return
		}
		r.board.leased(reading, key, meta.Sequence.Stream, body)
		return
	}
	key, item, ok := strings.Cut(strings.TrimPrefix(subject, workPrefix+"."+r.q.name+"."), ".")
	if !ok {
		return
	}
	if m.Headers().Get(doneHeader) != "" {
		r.board.done(reading, key, item, meta.Sequence.Stream)
		return
	}
	var t ticket
	if err := json.Unmarshal(m.Data(), &t); err != nil || t.Key == "" {
		r.log.Warn("unreadable work item", "subject", subject, "error", err)
		return
	}
	r.board.put(reading, key, t.Key, t.By, held{token: item, item: t.Item, sequence: meta.Sequence.Stream, stored: meta.Timestamp})
}

func (r *run) gauge() {
	keys, oldest := r.board.waiting()
	r.q.bus.metrics.waiting.WithLabelValues(r.q.name).Set(float64(keys))
	age := 0.0
	if keys > 0 {
		age = max(time.Since(oldest).Seconds(), 0)
	}
	r.q.bus.metrics.age.WithLabelValues(r.q.name).Set(age)
}
