package bus

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What a replica has in its memory alone is lost with it, without any lease that
// ends: so replicas that have such things say every now and then that they live.
// They say it among the leases, where each reader of the queue sees it in order.

const (
	// signPrefix begins the tokens of signs of life; no key's begins so, see
	// subjectToken.
	signPrefix = "%r"
	// signTTL is how long one stays.
	signTTL = time.Minute
	// missedSigns of another replica, counted by our own, and it is gone: so
	// nobody counts while the bus is away, or while we are stopped.
	missedSigns = 3
)

// signs are the replicas that live, each with how many of our own signs came
// since its last.
type signs struct {
	me string

	mu     sync.Mutex
	missed map[string]int
}

func newSigns(me string) *signs { return &signs{me: me, missed: map[string]int{}} }

// see takes a replica's sign of life, or of its end, and gives those that are gone.
func (s *signs) see(id string, ended bool) (gone []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case id == "":
	case ended:
		if _, known := s.missed[id]; known {
			gone = append(gone, id)
		}
		delete(s.missed, id)
	case id != s.me:
		s.missed[id] = 0
	default:
		for other := range s.missed {
			if s.missed[other]++; s.missed[other] >= missedSigns {
				delete(s.missed, other)
				gone = append(gone, other)
			}
		}
	}
	return gone
}

// live says that we live until ctx ends, and then that we don't.
func (r *run) live(ctx context.Context) {
	tick := time.NewTicker(r.q.o.LeaseTTL / 2)
	defer tick.Stop()
	for {
		r.sign(ctx, false)
		select {
		case <-ctx.Done():
			r.sign(context.WithoutCancel(ctx), true)
			return
		case <-tick.C:
		}
	}
}

func (r *run) sign(ctx context.Context, ended bool) {
	data, err := json.Marshal(leaseBody{By: r.q.me, Ended: ended})
	if err != nil {
		return // it can always be encoded
	}
	m := nats.NewMsg(leaseSubject(r.q.name, signPrefix+subjectToken(r.q.me)))
	m.Data = data
	m.Header.Set(jetstream.MsgTTLHeader, signTTL.String())
	ctx, cancel := context.WithTimeout(ctx, min(attemptTimeout, r.q.o.LeaseTTL/2))
	defer cancel()
	if _, err := r.q.bus.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0)); err != nil {
		r.log.Debug("say that we live", "error", err) // the next one may arrive
	}
}

// signed takes a sign of life that was read.
func (r *run) signed(body leaseBody) {
	if r.q.o.Gone == nil {
		return
	}
	for _, id := range r.signs.see(body.By, body.Ended) {
		r.log.Info("another replica is gone", "replica", id, "ended", body.Ended)
		r.q.o.Gone(func(key string) bool { return r.board.workedLast(key, id) })
	}
}

// isSign says whether a token of the leases is a sign of life's.
func isSign(token string) bool { return strings.HasPrefix(token, signPrefix) }

// workedLast says whether a replica worked on a key last, or nobody is known to have.
func (b *board) workedLast(key, id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.desks[subjectToken(key)]
	return d == nil || d.lease.By == "" || d.lease.By == id
}
