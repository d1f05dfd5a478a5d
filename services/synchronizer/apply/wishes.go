package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/services/synchronizer/wish"
)

// Ignored says that the item is never sent, and that nobody waits for it.
func (i *Item) Ignored() bool {
	return i.Kept || wish.By(i.Object, wish.Left) != "" || wish.By(i.Object, wish.Skipped) != ""
}

// Unjudged says that nobody waits for the item's health.
func (i *Item) Unjudged() bool {
	return i.Ignored() || !i.Turn.IsHook && wish.By(i.Object, wish.Unjudged) != ""
}

// leaves says whether an item is not to be sent now.
func (i *Item) leaves(before state) bool {
	return i.Ignored() || before.exists && (before.left || wish.By(i.Object, wish.IfNotPresent) != "")
}

// rename has an object that is left to others, and was another application's, say that
// it is ours: that one keeps it until it is, and a deletion of it would wait for ever.
func (a *Applier) rename(ctx context.Context, as Actor, item *Item, before state) error {
	if before.owner == "" || before.owner == as.Owner || item.dry {
		return nil
	}
	_, err := a.reassign(ctx, as, item, func(live *metav1.PartialObjectMetadata) ([]byte, error) {
		if live.Annotations[health.OwnerAnnotation] != before.owner {
			return nil, apierrors.NewConflict(item.Resource.GroupResource(), item.Name, errors.New("its owner has changed"))
		}
		return json.Marshal([]step{
			unchanged(live),
			{"replace", ownerPath, as.Owner},
		})
	})
	if err != nil {
		return fmt.Errorf("take it over: %w", err)
	}
	return nil
}

// remade says whether an object that can't be changed is to be made anew.
func (i *Item) remade(before state, fault error) bool {
	return apierrors.IsInvalid(fault) && before.exists && wish.By(i.Object, wish.Forced) != ""
}

// nameAgain has an object that we have applied, and of which somebody has taken our name off,
// say once more that it is ours: as an apply would that can change it. What we never applied
// is left as it is.
func (a *Applier) nameAgain(ctx context.Context, as Actor, item *Item, before state) (named bool, err error) {
	version, err := a.reassign(ctx, as, item, func(live *metav1.PartialObjectMetadata) ([]byte, error) {
		if health.OurFields(live) == 0 || live.Annotations[health.OwnerAnnotation] != "" || string(live.UID) != before.uid {
			return nil, nil
		}
		steps := []step{unchanged(live)}
		if len(live.Annotations) == 0 {
			steps = append(steps, step{"add", "/metadata/annotations", map[string]string{}})
		}
		return json.Marshal(append(steps, step{"add", ownerPath, as.Owner}))
	})
	if err != nil {
		return false, fmt.Errorf("put our name on it again: %w", err)
	}
	return version != "", nil
}

// ownerPath is the owner's annotation in a JSON patch.
var ownerPath = "/metadata/annotations/" + strings.ReplaceAll(health.OwnerAnnotation, "/", "~1")

// errRemade says that an object was deleted to be made anew, and isn't gone yet.
var errRemade = errors.New("it is deleted to be made anew, since it can't be changed, and is not gone yet")

// remake deletes an object that can't be changed to what it shall be, if it is
// ours, or another application's that lets go of it, and wants that. done says that it
// may be sent again.
func (a *Applier) remake(ctx context.Context, as Actor, item *Item, before state, fault error) (done bool, err error) {
	if !item.remade(before, fault) {
		return false, fault
	}
	if before.owner == "" {
		if named, err := a.nameAgain(ctx, as, item, before); err != nil || !named {
			return false, errors.Join(fault, err)
		}
	}
	if err := as.held(ctx); err != nil {
		return false, err
	}
	if err := a.remove(ctx, as, item, before.uid); err != nil {
		return false, err
	}
	switch _, err = a.metadata(ctx, item.Resource, item.Namespace, item.Name); {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, err
	}
	return false, errRemade
}
