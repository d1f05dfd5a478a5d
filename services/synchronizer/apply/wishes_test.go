package apply

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/services/synchronizer/wish"
	"github.com/slipway-cd/slipway/shared/api"
)

func TestAnObjectSaysHowItWantsToBeTreated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key, value                        string
		ignored, left, stays, mayBeRemade bool
	}{
		{"slipway.dev/apply", "ifNotPresent", false, true, false, false},
		{"slipway.dev/apply", "ignore", true, true, true, false},
		{"slipway.dev/apply", "always", false, false, false, false},
		{"slipway.dev/prune", "disabled", false, false, true, false},
		{"slipway.dev/prune", "enabled", false, false, false, false},
		{"slipway.dev/force", "enabled", false, false, false, true},
		{"kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent", false, true, false, false},
		{"kustomize.toolkit.fluxcd.io/reconcile", "disabled", true, true, true, false},
		{"kustomize.toolkit.fluxcd.io/prune", "Disabled", false, false, true, false},
		{"kustomize.toolkit.fluxcd.io/force", "enabled", false, false, false, true},
		{"argocd.argoproj.io/hook", "Skip", true, true, false, false},
		{"helm.sh/resource-policy", "keep", false, false, true, false},
		{"argocd.argoproj.io/sync-options", "ServerSideApply=true, Prune=false", false, false, true, false},
		{"argocd.argoproj.io/sync-options", "Prune=confirm", false, false, true, false},
		{"argocd.argoproj.io/sync-options", "Delete=false", false, false, false, false},
		{"argocd.argoproj.io/sync-options", "Force=true,Replace=true", false, false, false, true},
		{"example.com/prune", "disabled", false, false, false, false},
	} {
		item := &Item{Object: &unstructured.Unstructured{Object: map[string]any{}}}
		item.Object.SetAnnotations(map[string]string{c.key: c.value})
		if item.Ignored() != c.ignored || item.leaves(state{exists: true}) != c.left || item.leaves(state{}) != c.ignored {
			t.Errorf("%s: %s is ignored %v, left %v", c.key, c.value, item.Ignored(), item.leaves(state{exists: true}))
		}
		if got := wish.By(item.Object, wish.Kept) == c.key; got != c.stays {
			t.Errorf("%s: %s stays: %v", c.key, c.value, got)
		}
		if got := wish.By(item.Object, wish.Forced) == c.key; got != c.mayBeRemade {
			t.Errorf("%s: %s may be made anew: %v", c.key, c.value, got)
		}
		// Flux reads labels, too; nobody else does.
		flux := strings.HasPrefix(c.key, "kustomize.toolkit.fluxcd.io/")
		item.Object.SetAnnotations(nil)
		item.Object.SetLabels(map[string]string{c.key: c.value})
		if item.Ignored() != (flux && c.ignored) || (wish.By(item.Object, wish.Kept) != "") != (flux && c.stays) || (wish.By(item.Object, wish.Forced) != "") != (flux && c.mayBeRemade) {
			t.Errorf("the label %s: %s is ignored %v", c.key, c.value, item.Ignored())
		}
	}
}

func TestAnObjectInTheClusterAsksToBeLeftAlone(t *testing.T) {
	t.Parallel()
	item := &Item{Object: &unstructured.Unstructured{Object: map[string]any{}}}
	for key, value := range map[string]string{"slipway.dev/apply": "ignore", "kustomize.toolkit.fluxcd.io/reconcile": "disabled"} {
		live := &unstructured.Unstructured{Object: map[string]any{}}
		if before := stateOf(live); before.left || item.leaves(before) {
			t.Errorf("one that asks nothing is left: %+v", before)
		}
		live.SetAnnotations(map[string]string{key: value})
		if before := stateOf(live); !before.left || !item.leaves(before) || before.differs(item.Kind, api.InventoryEntry{Fields: hashText(leftFields)}, "") {
			t.Errorf("%s: %s isn't left: %+v", key, value, before)
		}
		live.SetAnnotations(nil)
		if before := stateOf(live); !before.differs(item.Kind, api.InventoryEntry{Fields: hashText(leftFields)}, "") {
			t.Errorf("when it asks no more it doesn't differ: %+v", before)
		}
	}
}

func TestNobodyWaitsForWhatIsNotToBeJudged(t *testing.T) {
	t.Parallel()
	for key, value := range map[string]string{"slipway.dev/health": "ignore", "argocd.argoproj.io/ignore-healthcheck": "true"} {
		item := &Item{Object: &unstructured.Unstructured{Object: map[string]any{}}}
		if item.Unjudged() {
			t.Error("nobody waits for any object")
		}
		item.Object.SetAnnotations(map[string]string{key: value})
		hook := *item
		hook.Turn.IsHook = true
		if !item.Unjudged() || item.Ignored() || hook.Unjudged() {
			t.Errorf("%s: %s: unjudged %v, ignored %v; as a hook %v", key, value, item.Unjudged(), item.Ignored(), hook.Unjudged())
		}
	}
}
