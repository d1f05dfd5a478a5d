package apply

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
)

// Trial is what an apply would make of an object.
type Trial struct {
	Item *Item
	// Live is the object as it is, Then as it would be; both are nil where
	// there is none, or none would be.
	Live, Then *unstructured.Unstructured
	// Note says what else is to be known of it; it may be empty.
	Note string
	Err  error
}

// Try asks the API server what it would make of an item, and changes nothing.
// Look reads what is there, client acts with the application's rights. Mine says
// of an owner that it is the application.
func (a *Applier) Try(ctx context.Context, look, client dynamic.Interface, item *Item, mine func(owner string) bool) Trial {
	t := Trial{Item: item}
	if t.Err = item.Err; t.Err == nil {
		t.Err = a.resolveLate(item)
	}
	if t.Err != nil {
		return t
	}
	live, err := a.resource(look, item).Get(ctx, item.Name, metav1.GetOptions{})
	switch {
	case err == nil:
		t.Live = live
	case !apierrors.IsNotFound(err):
		t.Err = fmt.Errorf("look at it: %w", err)
		return t
	}
	if t.Live != nil {
		if owner := live.GetAnnotations()[health.OwnerAnnotation]; owner != "" && !mine(owner) {
			t.Err = fmt.Errorf("%w: %s", ErrOwned, owner)
			return t
		}
	}
	if item.leaves(state{exists: t.Live != nil}) {
		if t.Then, t.Note = t.Live, "it is left to others: its annotations say so"; item.Kept {
			t.Note = "it stays: its chart makes it where it is missing, and leaves it out since it is there"
		}
		return t
	}
	return a.try(ctx, client, t)
}

func (a *Applier) try(ctx context.Context, client dynamic.Interface, t Trial) Trial {
	t.Item.dry = true
	then, err := a.send(ctx, Actor{Client: client}, t.Item, "")
	switch {
	case err == nil:
		t.Then = then
	case t.Live == nil && apierrors.IsNotFound(err):
		// Its namespace or its kind comes in the same commit, or is missing.
		t.Err = err
	case apierrors.IsInvalid(err) && t.Live != nil && says(t.Item.Object.GetAnnotations(), forced) != "":
		t.Then, t.Note = t.Item.Object, "it can't be changed to this: it would be deleted and made anew, as its annotation says"
	default:
		t.Err = err
	}
	return t
}

// WouldPrune says what [Applier.Prune] would do with entries, and deletes
// nothing: with Deleted it would be, and Live is it. Mine says of an owner that
// it is the application.
func (a *Applier) WouldPrune(ctx context.Context, look dynamic.Interface, mine func(owner string) bool, entries []api.InventoryEntry) []Pruning {
	all := make([]Pruning, 0, len(entries))
	for _, e := range entries {
		all = append(all, a.wouldPrune(ctx, look, mine, e))
	}
	return all
}

// Pruning is a [Pruned] that has not happened.
type Pruning struct {
	Pruned
	Live *unstructured.Unstructured
}

func (a *Applier) wouldPrune(ctx context.Context, look dynamic.Interface, mine func(owner string) bool, e api.InventoryEntry) Pruning {
	p := Pruning{Pruned: Pruned{Entry: e}}
	resource, err := a.clients.Mapper.Find(schema.GroupVersionKind{Group: e.Group, Version: e.Version, Kind: e.Kind})
	if _, unknown := errors.AsType[*kube.UnknownKindError](err); unknown {
		p.Kept = "its kind is gone from the cluster, and it with it"
		return p
	}
	if err != nil {
		p.Err = err
		return p
	}
	live, err := a.resource(look, &Item{Resource: resource, Namespace: e.Namespace}).Get(ctx, e.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		p.Kept = "it is gone already"
		return p
	}
	if err != nil {
		p.Err = fmt.Errorf("look at it: %w", err)
		return p
	}
	p.Live = live
	meta := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		UID: live.GetUID(), Annotations: live.GetAnnotations(), ManagedFields: live.GetManagedFields(),
	}}
	owner := meta.Annotations[health.OwnerAnnotation]
	if !mine(owner) && owner != "" {
		p.Kept = "it is " + owner + "'s now"
		return p
	}
	if p.Kept = notOurs(meta, owner, e); p.Kept == "" {
		if by := says(live.GetAnnotations(), kept); by != "" {
			p.Kept = "its annotation " + by + " says so"
		}
	}
	p.Deleted = p.Kept == ""
	return p
}
