// Package wish knows what an object says of how it wants to be treated. What other tools
// have of the same meaning is read alike, so that a repo that comes from them works.
package wish

import "strings"

// Wish is one annotation, and what it has to say.
type Wish struct{ Key, Value string }

// apply is "ifNotPresent" (made where it is missing, and then left to others) or "ignore"
// (never sent), prune "disabled" (it stays when it is gone from Git, or its Application
// is), force "enabled" (where a field can't be changed, the object is deleted and made
// anew).
const (
	apply = "slipway.dev/apply"
	prune = "slipway.dev/prune"
	force = "slipway.dev/force"
)

// flux is what its keys begin with, which it reads as labels, too.
// https://fluxcd.io/flux/components/kustomize/kustomizations/
const flux = "kustomize.toolkit.fluxcd.io/"

// syncOptions is a list of Argo CD's, which tells apart whether an object stays when
// it is gone from Git, and when its Application is.
// https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/
const syncOptions = "argocd.argoproj.io/sync-options"

// What may be wished.
var (
	IfNotPresent = []Wish{{apply, "ifNotPresent"}, {flux + "ssa", "IfNotPresent"}}
	// Left are never sent: in Git for good, and of an object in the cluster, where a person
	// may write it, as long as it stands there.
	Left    = []Wish{{apply, "ignore"}, {flux + "ssa", "Ignore"}, {flux + "reconcile", "disabled"}}
	Skipped = []Wish{{"argocd.argoproj.io/hook", "Skip"}}
	Kept    = append([]Wish{
		{prune, "disabled"},
		{flux + "prune", "disabled"},
		{"helm.sh/resource-policy", "keep"},
		{syncOptions, "Prune=false"},
		{syncOptions, "Prune=confirm"}, // by a person, who deletes it
	}, Left...)
	KeptAtEnd = []Wish{{syncOptions, "Delete=false"}, {syncOptions, "Delete=confirm"}}
	Forced    = []Wish{{force, "enabled"}, {flux + "force", "enabled"}, {syncOptions, "Force=true"}}
	// Unjudged are not waited for, and don't make their Application unhealthy.
	// https://argo-cd.readthedocs.io/en/stable/operator-manual/health/
	Unjudged = []Wish{{"slipway.dev/health", "ignore"}, {"argocd.argoproj.io/ignore-healthcheck", "true"}}
)

// Object is one that may say something.
type Object interface {
	GetAnnotations() map[string]string
	GetLabels() map[string]string
}

// By gives the key by which an object has a wish; empty when it hasn't. Argo CD's are
// lists.
func By(o Object, wishes []Wish) string {
	for _, w := range wishes {
		said := o.GetAnnotations()[w.Key]
		if said == "" && strings.HasPrefix(w.Key, flux) {
			said = o.GetLabels()[w.Key]
		}
		for v := range strings.SplitSeq(said, ",") {
			if strings.EqualFold(strings.TrimSpace(v), w.Value) {
				return w.Key
			}
		}
	}
	return ""
}
