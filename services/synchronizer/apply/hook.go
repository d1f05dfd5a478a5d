package apply

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/services/synchronizer/wish"
)

// RunAnnotation says for which run a hook was started.
const RunAnnotation = "slipway.dev/run"

// Run starts a hook, unless it was started for this run before. What ran for
// another is deleted first, if it is a Job, a Pod or of a custom kind; other
// objects are applied as ever. It doesn't wait for the end.
func (a *Applier) Run(ctx context.Context, as Actor, item *Item, run string) Outcome {
	fail := func(err error) Outcome { return Outcome{Item: item, Action: Failed, Err: err} }
	if err := a.resolveLate(item); err != nil {
		return fail(err)
	}
	item.sendFor(run)
	live, err := a.metadata(ctx, item.Resource, item.Namespace, item.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return fail(fmt.Errorf("look at it: %w", err))
	}
	if err == nil {
		switch by := live.Annotations[health.OwnerAnnotation]; {
		case by == as.Owner && live.Annotations[RunAnnotation] == run && live.DeletionTimestamp == nil:
			item.UID, item.ResourceVersion = string(live.UID), live.ResourceVersion
			return Outcome{Item: item, Action: Unchanged}
		case by == "" && item.ends():
			return fail(fmt.Errorf("one of this name is there that isn't ours: delete it, or give the hook another name"))
		default:
			if err := a.clear(ctx, as, item, live); err != nil {
				return fail(err)
			}
		}
	}
	sent, err := a.send(ctx, as, item, "")
	if err != nil {
		return fail(err)
	}
	item.UID, item.ResourceVersion = string(sent.GetUID()), sent.GetResourceVersion()
	return Outcome{Item: item, Action: Created, Sent: true}
}

// sendFor notes the run on the object.
func (i *Item) sendFor(run string) {
	i.Object.SetAnnotations(merge(i.Object.GetAnnotations(), map[string]string{RunAnnotation: run}))
}

// ends says whether an object does its work once and is then over: to have it
// done again it must be made again.
func (i *Item) ends() bool {
	switch i.Kind.Group {
	case "":
		return i.Kind.Kind == "Pod"
	case "batch":
		return i.Kind.Kind == "Job"
	}
	return strings.Contains(i.Kind.Group, ".") && !strings.HasSuffix(i.Kind.Group, ".k8s.io")
}

// clear deletes what ran for another run, with all that it made, if it ends at
// all. What ran for another application does so once that doesn't want it any
// more.
func (a *Applier) clear(ctx context.Context, as Actor, item *Item, live *metav1.PartialObjectMetadata) error {
	if err := as.owns(ctx, item, live.Annotations[health.OwnerAnnotation]); err != nil || !item.ends() {
		return err
	}
	if err := as.held(ctx); err != nil {
		return err // it may run for the other replica
	}
	if live.DeletionTimestamp == nil {
		if err := a.remove(ctx, as, item, string(live.UID)); err != nil {
			return fmt.Errorf("delete what ran before: %w", err)
		}
	}
	switch _, err := a.metadata(ctx, item.Resource, item.Namespace, item.Name); {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("look at it: %w", err)
	}
	return errRemade
}

// remove deletes an object if it still has the uid.
func (a *Applier) remove(ctx context.Context, as Actor, item *Item, uid string) error {
	id := types.UID(uid)
	background := metav1.DeletePropagationBackground
	err := a.resource(as.Client, item).Delete(ctx, item.Name, metav1.DeleteOptions{
		PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &id},
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// Ending is what has ended when a hook may want to be deleted.
type Ending byte

// The endings. Hooks of Helm live as long as their event, so that one may use what
// another one made, those of Argo CD as long as the sync:
// https://helm.sh/docs/topics/charts_hooks#hook-deletion-policies,
// https://argo-cd.readthedocs.io/en/stable/user-guide/resource_hooks#hook-deletion-policies
const (
	EventSucceeded Ending = iota // all hooks of one kind have succeeded, or those before one that failed
	SyncSucceeded                // the whole sync has
	ItFailed                     // the hook itself did
	SyncFailed                   // another hook did
)

// deletedAt is what hooks say that want to be deleted then.
var deletedAt = map[Ending][]wish.Wish{
	EventSucceeded: {{Key: "helm.sh/hook-delete-policy", Value: "hook-succeeded"}},
	SyncSucceeded:  {{Key: "argocd.argoproj.io/hook-delete-policy", Value: "HookSucceeded"}},
	ItFailed:       {{Key: "helm.sh/hook-delete-policy", Value: "hook-failed"}, {Key: "argocd.argoproj.io/hook-delete-policy", Value: "HookFailed"}},
	SyncFailed:     {{Key: "argocd.argoproj.io/hook-delete-policy", Value: "HookFailed"}},
}

// Clean deletes a hook that was started for a run, if it says so of the ending, and
// is still there.
func (a *Applier) Clean(ctx context.Context, as Actor, item *Item, run string, ending Ending) error {
	if item.Ignored() || wish.By(item.Object, deletedAt[ending]) == "" {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("delete the hook %s: %w", item, err) }
	if err := a.resolveLate(item); err != nil {
		return fail(err)
	}
	live, err := a.metadata(ctx, item.Resource, item.Namespace, item.Name)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fail(fmt.Errorf("look at it: %w", err))
	case live.DeletionTimestamp != nil, live.Annotations[health.OwnerAnnotation] != as.Owner, live.Annotations[RunAnnotation] != run:
		return nil
	}
	if err := as.held(ctx); err != nil {
		return err
	}
	if err := a.remove(ctx, as, item, string(live.UID)); err != nil {
		return fail(err)
	}
	return nil
}
