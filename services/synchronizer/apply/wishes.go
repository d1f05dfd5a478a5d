package apply

import (
	"context"
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// What an object says of how it wants to be treated. Those of other tools that
// mean the same are read alike, so that a repo that comes from them works.
const (
	// applyAnnotation is "ifNotPresent" (made where it is missing, and then left
	// to others) or "ignore" (never sent).
	applyAnnotation = "slipway.dev/apply"
	// pruneAnnotation is "disabled": it stays when it is gone from Git, or its
	// Application is.
	pruneAnnotation = "slipway.dev/prune"
	// forceAnnotation is "enabled": where a field can't be changed, the object is
	// deleted and made anew.
	forceAnnotation = "slipway.dev/force"
)

// syncOptions is a list of Argo CD's, which tells apart whether an object stays when
// it is gone from Git, and when its Application is.
// https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/
const syncOptions = "argocd.argoproj.io/sync-options"

// wish is one annotation and what it has to say.
type wish struct{ key, value string }

var (
	ifNotPresent = []wish{{applyAnnotation, "ifNotPresent"}, {"kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent"}}
	ignored      = []wish{
		{applyAnnotation, "ignore"},
		{"kustomize.toolkit.fluxcd.io/ssa", "Ignore"},
		{"kustomize.toolkit.fluxcd.io/reconcile", "disabled"},
		{"argocd.argoproj.io/hook", "Skip"},
	}
	kept = []wish{
		{pruneAnnotation, "disabled"},
		{"kustomize.toolkit.fluxcd.io/prune", "disabled"},
		{"helm.sh/resource-policy", "keep"},
		{syncOptions, "Prune=false"},
		{syncOptions, "Prune=confirm"}, // by a person, who deletes it
	}
	keptAtEnd = []wish{{syncOptions, "Delete=false"}, {syncOptions, "Delete=confirm"}}
	forced    = []wish{{forceAnnotation, "enabled"}, {"kustomize.toolkit.fluxcd.io/force", "enabled"}, {syncOptions, "Force=true"}}
)

// says gives the annotation by which an object has a wish; empty when it hasn't.
// Argo CD's are lists.
func says(annotations map[string]string, wishes []wish) string {
	for _, w := range wishes {
		for v := range strings.SplitSeq(annotations[w.key], ",") {
			if strings.EqualFold(strings.TrimSpace(v), w.value) {
				return w.key
			}
		}
	}
	return ""
}

// Ignored says that the item is never sent, and that nobody waits for it.
func (i *Item) Ignored() bool { return i.Kept || says(i.Object.GetAnnotations(), ignored) != "" }

// leaves says whether an item is not to be sent now.
func (i *Item) leaves(before state) bool {
	return i.Ignored() || before.exists && says(i.Object.GetAnnotations(), ifNotPresent) != ""
}

// remade says whether an object that can't be changed is to be made anew.
func (i *Item) remade(before state, fault error) bool {
	return apierrors.IsInvalid(fault) && before.exists && says(i.Object.GetAnnotations(), forced) != ""
}

// errRemade says that an object was deleted to be made anew, and isn't gone yet.
var errRemade = errors.New("it is deleted to be made anew, since it can't be changed, and is not gone yet")

// remake deletes an object that can't be changed to what it shall be, if it is
// ours and wants that. done says that it may be sent again.
func (a *Applier) remake(ctx context.Context, as Actor, item *Item, before state, fault error) (done bool, err error) {
	if before.owner != as.Owner || !item.remade(before, fault) {
		return false, fault
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
