package bus

import (
	"container/heap"
	"slices"
	"sync"
	"time"
)

// board is what one replica knows of a queue. It is fed by a single ordered
// reader of the items and leases, so that it always is the queue as it was at
// some moment of the stream; nothing in it touches the network.
type board struct {
	o     QueueOptions
	me    string // this run, in leases
	homes *homes
	// start begins the work on a desk; it must not block.
	start func(*desk)

	mu      sync.Mutex
	desks   map[string]*desk // by the key's token
	later   deskHeap         // those that are due at some time
	groups  map[string]*group
	running int // desks at work
	// retrying are those of them that failed before.
	retrying int
	timer    *time.Timer
	stopped  bool
	reading  int  // which reading of the stream this is: old readers are ignored
	settled  bool // it has come to what was the end when it began
}

// desk is one key.
type desk struct {
	token, key string
	items      map[string]held // by the item's token
	lease      lease
	changed    chan struct{} // closed when the lease changes
	busy       bool          // we hold the lease or are getting it
	group      *group

	putter      string    // of the newest item
	first, last time.Time // when the oldest and newest item came to us
	newest      uint64    // the highest sequence of an item
	tries       int
	worked      uint64 // the highest sequence that the failed work had
	failed      time.Time
	retryAt     time.Time

	began time.Time       // when the last work of items with kinds began here
	kinds map[string]bool // which those were
	paced bool            // an item of a kind has come since
	known bool            // and one of a kind that was in it

	due   time.Time
	index int  // in the heap; -1 when not there
	ready bool // in its group's line
	again bool // at work after a failure
}

// held is an item as it is stored now.
type held struct {
	token, item string
	sequence    uint64
	stored      time.Time
	reading     int
}

// lease is a key's last lease message, and when it came to us. Its end is
// counted from there by our own clock: clocks of machines need not agree.
type lease struct {
	leaseBody
	sequence uint64
	seen     time.Time
	reading  int
}

func newBoard(o QueueOptions, home, me string, start func(*desk)) *board {
	b := &board{o: o, me: me, homes: newHomes(home), start: start, desks: map[string]*desk{}, groups: map[string]*group{}}
	b.timer = time.AfterFunc(time.Hour, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.dispatch()
	})
	return b
}

// desk finds or makes the key's desk. Key is empty for a lease that comes
// before the first item.
func (b *board) desk(token, key string) *desk {
	d := b.desks[token]
	if d == nil {
		d = &desk{token: token, items: map[string]held{}, changed: make(chan struct{}), index: -1}
		b.desks[token] = d
	}
	if d.key == "" && key != "" {
		d.key = key
	}
	return d
}

// put is an item seen in the stream, and which replica has put it.
func (b *board) put(reading int, keyToken, key, putter string, h held) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if reading != b.reading {
		return
	}
	d := b.desk(keyToken, key)
	h.reading = reading
	if old, ok := d.items[h.token]; ok && old.sequence == h.sequence {
		d.items[h.token] = h // read again after a reconnect
		return
	}
	now := time.Now()
	if len(d.items) == 0 || d.first.IsZero() {
		d.first = now
	}
	if h.sequence > d.newest {
		d.putter = putter
	}
	d.last, d.newest = now, max(d.newest, h.sequence)
	d.items[h.token] = h
	if kind := b.o.Kind(h.item); kind != "" {
		d.paced, d.known = true, d.known || d.kinds[kind]
	}
	b.plan(d)
	b.dispatch()
}

// done is an item's end seen in the stream.
func (b *board) done(reading int, keyToken, itemToken string, sequence uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.desks[keyToken]; reading == b.reading && d != nil {
		if h, ok := d.items[itemToken]; ok && h.sequence < sequence {
			delete(d.items, itemToken)
			b.plan(d)
		}
	}
}

// leased is a lease seen in the stream, or known from its acknowledgement.
func (b *board) leased(reading int, keyToken string, sequence uint64, body leaseBody) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if reading != b.reading {
		return
	}
	d := b.desk(keyToken, "")
	if sequence < d.lease.sequence {
		return
	}
	now := time.Now()
	b.homes.see(body.By, now)
	again := sequence == d.lease.sequence
	d.lease.reading, d.lease.seen = reading, now
	if again {
		b.plan(d)
		return
	}
	d.lease.leaseBody, d.lease.sequence = body, sequence
	d.tries = body.Tries
	if body.Owner == "" {
		d.worked, d.failed = body.Worked, now
		d.retryAt = now.Add(body.RetryAfter)
		if body.Tries == 0 && body.RetryAfter == 0 {
			d.first = d.last // what is there now came while others worked
		}
	}
	close(d.changed)
	d.changed = make(chan struct{})
	b.plan(d)
	b.dispatch()
}

// knowLease is a lease known from its acknowledgement or a request.
func (b *board) knowLease(d *desk, sequence uint64, body leaseBody) {
	b.mu.Lock()
	reading := b.reading
	b.mu.Unlock()
	b.leased(reading, d.token, sequence, body)
}

// forgetLease is a lease that is in the stream no more.
func (b *board) forgetLease(d *desk) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d.lease = lease{reading: b.reading}
}

// reread begins a new reading of the stream.
func (b *board) reread() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading++
	b.settled = false
	return b.reading
}

// settle drops what the finished reading did not find any more.
func (b *board) settle(reading int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if reading != b.reading {
		return
	}
	b.settled = true
	for token, d := range b.desks {
		for item, h := range d.items {
			if h.reading < reading {
				delete(d.items, item)
			}
		}
		if d.lease.reading < reading {
			d.lease = lease{}
		}
		b.plan(d)
		if len(d.items) == 0 && !d.busy && d.lease.sequence == 0 {
			delete(b.desks, token)
		}
	}
	b.dispatch()
}

// prune forgets idle keys whose last lease has left the stream.
func (b *board) prune() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for token, d := range b.desks {
		if len(d.items) == 0 && !d.busy && time.Since(d.lease.seen) > freeTTL {
			delete(b.desks, token)
		}
	}
	b.homes.prune(time.Now().Add(-freeTTL))
	used := map[*group]bool{}
	for _, d := range b.desks {
		used[d.group] = true
	}
	for name, g := range b.groups {
		if !used[g] {
			delete(b.groups, name)
		}
	}
}

// plan finds when the desk is due and puts it where it belongs.
func (b *board) plan(d *desk) {
	if d.ready {
		if !d.busy && len(d.items) > 0 && !d.lease.heldBeside(b.me) {
			return // it waits for a place already
		}
		d.group.remove(d)
	}
	if d.busy || len(d.items) == 0 {
		if d.index >= 0 {
			heap.Remove(&b.later, d.index)
		}
		return
	}
	d.due = b.dueAt(d)
	if d.index >= 0 {
		heap.Fix(&b.later, d.index)
	} else {
		heap.Push(&b.later, d)
	}
}

// heldBeside is true while another replica than me has the lease.
func (l lease) heldBeside(me string) bool {
	return l.Owner != "" && l.Owner != me && time.Now().Before(l.seen.Add(l.TTL))
}

func (b *board) dueAt(d *desk) time.Time {
	due := d.last.Add(b.o.Quiet)
	if longest := d.first.Add(b.o.Longest); longest.Before(due) {
		due = longest
	}
	if d.tries > 0 {
		retry := d.retryAt
		// A new item may be what heals the key: it is tried sooner, yet not
		// at the pace at which items come.
		if soon := d.failed.Add(b.o.Backoff.First); d.newest > d.worked && soon.Before(retry) {
			retry = soon
		}
		due = later(due, retry)
	} else {
		due = later(due, d.retryAt)
		if b.homes.away(b.homeOf(d)) {
			due = later(due, d.lease.seen).Add(headStart)
		}
	}
	if d.paced && !d.known {
		due = later(due, d.began.Add(b.o.Pace))
	}
	if d.lease.Owner != "" && d.lease.Owner != b.me {
		due = later(due, d.lease.seen.Add(d.lease.TTL))
	}
	return due
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// dispatch starts what is due, as far as there are places. While the stream is
// read from its beginning it waits, since the leases may come last.
func (b *board) dispatch() {
	if b.stopped || !b.settled {
		return
	}
	now := time.Now()
	for len(b.later) > 0 && !b.later[0].due.After(now) {
		d := heap.Pop(&b.later).(*desk)
		b.groupOf(d).add(d, b.line(d))
	}
	for b.running < b.o.Concurrency {
		d := b.pick()
		if d == nil {
			break
		}
		b.begin(d)
		b.start(d)
	}
	if len(b.later) > 0 {
		b.timer.Reset(max(time.Until(b.later[0].due), 0))
	}
}

// release ends the work on a desk; ok says whether it went well.
func (b *board) release(d *desk, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end(d, ok)
	b.plan(d)
	b.dispatch()
}

// delay keeps a desk from being due again at once.
func (b *board) delay(d *desk, by time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d.retryAt = later(d.retryAt, time.Now().Add(by))
}

// take is the work that the desk has now.
func (b *board) take(d *desk) (Work, []held) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var items []held
	w := Work{Key: d.key, Tries: d.tries}
	for _, h := range d.items {
		items = append(items, h)
		if w.Since.IsZero() || h.stored.Before(w.Since) {
			w.Since = h.stored
		}
	}
	slices.SortFunc(items, func(a, b held) int { return int(int64(a.sequence) - int64(b.sequence)) })
	kinds := map[string]bool{}
	for _, h := range items {
		w.Items = append(w.Items, h.item)
		if kind := b.o.Kind(h.item); kind != "" {
			kinds[kind] = true
		}
	}
	if d.paced, d.known = false, false; len(kinds) > 0 {
		d.began, d.kinds = time.Now(), kinds
	}
	d.first = time.Time{} // what comes from now on is debounced by itself
	return w, items
}

// served drops items that were worked on, unless they were put again since.
func (b *board) served(d *desk, items []held) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range items {
		if d.items[h.token].sequence == h.sequence {
			delete(d.items, h.token)
		}
	}
}

// stop ends dispatching.
func (b *board) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	b.timer.Stop()
}

func (b *board) leaseOf(d *desk) (lease, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return d.lease, d.changed
}
