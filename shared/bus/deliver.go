package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/tracing"
)

// maxKills is how often in a row an event may end its handler's process, or
// make it panic.
const maxKills = 3

var errStopping = errors.New("the service is shutting down")

// errPanic marks the error that a panic was turned into.
var errPanic = errors.New("panic")

// delivery is one event on its way through its handler.
type delivery struct {
	*subscriber
	m     jetstream.Msg
	meta  *jetstream.MsgMetadata
	event events.Event
	past  past
	began time.Time
}

// deliver takes one message to its end: acknowledged, to come again, or dead.
func (s *subscriber) deliver(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		s.bus.log.Error("message without JetStream metadata", "subject", m.Subject(), "error", err)
		return
	}
	d := &delivery{subscriber: s, m: m, meta: meta, began: time.Now()}
	if !d.enter() {
		// It is in its handler right now and was delivered again because the
		// server was away for longer than AckWait; the handler will answer.
		return
	}
	d.event, err = events.Parse(m.Data())
	switch {
	case errors.Is(err, events.ErrUnknownType):
		d.finish(outcomeUnknown, nil)
	case err != nil:
		d.bury(fmt.Errorf("not an event: %w", err))
	case meta.NumDelivered > 1:
		d.queue(s.repeats)
	default:
		d.run()
	}
}

// queue takes an event that was delivered before out of the loop, since the
// server gives out what is due again before what is new: a loop that waited for
// failing handlers would never come to the rest. Where too many wait already it
// goes back to the server, with a longer delay each time.
func (d *delivery) queue(line chan<- *delivery) {
	if d.isStopping() {
		d.again(errStopping)
		return
	}
	select {
	case line <- d:
	default:
		d.answerLater(d.s.Backoff.Delay(d.tries()))
		d.bus.metrics.handled.WithLabelValues(d.s.Name, string(d.event.Type()), outcomePostponed).Inc()
	}
}

// tries is how often the event was delivered.
func (d *delivery) tries() int { return int(min(d.meta.NumDelivered, 1000)) }

// repeat looks at the past of an event that was delivered before.
func (d *delivery) repeat() {
	err := d.recall()
	switch {
	case err != nil:
		d.again(fmt.Errorf("read the event's past: %w", err))
	case d.past.Kills >= maxKills:
		d.bury(fmt.Errorf("killed its handler %d times", d.past.Kills))
	case d.past.Kills > 0:
		d.queue(d.suspects)
	default:
		d.runAgain()
	}
}

func (s *subscriber) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// follow handles one line of repeats, one after the other.
func (s *subscriber) follow(line <-chan *delivery, handle func(*delivery)) {
	for {
		select {
		case d := <-line:
			handle(d)
			continue
		case <-s.stopping:
		}
		// They were not started: another replica may have them at once.
		for {
			select {
			case d := <-line:
				d.again(errStopping)
			default:
				return
			}
		}
	}
}

// runAgain notes the start of a repeat, so that a death is known to be its.
func (d *delivery) runAgain() {
	if err := d.mark(); err != nil {
		d.again(fmt.Errorf("note the event's start: %w", err))
		return
	}
	d.run()
}

func (d *delivery) place() place { return place{d.meta.Stream, d.meta.Sequence.Stream} }

func (d *delivery) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running[d.place()] != nil {
		return false
	}
	d.running[d.place()] = d
	return true
}

// leave comes before the answer, since the next delivery may follow at once.
func (d *delivery) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.running, d.place())
}

// heartbeat tells the server which messages are being worked on.
func (s *subscriber) heartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.running {
		if err := d.m.InProgress(); err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
			s.bus.log.Debug("heartbeat of a handler", "consumer", s.s.Name, "error", err)
		}
	}
}

// run calls the handler and gives the message its answer.
func (d *delivery) run() {
	d.slots <- struct{}{}
	defer func() { <-d.slots }()
	d.began = time.Now()
	err := d.call()
	if errors.Is(err, errPanic) {
		d.past.Kills++
	} else {
		d.past.Kills = 0
	}
	switch {
	case err == nil:
		d.finish(outcomeDone, nil)
	case isPermanent(err):
		d.bury(err)
	case d.past.Kills >= maxKills:
		d.bury(fmt.Errorf("killed its handler %d times, last: %w", d.past.Kills, err))
	case time.Since(d.meta.Timestamp) >= d.s.MaxAge:
		d.bury(fmt.Errorf("failed until it was %s old, last: %w", d.s.MaxAge, err))
	default:
		d.remember()
		d.again(err)
	}
}

func (d *delivery) call() (err error) {
	ctx, cancel := context.WithTimeoutCause(d.work, d.s.Timeout, fmt.Errorf("handler took longer than %s", d.s.Timeout))
	defer cancel()
	ctx, span := d.traceHandling(ctx)
	defer func() { tracing.End(span, err) }()
	defer func() {
		if p := recover(); p != nil {
			d.bus.log.Error("handler panicked", "consumer", d.s.Name, "event_id", d.event.ID,
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return d.handle(ctx, d.event)
}

// again has the event delivered again after its back-off, or at the end of its
// age if that is sooner.
func (d *delivery) again(reason error) {
	delay := d.s.Backoff.Delay(d.tries())
	if left := d.s.MaxAge - time.Since(d.meta.Timestamp); left > 0 {
		delay = min(delay, left)
	}
	if errors.Is(reason, errStopping) {
		delay = 0
	}
	d.answerLater(delay)
	d.report(outcomeRetry, reason)
}

// answerLater has the event delivered again. Where the answer is lost that
// happens after AckWait.
func (d *delivery) answerLater(delay time.Duration) {
	d.leave()
	if err := d.m.NakWithDelay(delay); err != nil {
		d.bus.log.Warn("postpone an event", "consumer", d.s.Name, "event_id", d.event.ID, "error", err)
	}
}

// bury makes a dead letter of the message.
func (d *delivery) bury(reason error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.work), requestTimeout)
	defer cancel()
	letter := letter{
		Consumer: d.s.Name, Subject: originalSubject(d.s.Name, d.m.Subject()),
		Reason: reason.Error(), Tries: d.tries(), Stored: d.meta.Timestamp,
	}
	letter.hold(d.m.Data())
	id := fmt.Sprintf("%s/%s/%d", d.s.Name, d.meta.Stream, d.meta.Sequence.Stream)
	if err := d.bus.writeLetter(ctx, id, letter); err != nil {
		d.again(fmt.Errorf("%w (and it can't be made a dead letter: %w)", reason, err))
		return
	}
	d.finish(outcomeDead, reason)
}

// finish acknowledges the message: it is done with, well or not.
func (d *delivery) finish(outcome string, reason error) {
	d.leave()
	if err := d.m.Ack(); err != nil {
		d.bus.log.Warn("acknowledge an event", "consumer", d.s.Name, "event_id", d.event.ID, "error", err)
	}
	if d.past.stored {
		d.forget()
	}
	d.report(outcome, reason)
}

// report is the one log line of a delivery, and its metrics.
func (d *delivery) report(outcome string, reason error) {
	took := time.Since(d.began)
	kind, level := "invalid", slog.LevelInfo
	attrs := []slog.Attr{slog.String("consumer", d.s.Name)}
	if d.event.Payload != nil {
		kind = string(d.event.Type())
		attrs = append(attrs, slog.String("event_id", d.event.ID), slog.String("type", kind),
			slog.String("subject", d.event.Payload.SubjectID()), slog.String("chain_id", d.event.ChainID))
	} else {
		if outcome == outcomeUnknown {
			kind = outcomeUnknown
		}
		attrs = append(attrs, slog.String("type", kind), slog.String("subject", d.m.Subject()))
	}
	attrs = append(attrs, slog.Uint64("tries", d.meta.NumDelivered), slog.Duration("duration", took), slog.String("outcome", outcome))
	switch outcome {
	case outcomeRetry:
		level = slog.LevelWarn
	case outcomeDead:
		level = slog.LevelError
	}
	if reason != nil {
		attrs = append(attrs, slog.String("error", reason.Error()))
	}
	d.bus.metrics.handled.WithLabelValues(d.s.Name, kind, outcome).Inc()
	d.bus.metrics.seconds.WithLabelValues(d.s.Name).Observe(took.Seconds())
	d.bus.log.LogAttrs(d.work, level, "event handled", attrs...)
}
