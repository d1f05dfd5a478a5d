package bus

import "slices"

// The lines in which desks wait for a place.
const (
	lineFresh = iota
	lineAway  // at home with another replica
	lineRetry // has failed before
	lines
)

// group is the desks of a board that depend on one thing. Those that never
// failed go before those that did.
type group struct {
	name    string
	lines   [lines][]*desk
	running int
	failing bool // how its last work ended
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

func (g *group) add(d *desk, line int) {
	d.ready = true
	g.lines[line] = append(g.lines[line], d)
}

// remove takes a desk out of the line.
func (g *group) remove(d *desk) {
	d.ready = false
	same := func(other *desk) bool { return other == d }
	for i, line := range g.lines {
		g.lines[i] = slices.DeleteFunc(line, same)
	}
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
		if line := b.next(g); line == lineRetry && (len(g.lines[line]) == 0 || !mayRetry) {
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
	line := &best.lines[b.next(best)]
	d := (*line)[0]
	(*line)[0] = nil
	*line = (*line)[1:]
	return d
}
