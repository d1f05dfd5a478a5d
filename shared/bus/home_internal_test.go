package bus

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// deskBoard is a board of the replica "me" with so many places, that has read
// its stream. began are the keys in the order in which they were begun.
type deskBoard struct {
	*board
	sequence uint64
	began    []string
}

func newDeskBoard(t *testing.T, home Home, places int) *deskBoard {
	t.Helper()
	b := &deskBoard{}
	b.board = newBoard(QueueOptions{Home: home, Concurrency: places}.complete(), "me", "run", func(d *desk) { b.began = append(b.began, d.key) })
	t.Cleanup(b.stop)
	b.settle(b.reread())
	return b
}

func (b *deskBoard) puts(key, by string) {
	b.sequence++
	b.put(b.reading, key, key, by, held{token: "item", item: "item", sequence: b.sequence, stored: time.Now()})
}

// rests releases a key's lease, which a replica had.
func (b *deskBoard) rests(key, by string) {
	b.sequence++
	b.leased(b.reading, key, b.sequence, leaseBody{By: by})
}

// passes lets time pass, and says what was begun in it.
func (b *deskBoard) passes(d time.Duration) []string {
	time.Sleep(d) // of a bubble
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	began := b.began
	b.began = nil
	return began
}

func (b *deskBoard) want(t *testing.T, after time.Duration, keys ...string) {
	t.Helper()
	if got := b.passes(after); !slices.Equal(got, keys) {
		t.Fatalf("after %s: began %q, want %q", after, got, keys)
	}
}

// TestHome: a replica takes at once what is at home with it or nowhere, and
// leaves the rest to its home for a moment.
func TestHome(t *testing.T) {
	for name, rule := range map[string]struct {
		home    Home
		prepare func(b *deskBoard)
		putBy   string
		waits   bool
	}{
		"we worked on it just now":   {HomePutter, func(b *deskBoard) { b.passes(time.Minute); b.rests("key", "me"); b.passes(justNow - time.Second) }, "other", false},
		"another did just now":       {HomePutter, func(b *deskBoard) { b.passes(time.Minute); b.rests("key", "other"); b.passes(justNow - time.Second) }, "me", true},
		"no homes":                   {HomeNone, func(b *deskBoard) { b.rests("key", "other") }, "other", false},
		"nobody worked on it":        {HomeLast, func(*deskBoard) {}, "other", false},
		"we worked on it":            {HomeLast, func(b *deskBoard) { b.rests("key", "me") }, "other", false},
		"another worked on it":       {HomeLast, func(b *deskBoard) { b.rests("key", "other") }, "me", true},
		"we put it":                  {HomePutter, func(b *deskBoard) { b.rests("key", "other"); b.passes(justNow) }, "me", false},
		"another put it":             {HomePutter, func(b *deskBoard) { b.rests("key", "me"); b.passes(justNow) }, "other", true},
		"a former version put it":    {HomePutter, func(*deskBoard) {}, "", false},
		"a former version worked on": {HomeLast, func(b *deskBoard) { b.rests("key", "") }, "other", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newDeskBoard(t, rule.home, 2)
				rule.prepare(b)
				b.puts("key", rule.putBy)
				if rule.waits {
					b.want(t, headStart-time.Nanosecond)
					b.want(t, time.Nanosecond, "key")
				} else {
					b.want(t, 0, "key")
				}
			})
		})
	}
}

// TestHomeGivesWay: the head start begins anew when the home lets go, which has
// the first word on what came meanwhile.
func TestHomeGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newDeskBoard(t, HomeLast, 2)
		b.sequence++
		b.leased(b.reading, "key", b.sequence, leaseBody{Owner: "other run", By: "other", TTL: b.o.LeaseTTL})
		b.puts("key", "me")
		b.want(t, b.o.LeaseTTL/2)
		b.rests("key", "other")
		b.want(t, headStart-time.Nanosecond)
		b.want(t, time.Nanosecond, "key")
	})
}

// TestOwnFirst: whoever has much to do takes what is at home with it first, so
// that replicas don't ask for one lease; but what a silent one left has its turn.
func TestOwnFirst(t *testing.T) {
	for name, rule := range map[string]struct {
		seen time.Duration // before the end
		want []string
	}{
		"the other works":   {0, []string{"mine", "theirs"}},
		"the other is dead": {time.Hour, []string{"theirs", "mine"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newDeskBoard(t, HomePutter, 1)
				b.rests("other", "other")
				b.passes(rule.seen)
				b.puts("busy", "me")
				b.want(t, 0, "busy")
				b.puts("theirs", "other")
				b.want(t, 2*headStart)
				b.puts("mine", "me")
				for _, key := range append([]string{"busy"}, rule.want...) {
					if began := b.passes(0); key != "busy" && !slices.Equal(began, []string{key}) {
						t.Fatalf("began %q, want %q", began, key)
					}
					b.mu.Lock()
					d := b.desks[key]
					b.mu.Unlock()
					b.served(d, []held{{token: "item", sequence: d.newest}})
					b.release(d, true)
				}
			})
		})
	}
}
