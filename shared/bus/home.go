package bus

import "time"

// Home says which replica has at hand what a key's work needs, such as the
// clone of a repository.
type Home int

const (
	// HomeNone says that none has more than another.
	HomeNone Home = iota
	// HomeLast is the one that worked on the key last.
	HomeLast
	// HomePutter is the one that put the key's newest item, unless another worked
	// on the key just now: it may know more, and several may put the same.
	HomePutter
)

// headStart is how long the others leave a key to its home. It takes what is
// put at once, if it has a place; a home that died costs this much, once.
const headStart = 25 * time.Millisecond

// justNow is how long a work counts as of just now.
const justNow = 2 * time.Second

// homes are the replicas that a board has seen at work, and when.
type homes struct {
	me   string
	seen map[string]time.Time
}

func newHomes(me string) *homes { return &homes{me: me, seen: map[string]time.Time{}} }

func (h *homes) see(id string, at time.Time) {
	if id != "" && id != h.me {
		h.seen[id] = at
	}
}

// away says whether a home is another than this replica.
func (h *homes) away(home string) bool { return home != "" && home != h.me }

// atWork says whether another replica was seen since a time.
func (h *homes) atWork(home string, since time.Time) bool { return h.seen[home].After(since) }

func (h *homes) prune(since time.Time) {
	for id, at := range h.seen {
		if at.Before(since) {
			delete(h.seen, id)
		}
	}
}

// homeOf is the desk's home; empty where none is known.
func (b *board) homeOf(d *desk) string {
	switch b.o.Home {
	case HomeLast:
		return d.lease.By
	case HomePutter:
		if d.lease.By != "" && time.Since(d.lease.seen) < justNow {
			return d.lease.By
		}
		return d.putter
	case HomeNone:
	}
	return ""
}

// line is the place of a desk among those of its group that wait.
func (b *board) line(d *desk) int {
	switch {
	case d.tries > 0:
		return lineRetry
	case b.homes.away(b.homeOf(d)):
		return lineAway
	}
	return lineFresh
}

// next is the line of a group from which a desk is to be taken. What is at home
// elsewhere comes last, so that two replicas that have much to do don't ask for
// the same leases; but not where that one is silent.
func (b *board) next(g *group) int {
	fresh, away := g.lines[lineFresh], g.lines[lineAway]
	switch {
	case len(fresh) == 0 && len(away) == 0:
		return lineRetry
	case len(fresh) == 0:
		return lineAway
	case len(away) > 0 && away[0].due.Before(fresh[0].due) && !b.homes.atWork(b.homeOf(away[0]), time.Now().Add(-b.o.LeaseTTL)):
		return lineAway
	}
	return lineFresh
}
