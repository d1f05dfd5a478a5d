package apply

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestAnObjectSaysHowItWantsToBeTreated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key, value                        string
		ignored, left, stays, mayBeRemade bool
	}{
		{"slipway.dev/apply", "ifNotPresent", false, true, false, false},
		{"slipway.dev/apply", "ignore", true, true, false, false},
		{"slipway.dev/apply", "always", false, false, false, false},
		{"slipway.dev/prune", "disabled", false, false, true, false},
		{"slipway.dev/prune", "enabled", false, false, false, false},
		{"slipway.dev/force", "enabled", false, false, false, true},
		{"kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent", false, true, false, false},
		{"kustomize.toolkit.fluxcd.io/reconcile", "disabled", true, true, false, false},
		{"helm.sh/resource-policy", "keep", false, false, true, false},
		{"argocd.argoproj.io/sync-options", "ServerSideApply=true, Prune=false", false, false, true, false},
		{"argocd.argoproj.io/sync-options", "Prune=confirm", false, false, true, false},
		{"argocd.argoproj.io/sync-options", "Delete=false", false, false, false, false},
		{"argocd.argoproj.io/sync-options", "Force=true,Replace=true", false, false, false, true},
		{"example.com/prune", "disabled", false, false, false, false},
	} {
		annotations := map[string]string{c.key: c.value}
		item := &Item{Object: &unstructured.Unstructured{Object: map[string]any{}}}
		item.Object.SetAnnotations(annotations)
		if item.Ignored() != c.ignored || item.leaves(state{exists: true}) != c.left || item.leaves(state{}) != c.ignored {
			t.Errorf("%s: %s is ignored %v, left %v", c.key, c.value, item.Ignored(), item.leaves(state{exists: true}))
		}
		if got := says(annotations, kept) == c.key; got != c.stays {
			t.Errorf("%s: %s stays: %v", c.key, c.value, got)
		}
		if got := says(annotations, forced) == c.key; got != c.mayBeRemade {
			t.Errorf("%s: %s may be made anew: %v", c.key, c.value, got)
		}
	}
}
