package apply

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

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
	var before state
	live, err := a.resource(look, item).Get(ctx, item.Name, metav1.GetOptions{})
	switch {
	case err == nil:
		t.Live, before = live, stateOf(live)
	case !apierrors.IsNotFound(err):
		t.Err = fmt.Errorf("look at it: %w", err)
		return t
	}
	if before.owner != "" && !mine(before.owner) {
		t.Err = fmt.Errorf("%w: %s", ErrOwned, before.owner)
		return t
	}
	if item.leaves(before) {
		if t.Then, t.Note = t.Live, "it is left to others: its annotations say so"; item.Kept {
			t.Note = "it stays: its chart makes it where it is missing, and leaves it out since it is there"
		}
		return t
	}
	return a.try(ctx, client, t, before)
}

func (a *Applier) try(ctx context.Context, client dynamic.Interface, t Trial, before state) Trial {
	t.Item.dry = true
	var then *unstructured.Unstructured
	body, options, err := a.request(ctx, Actor{}, t.Item, "")
	if err == nil {
		then, err = a.resource(client, t.Item).Patch(ctx, t.Item.Name, types.ApplyPatchType, body, options)
	}
	switch {
	case err == nil:
		t.Then = then
	case t.Live == nil && apierrors.IsNotFound(err):
		// Its namespace or its kind comes in the same commit, or is missing.
		t.Err = err
	case before.owner != "" && t.Item.remade(before, err):
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
	var live *unstructured.Unstructured
	_, p := a.mayPrune(e, false, mine, func(r kube.Resource) (_ metav1.Object, err error) {
		if live, err = a.resource(look, &Item{Resource: r, Namespace: e.Namespace}).Get(ctx, e.Name, metav1.GetOptions{}); err != nil {
			live = nil
		}
		return live, err
	})
	if p.Deleted && live == nil {
		p.Deleted, p.Kept = false, "it is gone already"
	}
	return Pruning{Pruned: p, Live: live}
}
