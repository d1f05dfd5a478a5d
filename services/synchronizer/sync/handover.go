package sync

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// mostOwners bounds how far up it is asked who wants an Application.
const mostOwners = 8

// identity of an object, whatever its version.
type identity struct{ cluster, group, kind, namespace, name string }

func identityOf(cluster string, e api.InventoryEntry) identity {
	return identity{cluster, e.Group, e.Kind, e.Namespace, e.Name}
}

// asking finds out who wants what, for one act of a run: each application is
// rendered once, however many objects it is asked about.
type asking struct {
	*Brain
	n *run

	mu         sync.Mutex
	listed     bool
	candidates []string
	objects    map[string]map[identity]bool // by application; nil where it can't be found out
}

func (b *Brain) ask(n *run) *asking {
	return &asking{Brain: b, n: n, objects: map[string]map[identity]bool{}}
}

// actor is for whom a run acts. Objects change hands when the one that had them
// no longer wants them, by what Git says: never by being deleted in between.
func (b *Brain) actor(n *run) apply.Actor {
	q := b.ask(n)
	return apply.Actor{
		Client: n.client, Owner: n.app.name.String(), Held: b.cfg.Held,
		MayTake: func(ctx context.Context, item *apply.Item, owner string) (bool, error) {
			name, err := events.ParseApplication(owner)
			if err != nil || name.Cluster != b.cfg.Cluster {
				return false, nil //nolint:nilerr // whoever that is: it isn't ours to ask
			}
			other := name.Namespace + "/" + name.Name
			b.apps.depend(n.app.key, []string{other}) // it wakes us when it lets go
			wants, _, err := q.wants(ctx, other, identityOf(n.cluster.name, item.Entry("")), mostOwners)
			return err == nil && !wants, err
		},
		Claimed: q.claimed,
	}
}

// wants says whether an application wants an object, by what Git says now. Where
// that can't be found out it isn't sure: what the application has, it keeps.
func (b *asking) wants(ctx context.Context, key string, object identity, depth int) (wants, sure bool, err error) {
	u := b.apps.cached(key)
	if u == nil {
		namespace, name, _ := strings.Cut(key, "/")
		var err error
		u, err = b.clients.Dynamic.Resource(Resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, true, nil
		}
		if err != nil {
			return true, false, fmt.Errorf("read Application %s: %w", key, err)
		}
	}
	if u.GetDeletionTimestamp() != nil {
		return false, true, nil
	}
	// One that is itself gone from Git wants nothing any more.
	owner, err := events.ParseApplication(u.GetAnnotations()[health.OwnerAnnotation])
	if parent := owner.Namespace + "/" + owner.Name; err == nil && owner.Cluster == b.cfg.Cluster && parent != key && depth > 0 {
		itself := identity{b.own.name, api.Group, api.ApplicationKind, u.GetNamespace(), u.GetName()}
		if wants, sure, err := b.wants(ctx, parent, itself, depth-1); err != nil || !wants {
			return wants, sure, err
		}
	}
	application, err := decode(u)
	if err != nil {
		return true, false, err
	}
	if _, suspended := application.Metadata.Suspension(); suspended {
		return b.has(application.Status, object), false, nil
	}
	objects, err := b.rendered(ctx, key, application)
	if objects == nil {
		return b.has(application.Status, object), false, err // what can't be found out stays as it is, and holds up nobody else
	}
	return objects[object], true, nil
}

// has says whether an application has an object, and doesn't leave it to another.
func (b *Brain) has(s *api.ApplicationStatus, object identity) bool {
	return s != nil && slices.ContainsFunc(s.Inventory, func(e api.InventoryEntry) bool {
		return e.To == "" && identityOf(object.cluster, e) == object
	})
}

// rendered are the objects of an application's head; nil where they can't be
// found out, with an error only when nobody waits any more.
func (b *asking) rendered(ctx context.Context, key string, application *api.Application) (map[identity]bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	objects, asked := b.objects[key]
	if !asked {
		objects = b.render(ctx, key, application)
		b.objects[key] = objects
	}
	return objects, ctx.Err()
}

func (b *asking) render(ctx context.Context, key string, application *api.Application) map[identity]bool {
	a := b.apps.get(key)
	if a == nil {
		a = &app{key: key, name: events.Application{Cluster: b.cfg.Cluster, Namespace: application.Metadata.Namespace, Name: application.Metadata.Name}}
	}
	r, err := b.source(ctx, a, application)
	if err != nil {
		return nil
	}
	asks := b.n.asks
	if asks.IsZero() {
		asks = time.Now().Add(-freshForClaims)
	}
	head, err := r.fetchedSince(ctx, asks)
	if err != nil {
		return nil
	}
	vars, err := b.variables(ctx, a, application)
	if err != nil {
		return nil
	}
	vars, there := b.knownChart(ctx, a, application, vars)
	if !there {
		return nil
	}
	result, err := render.Render(ctx, vars.request(head, application))
	if err != nil {
		return nil
	}
	n := &run{app: a, spec: application.Spec, variables: vars}
	if n.cluster, err = b.destination(ctx, a, application); err != nil {
		return nil
	}
	if err := b.prepare(n, result); err != nil {
		return nil
	}
	objects := make(map[identity]bool, len(n.items))
	for _, i := range n.items {
		objects[identityOf(n.cluster.name, i.Entry(""))] = true
	}
	return objects
}

// freshForClaims is how old a head may be by which an application is asked what
// it wants: the commit that moved an object is in it, since it woke us.
const freshForClaims = 2 * time.Second

// claimed names an application that wants an object which a run's no longer has:
// the one to which it goes already, as long as it isn't known not to want it; one
// that the same change touches, one that was never rendered, or one that has tried
// to have it.
func (b *asking) claimed(ctx context.Context, e api.InventoryEntry) (string, error) {
	candidates := b.others(ctx)
	if to, err := events.ParseApplication(e.To); err == nil {
		candidates = append([]string{to.Namespace + "/" + to.Name}, candidates...)
	}
	for _, key := range candidates {
		wants, sure, err := b.wants(ctx, key, identityOf(b.n.cluster.name, e), mostOwners)
		if err != nil {
			return "", err
		}
		name := b.cfg.Cluster + "/" + key
		if wants || !sure && name == e.To {
			return name, nil
		}
	}
	return "", nil
}

// others are the applications that may want what the run's no longer has.
func (b *asking) others(ctx context.Context) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listed {
		return b.candidates
	}
	all := b.apps.dependentsOf(b.n.app.key)
	if b.n.repo != nil {
		// A branch that went back differs from what was tried, and perhaps not from
		// what was last healthy.
		for _, from := range slices.Compact([]string{b.n.lastHealthy, b.n.lastTried}) {
			all = append(all, b.touchedSince(ctx, b.n, from)...)
		}
	}
	slices.Sort(all)
	all = slices.DeleteFunc(slices.Compact(all), func(key string) bool { return key == b.n.app.key })
	b.candidates, b.listed = all, true
	return all
}

// touchedSince are the applications of a run's repository that may be another
// than they were at a commit: what they have was touched, their spec is new, or
// this replica doesn't know.
func (b *Brain) touchedSince(ctx context.Context, n *run, commit string) (keys []string) {
	changed, known := n.repo.changes(ctx, commit, cmp.Or(n.head, n.commit))
	touched := n.repo.index.touched(changed)
	for _, other := range b.apps.of(n.repo.key()) {
		if _, ok := touched[other.key]; ok || !known || !n.repo.index.knows(other.key) || b.unsettled(other.key) {
			keys = append(keys, other.key)
		}
	}
	return keys
}

// unsettled says whether an application may not have all yet that it wants.
func (b *Brain) unsettled(key string) bool {
	u := b.apps.cached(key)
	if u == nil {
		return true
	}
	application, err := decode(u)
	return err != nil || !settled(application.Status) || application.Status.ObservedGeneration != u.GetGeneration()
}

// refusePrune refuses a sync that would delete everything, or more than is
// allowed. What goes over to another application isn't deleted; what an
// Application's deletion takes along is.
func (b *Brain) refusePrune(ctx context.Context, n *run, l *live) (reason string, err error) {
	inventory := l.status().Inventory
	gone := apply.Gone(inventory, n.items)
	empty := len(n.items) == 0 && len(inventory) > 0
	if !n.spec.Sync.Prunes() || len(gone) == 0 || !empty && n.spec.Sync.MaxPrune == nil {
		return "", nil
	}
	lost, all := b.takesAlong(gone, mostOwners), b.takesAlong(inventory, mostOwners)
	if !empty && !n.spec.Sync.MaxPrune.Exceeded(lost, all) {
		return "", nil
	}
	var deleted []api.InventoryEntry
	q := b.ask(n)
	for _, e := range gone {
		by, err := q.claimed(ctx, e)
		if err != nil {
			return "", err
		}
		if by == "" {
			deleted = append(deleted, e)
		}
	}
	switch lost = b.takesAlong(deleted, mostOwners); {
	case len(deleted) == 0:
		return "", nil
	case empty:
		return reasonEmpty, fmt.Errorf("%s renders to nothing, which would delete all %d objects: nothing is changed; to delete them, delete the Application, or set sync.prune to false to keep them",
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
		if e.Group != api.Group || e.Kind != api.ApplicationKind || depth == 0 {
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
