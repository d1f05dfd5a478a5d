package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/services/synchronizer/wish"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/render"
)

// Pruned is what became of one entry of an inventory.
type Pruned struct {
	Entry   api.InventoryEntry
	Deleted bool
	// Kept says why an object was left alone; the entry is dropped.
	Kept string
	// To is of an application that wants the object and has not taken it yet, or that
	// may want it: the entry stays until it has, or is known not to want it.
	To Claim
	// Err says that it must be tried again; the entry stays.
	Err error
}

// EntryName is such as "Deployment shop/web".
func EntryName(e api.InventoryEntry) string {
	return health.Target{Kind: schema.GroupVersionKind{Kind: e.Kind}, Namespace: e.Namespace, Name: e.Name}.String()
}

type entryKey struct{ group, kind, namespace, name string }

func keyOfEntry(e api.InventoryEntry) entryKey {
	return entryKey{e.Group, e.Kind, e.Namespace, e.Name}
}

// Gone are the entries of an inventory that are not among the items.
func Gone(inventory []api.InventoryEntry, items []*Item) []api.InventoryEntry {
	kept := make(map[entryKey]bool, len(items))
	for _, i := range items {
		kept[keyOfEntry(i.Entry(""))] = true
	}
	var gone []api.InventoryEntry
	for _, e := range inventory {
		if !kept[keyOfEntry(e)] {
			gone = append(gone, e)
		}
	}
	return gone
}

// Union is the items, followed by the entries that are not among them. An
// entry that was applied before keeps its uid, unless the object may have to be
// made anew: who is killed after that hasn't recorded the new one.
func Union(items []*Item, inventory []api.InventoryEntry) []api.InventoryEntry {
	before := make(map[entryKey]api.InventoryEntry, len(inventory))
	for _, e := range inventory {
		before[keyOfEntry(e)] = e
	}
	union := make([]api.InventoryEntry, 0, len(items))
	for _, i := range items {
		entry := i.Entry(api.Intended)
		if old, ok := before[keyOfEntry(entry)]; ok && old.State == api.Applied {
			entry.State, entry.UID, entry.Fields = api.Applied, old.UID, old.Fields
			if wish.By(i.Object, wish.Forced) != "" {
				entry.UID = ""
			}
		}
		union = append(union, entry)
	}
	return append(union, Gone(inventory, items)...)
}

// ErrWaits says that objects are kept until others, which may need them, are gone.
var ErrWaits = errors.New("what was applied before waits until what was applied after it is gone")

// Prune deletes what an application no longer has, and only what the live object
// shows to be its own, in the reverse of the order in which it was applied.
// Applications go first, and all else when they are gone: they end with the account,
// the rights and in the namespace that may go with them. Namespaces and definitions go
// last. Where the application itself ends, each stage waits for the one after it, as it
// did with health when they were applied, and it ends when all is gone: what an operator
// has to do for its objects, it can. Namespaces and definitions aren't waited for: the
// application may be in one of them.
func (a *Applier) Prune(ctx context.Context, as Actor, entries []api.InventoryEntry) []Pruned {
	results := make([]Pruned, 0, len(entries))
	var waits error
	batches := batchesOf(entries)
	for i, b := range batches {
		from := len(results)
		for _, e := range b.entries {
			if waits != nil {
				results = append(results, Pruned{Entry: e, Err: waits})
				continue
			}
			results = append(results, a.pruneOne(ctx, as, e))
		}
		if waits == nil && b.holds(batches[i+1:], as.Ending) {
			waits = a.remain(ctx, results[from:])
		}
	}
	return results
}

// batch is what is pruned together.
type batch struct {
	part, stage int
	entries     []api.InventoryEntry
}

// partApplications comes before all other parts, which are those of [render.ID.Stage].
const partApplications = render.StageRest + 1

// holds says whether what comes next is kept until all of this batch is gone.
func (b *batch) holds(next []*batch, ending bool) bool {
	if ending {
		return b.part != render.StageFoundation
	}
	return b.part == partApplications && len(next) > 0 && next[0].part != b.part
}

func batchesOf(entries []api.InventoryEntry) []*batch {
	var all []*batch
	for _, e := range slices.Backward(entries) {
		part := render.ID{APIVersion: schema.GroupVersion{Group: e.Group, Version: e.Version}.String(), Kind: e.Kind}.Stage()
		if e.IsApplication() {
			part = partApplications
		}
		at := slices.IndexFunc(all, func(b *batch) bool { return b.part == part && b.stage == e.Stage })
		if at < 0 {
			at, all = len(all), append(all, &batch{part: part, stage: e.Stage})
		}
		all[at].entries = append(all[at].entries, e)
	}
	slices.SortStableFunc(all, func(a, b *batch) int { return cmp.Or(cmp.Compare(b.part, a.part), cmp.Compare(b.stage, a.stage)) })
	return all
}

// remain has those of a batch that were deleted, and are still there, wait, too: who
// looks again must know of them. It is nil when all are gone.
func (a *Applier) remain(ctx context.Context, batch []Pruned) (waits error) {
	for i := range batch {
		p := &batch[i]
		if p.Err == nil && (!p.Deleted || a.isGone(ctx, p.Entry)) {
			continue
		}
		if waits == nil {
			waits = fmt.Errorf("%w: %s isn't yet", ErrWaits, EntryName(p.Entry))
		}
		if p.Err == nil {
			p.Deleted, p.Err = false, waits
		}
	}
	return waits
}

// isGone says that an entry's object isn't there any more, as far as that is known.
func (a *Applier) isGone(ctx context.Context, e api.InventoryEntry) bool {
	resource, err := a.clients.Mapper.Find(schema.GroupVersionKind{Group: e.Group, Version: e.Version, Kind: e.Kind})
	if err != nil {
		_, unknown := errors.AsType[*kube.UnknownKindError](err)
		return unknown
	}
	live, err := a.metadata(ctx, resource, e.Namespace, e.Name)
	return apierrors.IsNotFound(err) || err == nil && e.UID != "" && string(live.UID) != e.UID
}

// pruneOne looks and deletes; an object that changed in between is looked at
// again.
func (a *Applier) pruneOne(ctx context.Context, as Actor, e api.InventoryEntry) Pruned {
	const tries = 5
	var p Pruned
	for range tries {
		if p = a.tryPrune(ctx, as, e); !apierrors.IsConflict(p.Err) {
			break
		}
	}
	return p
}

func (a *Applier) tryPrune(ctx context.Context, as Actor, e api.InventoryEntry) Pruned {
	var live *metav1.PartialObjectMetadata
	resource, p := a.mayPrune(e, as.Ending, func(owner string) bool { return owner == as.Owner }, func(r kube.Resource) (_ metav1.Object, err error) {
		if live, err = a.metadata(ctx, r, e.Namespace, e.Name); err != nil {
			live = nil
		}
		return live, err
	})
	if !p.Deleted || live == nil {
		return p
	}
	if as.Claimed != nil && !e.Hook { // who else has a hook runs it himself
		by, err := as.Claimed(ctx, e)
		if err != nil {
			return Pruned{Entry: e, Err: fmt.Errorf("ask whether another application wants it: %w", err)}
		}
		if by.Name != "" {
			return Pruned{Entry: e, To: by}
		}
	}
	if err := as.held(ctx); err != nil {
		return Pruned{Entry: e, Err: err}
	}
	item := &Item{Resource: resource, Namespace: e.Namespace, Name: e.Name}
	background := metav1.DeletePropagationBackground
	err := a.resource(as.Client, item).Delete(ctx, e.Name, metav1.DeleteOptions{
		PropagationPolicy: &background,
		Preconditions:     &metav1.Preconditions{UID: &live.UID, ResourceVersion: &live.ResourceVersion},
	})
	a.memory.forget(item)
	if err != nil && !apierrors.IsNotFound(err) {
		return Pruned{Entry: e, Err: err}
	}
	return Pruned{Entry: e, Deleted: true}
}

// mayPrune looks at an entry's object and says, as far as the object itself
// tells, whether it is to be deleted. One that isn't there is deleted already.
// Ending says that its application is deleted, mine of an owner that it is the
// application.
func (a *Applier) mayPrune(e api.InventoryEntry, ending bool, mine func(owner string) bool, look func(kube.Resource) (metav1.Object, error)) (kube.Resource, Pruned) {
	p := Pruned{Entry: e}
	resource, err := a.clients.Mapper.Find(schema.GroupVersionKind{Group: e.Group, Version: e.Version, Kind: e.Kind})
	if _, unknown := errors.AsType[*kube.UnknownKindError](err); unknown {
		p.Kept = "its kind is gone from the cluster, and it with it"
		return resource, p
	}
	var live metav1.Object
	if err == nil {
		if live, err = look(resource); err != nil && !apierrors.IsNotFound(err) {
			err = fmt.Errorf("look at it: %w", err)
		}
	}
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		p.Err = err
	default:
		if p.Kept = notOurs(live, mine, e); p.Kept == "" {
			by := wish.By(live, wish.Kept)
			if ending {
				by = cmp.Or(by, wish.By(live, wish.KeptAtEnd))
			}
			switch {
			case by != "":
				p.Kept = "its annotation " + by + " says so"
			case e.Keep: // what Git said of it never came to the object
				p.Kept = "Git wanted it kept"
			}
		}
	}
	p.Deleted = p.Err == nil && p.Kept == ""
	return resource, p
}

// Owned are the entries of those items that are there as an application's own.
func (a *Applier) Owned(ctx context.Context, owner string, items []*Item) ([]api.InventoryEntry, error) {
	var all []api.InventoryEntry
	for _, i := range items {
		if i.Resource == (kube.Resource{}) {
			continue // nobody knows its kind
		}
		live, err := a.metadata(ctx, i.Resource, i.Namespace, i.Name)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", i, err)
		}
		e := i.Entry(api.Applied)
		if notOurs(live, func(of string) bool { return of == owner }, e) == "" {
			e.UID = string(live.UID)
			all = append(all, e)
		}
	}
	return all, nil
}

// notOurs says why an object must not be deleted; "" when it may.
func notOurs(live metav1.Object, mine func(owner string) bool, e api.InventoryEntry) string {
	switch before := stateOf(live); {
	case before.owner == "":
		return "it doesn't say that it is ours"
	case !mine(before.owner):
		return "it is " + before.owner + "'s now"
	case before.fields == 0:
		return "it was not applied by us"
	case e.UID != "" && before.uid != e.UID && !e.Hook: // a hook we make anew ourselves
		return "it was made anew by somebody else"
	}
	return ""
}
