package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// attend gets a desk's lease, does its work and says how it ended.
func (r *run) attend(d *desk) {
	t, err := r.acquire(r.work, d)
	if err != nil {
		if !errors.Is(err, errLeaseTaken) {
			r.log.Warn("work is put off", "key", d.key, "error", err)
			r.board.delay(d, jitter(100*time.Millisecond))
		}
		r.board.release(d, true)
		return
	}
	end := r.serve(t)
	if !t.lost {
		t.free(end)
	}
	r.board.release(d, end.Tries == 0)
}

// serve does the work and returns what the released lease shall say.
func (r *run) serve(t *tenure) leaseBody {
	w, items := r.board.take(t.desk)
	if len(items) == 0 || r.ctx.Err() != nil {
		return leaseBody{Deaths: t.body.Deaths, Tries: w.Tries}
	}
	if t.body.Deaths >= maxKills && !t.rested {
		end := r.fail(t.desk, w, items, fmt.Errorf("its worker died %d times in a row", t.body.Deaths))
		end.Deaths = t.body.Deaths
		return end
	}
	began := time.Now()
	err := r.call(t, w)
	var end leaseBody
	outcome := outcomeRetry
	switch {
	case err == nil:
		outcome = outcomeDone
		r.finish(t.desk, items)
	case isPermanent(err):
		outcome = outcomeDead
		end = r.bury(t.desk, w, items, err)
	case t.lost:
		outcome = outcomeLost
	case r.work.Err() != nil:
		// Not the work's fault: another replica may go on at once.
		end.Tries = w.Tries
	default:
		end = r.fail(t.desk, w, items, err)
	}
	r.report(w, outcome, time.Since(began), err)
	return end
}

// call runs the worker while the lease is kept.
func (r *run) call(t *tenure, w Work) (err error) {
	ctx, cancel := context.WithCancelCause(r.work)
	defer cancel(nil)
	ctx, stop := context.WithTimeoutCause(ctx, r.q.o.Timeout, fmt.Errorf("worker took longer than %s", r.q.o.Timeout))
	defer stop()
	keeping, enough := context.WithCancel(context.Background())
	var keeper sync.WaitGroup
	keeper.Go(func() {
		t.keep(keeping, func() {
			t.lost = true
			cancel(errLeaseLost)
		})
	})
	defer keeper.Wait()
	defer enough()
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("worker panicked", "key", w.Key, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return r.worker(context.WithValue(ctx, tenureKey{}, t), w)
}

// fail lets the key rest; items that are too old become dead letters.
func (r *run) fail(d *desk, w Work, items []held, reason error) leaseBody {
	var old []held
	for _, h := range items {
		if time.Since(h.stored) >= r.q.o.MaxAge {
			old = append(old, h)
		}
	}
	if len(old) > 0 {
		r.bury(d, w, old, fmt.Errorf("failed until it was %s old, last: %w", r.q.o.MaxAge, reason))
		if len(old) == len(items) {
			return leaseBody{}
		}
	}
	return r.backOff(w, items, reason)
}

// backOff lets the key rest, the longer the more often it has failed. That the bus
// was away says nothing of the work: it is tried soon after.
func (r *run) backOff(w Work, items []held, reason error) leaseBody {
	tries, after := w.Tries+1, w.Tries+1
	if away(reason) {
		tries, after = max(w.Tries, 1), 1
	}
	return leaseBody{Tries: tries, RetryAfter: r.q.o.Backoff.Delay(after), Worked: items[len(items)-1].sequence}
}

// bury makes dead letters of the items.
func (r *run) bury(d *desk, w Work, items []held, reason error) leaseBody {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.work), requestTimeout)
	defer cancel()
	for i, h := range items {
		err := r.q.bus.writeLetter(ctx, r.q.name+"/"+strconv.FormatUint(h.sequence, 10), letter{
			Consumer: r.q.name, Reason: reason.Error(), Tries: w.Tries + 1, Stored: h.stored, Key: w.Key, Item: h.item,
		})
		if err != nil {
			r.log.Error("work can't be made a dead letter", "key", w.Key, "error", err)
			r.finish(d, items[:i])
			return r.backOff(w, items, err)
		}
	}
	r.finish(d, items)
	return leaseBody{}
}

// finish ends exactly these items; one that was put again stays. Items whose
// end can't be stored are worked on once more.
func (r *run) finish(d *desk, items []held) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.work), requestTimeout)
	defer cancel()
	var ended []held
	for len(items) > 0 {
		some := items[:min(len(items), 500)]
		items = items[len(some):]
		ended = append(ended, r.end(ctx, d, some)...)
	}
	r.board.served(d, ended)
}

// end writes the ends of some items side by side and returns those that have
// ended, by us or by a newer put.
func (r *run) end(ctx context.Context, d *desk, items []held) []held {
	err := make([]error, len(items))
	var wg sync.WaitGroup
	places := make(chan struct{}, 64)
	for i, h := range items {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			err[i] = r.endOne(ctx, d, h)
		})
	}
	wg.Wait()
	var ended []held
	for i, h := range items {
		if err[i] != nil {
			r.log.Warn("end a work item", "key", d.key, "item", h.item, "error", err[i])
			r.board.delay(d, jitter(100*time.Millisecond))
			continue
		}
		ended = append(ended, h)
	}
	return ended
}

func (r *run) endOne(ctx context.Context, d *desk, h held) error {
	m := nats.NewMsg(workSubject(r.q.name, d.token, h.token))
	m.Header.Set(doneHeader, "1")
	m.Header.Set(jetstream.MsgTTLHeader, doneTTL.String())
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(h.sequence, 10))
	if err := r.q.bus.publishOne(ctx, m); err != nil && !isWrongLast(err) {
		return err
	}
	return nil
}

// report is the one log line of a run of the worker, and its metrics.
func (r *run) report(w Work, outcome string, took time.Duration, reason error) {
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("key", w.Key), slog.Int("items", len(w.Items)), slog.Int("tries", w.Tries+1),
		slog.Duration("waited", time.Since(w.Since)-took), slog.Duration("duration", took), slog.String("outcome", outcome),
	}
	switch outcome {
	case outcomeRetry, outcomeLost:
		level = slog.LevelWarn
	case outcomeDead:
		level = slog.LevelError
	}
	if reason != nil {
		attrs = append(attrs, slog.String("error", reason.Error()))
	}
	r.q.bus.metrics.worked.WithLabelValues(r.q.name, outcome).Inc()
	r.q.bus.metrics.workSecs.WithLabelValues(r.q.name).Observe(took.Seconds())
	r.log.LogAttrs(r.work, level, "work ended", attrs...)
}
