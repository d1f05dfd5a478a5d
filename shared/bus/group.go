package bus

import "slices"

// group is the desks of a board that depend on one thing. Those that never
// failed go before those that did.
type group struct {
	name         string
	fresh, retry []*desk
	running      int
	failing      bool
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

func (g *group) begin(d *desk) {
	d.ready = false
	g.running++
}

func (g *group) end(ok bool) {
	g.running--
	g.failing = !ok
}

// pick takes the next desk: of the group that has the fewest at work.
func (b *board) pick() *desk {
	half := max(b.o.Concurrency/2, 1)
	failing := 0
	for _, g := range b.groups {
		if g.failing {
			failing += g.running
		}
	}
	var best *group
	for _, g := range b.groups {
		if len(g.fresh)+len(g.retry) == 0 {
			continue
		}
		if b.o.Group != nil && (g.running >= half || g.failing && failing >= half) {
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
