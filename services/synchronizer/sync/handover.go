package sync

import (
	"context"
	"fmt"
	"slices"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/shared/api"
)

// mostOwners bounds how far up it is asked who wants an Application.
const mostOwners = 8

// identity of an object, whatever its version.
type identity struct{ cluster, group, kind, namespace, name string }

func identityOf(cluster string, e api.InventoryEntry) identity {
	return identity{cluster, e.Group, e.Kind, e.Namespace, e.Name}
}

// actor is for whom a run acts. Objects change hands when the one that had them
// no longer wants them, by what Git says: never by being deleted in between.
func (b *Brain) actor(n *run) apply.Actor {
	q := b.ask(n)
	return apply.Actor{
		Client: n.client, Owner: n.app.name.String(), Held: b.cfg.Held, Ending: n.ending,
		MayTake: func(ctx context.Context, item *apply.Item, owner string) (bool, error) {
			name, err := events.ParseApplication(owner)
			if err != nil || name.Cluster != b.cfg.Cluster {
				return false, nil //nolint:nilerr // whoever that is: it isn't ours to ask
			}
			other := name.Namespace + "/" + name.Name
			b.apps.depend(n.app.key, []string{other}) // it wakes us when it lets go
			wants, err := q.stillWants(ctx, other, identityOf(n.cluster.name, item.Entry("")))
			return err == nil && !wants, err
		},
		Claimed: q.claimed,
	}
}

// refusePrune refuses a sync that would delete everything, or more than is
// allowed. What goes over to another application isn't deleted, once it is sure that
// it does; what an Application's deletion takes along is.
func (b *Brain) refusePrune(ctx context.Context, n *run, l *live) (reason string, err error) {
	inventory := l.status().Inventory
	gone := apply.Gone(inventory, n.items)
	empty := len(n.items) == 0 && len(inventory) > 0 && !n.spec.Sync.AllowEmpty
	if !n.spec.Sync.Prunes() || len(gone) == 0 || !empty && n.spec.Sync.MaxPrune == nil {
		return "", nil
	}
	lost, all := b.takesAlong(gone, mostOwners), b.takesAlong(inventory, mostOwners)
	if !empty && !n.spec.Sync.MaxPrune.Exceeded(lost, all) {
		return "", nil
	}
	var deleted []api.InventoryEntry
	var unsure []string
	q := b.ask(n)
	for _, e := range gone {
		by, err := q.claimed(ctx, e)
		if err != nil {
			return "", err
		}
		if !by.Sure {
			deleted = append(deleted, e)
		}
		if name, err := events.ParseApplication(by.Name); err == nil && !by.Sure {
			unsure = append(unsure, name.Namespace+"/"+name.Name)
		}
	}
	b.apps.depend(n.app.key, slices.Compact(unsure)) // it is looked again when those got on
	switch lost = b.takesAlong(deleted, mostOwners); {
	case len(deleted) == 0:
		return "", nil
	case empty:
		return reasonEmpty, fmt.Errorf("%s renders to nothing, which would delete all %d objects: nothing is changed; to delete them, delete the Application or set sync.allowEmpty, and to keep them, set sync.prune to false",
			n.spec.Source.Path, lost)
	case n.spec.Sync.MaxPrune.Exceeded(lost, all):
		return reasonTooMany, fmt.Errorf("it would delete %d of %d objects, more than sync.maxPrune %s: nothing is changed; to delete them, raise it",
			lost, all, *n.spec.Sync.MaxPrune)
	}
	return "", nil
}

// takesAlong counts objects, and all that goes with those that are Applications.
func (b *Brain) takesAlong(entries []api.InventoryEntry, depth int) int {
	count := len(entries)
	for _, e := range entries {
		if depth == 0 || !e.IsApplication() {
			continue
		}
		u := b.apps.cached(e.Namespace + "/" + e.Name)
		if u == nil {
			continue
		}
		if other, err := decode(u); err == nil && other.Spec.OnDelete != api.OnDeleteOrphan && other.Status != nil {
			count += b.takesAlong(other.Status.Inventory, depth-1)
		}
	}
	return count
}
