package bus

import "slices"

// group is the desks of a board that depend on one thing. Those that never
// failed go before those that did.
type group struct {
	name         string
	fresh, retry []*desk
	running      int
	failing      bool // how its last work ended
}

func (b *board) groupOf(d *desk) *group {
	if d.group != nil {
		return d.group
	}
	name := ""
	if b.o.Group != nil {
		name = b.o.Group(d.key)
	}
	g := b.groups[name]
	if g == nil {
		g = &group{name: name}
		b.groups[name] = g
	}
	d.group = g
	return g
}

func (g *group) add(d *desk) {
	d.ready = true
	if d.tries > 0 {
		g.retry = append(g.retry, d)
		return
	}
	g.fresh = append(g.fresh, d)
}

// remove takes a desk out of the line.
func (g *group) remove(d *desk) {
	d.ready = false
	same := func(other *desk) bool { return other == d }
	g.fresh = slices.DeleteFunc(g.fresh, same)
	g.retry = slices.DeleteFunc(g.retry, same)
}

func (b *board) begin(d *desk) {
	d.ready, d.busy, d.again = false, true, d.tries > 0
	d.group.running++
	b.running++
	if d.again {
		b.retrying++
	}
}

func (b *board) end(d *desk, ok bool) {
	d.busy = false
	d.group.running--
	d.group.failing = !ok
	b.running--
	if d.again {
		b.retrying--
	}
}

// pick takes the next desk: of the group that has the fewest at work, and
// there one that has not failed before one that has. What has failed takes at
// most half of the places, so that it may hang without holding up the rest.
func (b *board) pick() *desk {
	half := max(b.o.Concurrency/2, 1)
	failing := 0
	for _, g := range b.groups {
		if g.failing {
			failing += g.running
		}
	}
	mayRetry := b.retrying < half
	var best *group
	for _, g := range b.groups {
		if len(g.fresh) == 0 && (len(g.retry) == 0 || !mayRetry) {
			continue
		}
		if g.name != "" && (g.running >= half || g.failing && failing >= half) {
			continue
		}
		if best == nil || g.running < best.running {
			best = g
		}
	}
	if best == nil {
		return nil
	}
	line := &best.fresh
	if len(*line) == 0 {
		line = &best.retry
	}
	d := (*line)[0]
	(*line)[0] = nil
	*line = (*line)[1:]
	return d
}
