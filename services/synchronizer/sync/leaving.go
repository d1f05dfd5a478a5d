package sync

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/shared/api"
)

// An object that goes over to another application stays in the inventory of the
// one that had it until the other has taken it: before that nobody else knows of
// it, and a commit that comes in between may have it wanted by nobody at all.

// pruned is what became of what an application no longer has.
type pruned struct {
	dropped []api.InventoryEntry // deleted, or not its own
	going   []api.InventoryEntry // each with the application to which it goes
	unsure  bool                 // that they go there
}

// left is an inventory after it.
func (p pruned) left(inventory []api.InventoryEntry) []api.InventoryEntry {
	kept := slices.Clone(without(inventory, p.dropped))
	for i, e := range kept {
		for _, g := range p.going {
			if identityOf("", g) == identityOf("", e) {
				kept[i].To, kept[i].Given = g.To, g.Given
			}
		}
	}
	return kept
}

// keep has what goes to an application itself, which is made anew when it is gone, stay as it
// is.
func (p *pruned) keep(name string) {
	isIts := func(e api.InventoryEntry) bool { return e.To == name }
	for _, e := range p.going {
		if isIts(e) {
			p.dropped = append(p.dropped, e)
		}
	}
	p.going = slices.DeleteFunc(p.going, isIts)
}

// forsake has what Git no longer has be nobody's concern any more, where nothing is
// pruned: it would be odd to delete it long after that, and who deletes it by hand does
// no harm to the application.
func (b *Brain) forsake(l *live, gone []api.InventoryEntry) pruned {
	for _, e := range gone {
		b.notes.say(l.object, "NotPruned", fmt.Sprintf("left %s alone: sync.prune is false", apply.EntryName(e)))
	}
	return pruned{dropped: gone}
}

// goesOver says to which application an object goes over, and gives its entry.
func (b *Brain) goesOver(l *live, p apply.Pruned, name string) api.InventoryEntry {
	if p.Entry.To != p.To.Name {
		message := fmt.Sprintf("left %s alone: it goes over to %s", name, p.To.Name)
		switch {
		case p.To.Name == b.cfg.Cluster+"/"+keyOf(l.object):
			message = fmt.Sprintf("left %s alone: Git has it here again", name)
		case !p.To.Sure:
			message = fmt.Sprintf("left %s alone: it may go over to %s, of which that can't be known before it is rendered as Git has it now", name, p.To.Name)
		}
		b.notes.say(l.object, "NotPruned", message)
		b.log.Info("goes over", "application", b.cfg.Cluster+"/"+keyOf(l.object), "object", name, "to", p.To.Name, "sure", p.To.Sure)
	}
	p.Entry.To, p.Entry.Given = p.To.Name, p.To.Given
	return p.Entry
}

// leaving are the entries of an inventory that go over to others.
func leaving(inventory []api.InventoryEntry) (all []api.InventoryEntry) {
	for _, e := range inventory {
		if e.To != "" {
			all = append(all, e)
		}
	}
	return all
}

// leavingAnywhere are those, and those of former clusters.
func leavingAnywhere(s *api.ApplicationStatus) (all []api.InventoryEntry) {
	if s == nil {
		return nil
	}
	return append(leaving(s.Inventory), leavingFormer(s.Former)...)
}

// leavingFormer are those of former clusters.
func leavingFormer(former []api.Former) (all []api.InventoryEntry) {
	for _, f := range former {
		all = append(all, leaving(f.Inventory)...)
	}
	return all
}

// handOver looks again at what an application leaves to others: what they have taken
// is theirs, and what nobody wants any more is pruned. Who wants it is asked of
// what Git says since a moment.
func (b *Brain) handOver(ctx context.Context, n *run, l *live, since time.Time) error {
	if len(leavingAnywhere(l.status())) == 0 || !n.spec.Sync.Prunes() {
		return nil
	}
	n.asks = since
	if reason, err := b.refusePrune(ctx, n, l); reason != "" {
		return b.refuse(ctx, n, l, reason, err)
	} else if err != nil {
		return err
	}
	p, err := b.prune(ctx, n, l, leaving(l.status().Inventory))
	if err == nil {
		err = b.recordGoing(ctx, n, l, p)
	}
	if err != nil {
		return err
	}
	return b.pruneFormer(ctx, n, l)
}

// recordGoing records what was pruned and what goes over, unless it is.
func (b *Brain) recordGoing(ctx context.Context, n *run, l *live, p pruned) error {
	if slices.Equal(p.left(l.status().Inventory), l.status().Inventory) {
		return nil
	}
	return b.write(ctx, n.app, l, func(s *api.ApplicationStatus) { s.Inventory = p.left(s.Inventory) })
}

// leave notes to which applications one leaves objects. It says whether those are
// others than before, and there are any: they may have got on meanwhile.
func (a *applications) leave(key string, s *api.ApplicationStatus) bool {
	var to []string
	for _, e := range leavingAnywhere(s) {
		if name, err := events.ParseApplication(e.To); err == nil {
			to = append(to, name.Namespace+"/"+name.Name)
		}
	}
	slices.Sort(to)
	to = slices.Compact(to)
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leaves.set(key, to) && len(to) > 0
}

// givers are the applications that leave something to one.
func (a *applications) givers(key string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leaves.back(key)
}

// wakeGivers has them look again, since one got on.
func (a *applications) wakeGivers(key string) {
	a.wakeLinked(a.leaves, key, ReasonLeaving)
}

// wakeLinked wakes those that have a link to an application.
func (a *applications) wakeLinked(l links, key, reason string) {
	a.mu.Lock()
	all := l.back(key)
	a.mu.Unlock()
	for _, other := range all {
		a.wakeups.Add(wakeup{other, reason, false})
	}
}

// links are from applications to others, found from both ends.
type links struct {
	on   map[string][]string
	from map[string]map[string]bool
}

func newLinks() links { return links{on: map[string][]string{}, from: map[string]map[string]bool{}} }

// back are those that have a link to one.
func (l links) back(key string) []string { return slices.Collect(maps.Keys(l.from[key])) }

// set replaces the links of one, and says whether they are others than before.
func (l links) set(key string, on []string) bool {
	if slices.Equal(l.on[key], on) {
		return false
	}
	for _, other := range l.on[key] {
		if delete(l.from[other], key); len(l.from[other]) == 0 {
			delete(l.from, other)
		}
	}
	delete(l.on, key)
	if len(on) == 0 {
		return true
	}
	l.on[key] = slices.Clone(on)
	for _, other := range on {
		if l.from[other] == nil {
			l.from[other] = map[string]bool{}
		}
		l.from[other][key] = true
	}
	return true
}
