package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// freeTTL is how long the message of a released lease stays: it tells
	// the others how the work ended.
	freeTTL = 10 * time.Minute
	// doneTTL is how long an item's end stays for those who are behind.
	doneTTL = 10 * time.Minute
)

var (
	errLeaseLost  = errors.New("the key's lease is lost")
	errLeaseTaken = errors.New("the key's lease is another's")
)

// leaseBody is the message of a key's lease. It passes through three forms:
// held, held by one who died (TTL passed without a newer message), released.
type leaseBody struct {
	// Owner is the replica that holds it; empty when released.
	Owner string `json:"owner,omitempty"`
	// By is the replica that holds it or has held it last.
	By string `json:"by,omitempty"`
	// Ended says in a sign of life that it is the last one.
	Ended bool `json:"ended,omitempty"`
	// TTL is how long it is held, from the moment at which it is seen.
	TTL time.Duration `json:"ttl,omitempty"`
	// Deaths is how many holders in a row died with it.
	Deaths int `json:"deaths,omitempty"`
	// Tries is how often the work failed in a row, RetryAfter how long it
	// then rests, and Worked the highest sequence of the items in it: the
	// back-off is shared by all replicas and outlives them.
	Tries      int           `json:"tries,omitempty"`
	RetryAfter time.Duration `json:"retryAfter,omitempty"`
	Worked     uint64        `json:"worked,omitempty"`
}

// tenure is a lease that we hold.
type tenure struct {
	run      *run
	desk     *desk
	sequence uint64
	body     leaseBody
	renewed  moment // when we asked for what we have
	rested   bool   // it was released by the one before us
	lost     bool   // set before the worker's context ends
}

// moment is a time that several goroutines look at.
type moment struct{ at atomic.Pointer[time.Time] }

func (m *moment) set(t time.Time) { m.at.Store(&t) }
func (m *moment) get() time.Time  { return *m.at.Load() }

// held says whether nobody else can have the lease yet. It counts the time in
// which this process was stopped, too.
func (t *tenure) held() bool { return time.Since(t.renewed.get()) <= t.run.q.o.LeaseTTL*3/4 }

type tenureKey struct{}

// Held says whether a worker still holds its key: what it is about to do can't
// meet another worker of that key. The context is the worker's; elsewhere nothing
// has to be held.
func Held(ctx context.Context) bool {
	t, ok := ctx.Value(tenureKey{}).(*tenure)
	return !ok || t.held()
}

// acquire takes the desk's lease, then waits until our reader has come to it:
// what was put or done before is then on the board, with no further request.
func (r *run) acquire(ctx context.Context, d *desk) (*tenure, error) {
	was, changed := r.board.leaseOf(d)
	if was.heldBeside(r.me) {
		return nil, errLeaseTaken // since the desk was dispatched
	}
	body := leaseBody{Owner: r.me, By: r.q.me, TTL: r.q.o.LeaseTTL, Deaths: was.Deaths, Tries: was.Tries}
	if was.Owner != "" && was.Owner != r.me {
		body.Deaths++
	}
	began := time.Now()
	sequence, err := r.writeLease(ctx, d.token, was.sequence, body)
	if isWrongLast(err) {
		// Ours is not the newest lease, or it has left the stream.
		if err := r.refreshLease(ctx, d); err != nil {
			return nil, err
		}
		return nil, errLeaseTaken
	}
	if err != nil {
		return nil, fmt.Errorf("take the lease: %w", err)
	}
	t := &tenure{run: r, desk: d, sequence: sequence, body: body, rested: was.Owner == ""}
	t.renewed.set(began)
	wait := time.NewTimer(r.q.o.LeaseTTL / 2)
	defer wait.Stop()
	for was.sequence < sequence {
		select {
		case <-changed:
		case <-wait.C:
			t.free(leaseBody{Deaths: was.Deaths, Tries: was.Tries})
			return nil, errors.New("take the lease: the queue's reader is behind")
		case <-ctx.Done():
			t.free(leaseBody{Deaths: was.Deaths, Tries: was.Tries})
			return nil, context.Cause(ctx)
		}
		was, changed = r.board.leaseOf(d)
	}
	return t, nil
}

// refreshLease reads the lease as it is stored.
func (r *run) refreshLease(ctx context.Context, d *desk) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	stream, err := r.q.bus.js.Stream(ctx, workStream)
	if err != nil {
		return fmt.Errorf("read the lease: %w", err)
	}
	raw, err := stream.GetLastMsgForSubject(ctx, leaseSubject(r.q.name, d.token))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		r.board.forgetLease(d)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the lease: %w", err)
	}
	var body leaseBody
	if err := json.Unmarshal(raw.Data, &body); err != nil {
		return fmt.Errorf("read the lease: %w", err)
	}
	r.board.knowLease(d, raw.Sequence, body)
	return nil
}

// writeLease replaces lease message number last.
func (r *run) writeLease(ctx context.Context, token string, last uint64, body leaseBody) (uint64, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	m := nats.NewMsg(leaseSubject(r.q.name, token))
	m.Data = data
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(last, 10))
	m.Header.Set(jetstream.MsgTTLHeader, max(freeTTL, 10*r.q.o.LeaseTTL).String())
	ctx, cancel := context.WithTimeout(ctx, max(r.q.o.LeaseTTL/2, 100*time.Millisecond))
	defer cancel()
	ack, err := r.q.bus.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

func isWrongLast(err error) bool {
	code := codeOf(err)
	return code == jetstream.JSErrCodeStreamWrongLastSequence || code == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}

// keep renews the lease until ctx ends. It calls lost, before the lease's time
// has passed for the others, when that does not succeed.
func (t *tenure) keep(ctx context.Context, lost func()) {
	ttl := t.run.q.o.LeaseTTL
	tick := time.NewTicker(ttl / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := t.renew(ctx); err != nil && ctx.Err() == nil {
			if errors.Is(err, errLeaseTaken) || !t.held() {
				lost()
				return
			}
		}
	}
}

func (t *tenure) renew(ctx context.Context) error {
	began := time.Now()
	// The others count from when they see it, which is later than now.
	ctx, cancel := context.WithDeadline(ctx, t.renewed.get().Add(t.run.q.o.LeaseTTL*3/4))
	defer cancel()
	sequence, err := t.run.writeLease(ctx, t.desk.token, t.sequence, t.body)
	if isWrongLast(err) {
		if err := t.run.refreshLease(ctx, t.desk); err != nil {
			return err
		}
		now, _ := t.run.board.leaseOf(t.desk)
		if now.Owner != t.run.me || now.sequence <= t.sequence {
			return errLeaseTaken
		}
		// A renewal of ours that seemed lost was stored.
		sequence, began = now.sequence, t.renewed.get()
	} else if err != nil {
		return err
	}
	t.sequence = sequence
	t.renewed.set(began)
	return nil
}

// free gives the lease back with a word on how the work ended. Where that
// fails, the others wait for its time to pass.
func (t *tenure) free(body leaseBody) {
	body.By = t.run.q.me
	ctx, cancel := context.WithTimeout(context.Background(), t.run.q.o.LeaseTTL)
	defer cancel()
	sequence, err := t.run.writeLease(ctx, t.desk.token, t.sequence, body)
	if err == nil {
		t.run.board.knowLease(t.desk, sequence, body)
		return
	}
	t.run.log.Warn("release a lease", "key", t.desk.key, "error", err)
}
