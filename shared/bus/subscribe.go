package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-cd/slipway/events"
)

// Handler deals with one event. Nil acknowledges it; an error has it delivered
// again later; [Permanent] makes it a dead letter. It may be called more than
// once for one event, also after it returned nil.
type Handler func(ctx context.Context, e events.Event) error

// Subscription says which events a handler gets and how. Zero fields take the
// defaults.
type Subscription struct {
	// Name is the durable consumer, shared by all replicas of a service:
	// letters, digits, '-' and '_'.
	Name string
	// Types are the types to handle; all when empty.
	Types []events.Type
	// Concurrency is the most handlers that this process runs at once: 8.
	Concurrency int
	// MaxAge is how long after it was stored a failing event is tried: 24 h.
	// A name that subscribes for the first time begins that far back.
	MaxAge time.Duration
	// Timeout ends the handler's context: 1 min.
	Timeout time.Duration
	// AckWait is how long after the last sign of life of its process an event
	// goes to another: 10 s.
	AckWait time.Duration
	// Backoff are the delays between tries: 500 ms to 5 min.
	Backoff Backoff
	// Drain is how long running handlers may go on after ctx ended, before
	// their own contexts end: 20 s.
	Drain time.Duration
}

func (s *Subscription) complete() error {
	if err := checkName("consumer", s.Name); err != nil {
		return err
	}
	s.Concurrency = orElse(s.Concurrency, 8)
	s.MaxAge = orElse(s.MaxAge, day)
	s.Timeout = orElse(s.Timeout, time.Minute)
	s.AckWait = orElse(s.AckWait, 10*time.Second)
	s.Drain = orElse(s.Drain, 20*time.Second)
	s.Backoff = s.Backoff.orElse(500*time.Millisecond, 5*time.Minute)
	return nil
}

func orElse[T int | time.Duration](value, otherwise T) T {
	if value <= 0 {
		return otherwise
	}
	return value
}

// subjects are the filters of the consumer on the stream of events.
func (s *Subscription) subjects() []string {
	var all []string
	for _, t := range s.Types {
		all = append(all, events.SubjectPrefix+"."+t.Short()+".*")
	}
	if len(all) == 0 {
		return []string{events.SubjectPrefix + ".>"}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Subscribe calls h for every event of the subscription until ctx ends, then
// waits for the running handlers, at most s.Drain and a second. It survives
// restarts of the server. The error says what is wrong with s, or that handlers
// did not end.
//
// An event whose handler fails waits its back-off without taking one of the
// places of s.Concurrency, and becomes a dead letter when it is s.MaxAge old.
// One whose handler panicked, or died with its process, three times in a row
// becomes a dead letter too; after the first such death it runs alone, so that
// the events beside it are not blamed.
func (b *Bus) Subscribe(ctx context.Context, s Subscription, h Handler) error {
	if err := s.complete(); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(s.Drain, func() { cancel(errStopping) })
	})()
	sub := &subscriber{
		bus: b, s: s, handle: h, work: work,
		slots:   make(chan struct{}, s.Concurrency),
		repeats: make(chan *delivery, 4*s.Concurrency), suspects: make(chan *delivery, 4*s.Concurrency),
		stopping: ctx.Done(), running: map[place]*delivery{},
	}
	beat := time.NewTicker(s.AckWait / 4)
	defer beat.Stop()
	for range s.Concurrency {
		sub.wg.Go(func() { sub.loop(ctx, eventStream) })
	}
	sub.wg.Go(func() { sub.loop(ctx, replayStream) })
	sub.wg.Go(func() { sub.countPending(ctx) })
	for range max(s.Concurrency/2, 1) {
		sub.wg.Go(func() { sub.follow(sub.repeats, (*delivery).repeat) })
	}
	sub.wg.Go(func() { sub.follow(sub.suspects, (*delivery).runAgain) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		sub.wg.Wait()
	}()
	for {
		select {
		case <-beat.C:
			sub.heartbeat()
		case <-work.Done():
			return sub.abandon(done)
		case <-done:
			return nil
		}
	}
}

// subscriber is one Subscribe in progress.
type subscriber struct {
	bus    *Bus
	s      Subscription
	handle Handler
	work   context.Context // of the handlers; ends Drain after ctx

	stopping <-chan struct{}
	slots    chan struct{}  // one for each running handler
	repeats  chan *delivery // failed before
	suspects chan *delivery // may have killed a process: run one at a time
	wg       sync.WaitGroup

	consumers sync.Mutex // makes them one after the other
	mu        sync.Mutex
	running   map[place]*delivery
}

// abandon gives handlers whose context has ended a last second.
func (s *subscriber) abandon(done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-time.After(time.Second):
		return fmt.Errorf("subscription %s: handlers still run after %s and their contexts' end", s.s.Name, s.s.Drain)
	}
}

// place is where a message is stored.
type place struct {
	stream   string
	sequence uint64
}

// loop takes one message at a time: nothing is fetched ahead, so that no event
// waits behind a busy handler here while another replica is idle, and none is
// taken along by a death it has no part in.
func (s *subscriber) loop(ctx context.Context, stream string) {
	for tries := 1; ctx.Err() == nil; tries++ {
		began := time.Now()
		err := s.receive(ctx, stream)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			tries = 1
		}
		if tries%10 == 1 {
			s.bus.log.Warn("subscription interrupted", "consumer", s.s.Name, "stream", stream, "error", err)
		}
		sleep(ctx, Backoff{First: 20 * time.Millisecond, Max: 2 * time.Second}.Delay(tries))
	}
}

// receive handles messages until ctx ends or the consumer is lost.
func (s *subscriber) receive(ctx context.Context, stream string) error {
	consumer, err := s.consumer(ctx, stream)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(1), pullExpiry, pullHeartbeat)
	if err != nil {
		return fmt.Errorf("ask for messages: %w", err)
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("wait for a message: %w", err)
		}
		s.deliver(m)
	}
}

// consumer finds or makes the durable consumer.
func (s *subscriber) consumer(ctx context.Context, stream string) (jetstream.Consumer, error) {
	s.consumers.Lock()
	defer s.consumers.Unlock()
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	want := jetstream.ConsumerConfig{
		Durable: s.s.Name, AckPolicy: jetstream.AckExplicitPolicy, AckWait: s.s.AckWait,
		MaxDeliver: -1, MaxAckPending: -1, DeliverPolicy: jetstream.DeliverAllPolicy,
		FilterSubjects: []string{replayPrefix + "." + s.s.Name + ".>"},
	}
	if stream == eventStream {
		want.FilterSubjects = s.s.subjects()
		start := time.Now().Add(-s.s.MaxAge)
		want.DeliverPolicy, want.OptStartTime = jetstream.DeliverByStartTimePolicy, &start
	}
	consumer, err := s.bus.js.Consumer(ctx, stream, s.s.Name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		consumer, err = s.bus.js.CreateConsumer(ctx, stream, want)
		if err != nil {
			return nil, fmt.Errorf("make consumer %s on %s: %w", s.s.Name, stream, err)
		}
		return consumer, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find consumer %s on %s: %w", s.s.Name, stream, err)
	}
	has := consumer.CachedInfo().Config
	if slices.Equal(filters(has), want.FilterSubjects) && has.AckWait == want.AckWait {
		return consumer, nil
	}
	// Where it began can't be changed, what it gets can.
	has.FilterSubject, has.FilterSubjects, has.AckWait = "", want.FilterSubjects, want.AckWait
	if consumer, err = s.bus.js.UpdateConsumer(ctx, stream, has); err != nil {
		return nil, fmt.Errorf("update consumer %s on %s: %w", s.s.Name, stream, err)
	}
	return consumer, nil
}

func filters(c jetstream.ConsumerConfig) []string {
	if c.FilterSubject != "" {
		return []string{c.FilterSubject}
	}
	return slices.Sorted(slices.Values(c.FilterSubjects))
}
