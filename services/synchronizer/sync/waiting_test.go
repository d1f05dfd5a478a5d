package sync

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Whose kind is no longer watched has to look by itself, and nobody else does.
func TestWhoGuardsAKindIsFoundByIt(t *testing.T) {
	t.Parallel()
	boats, maps := schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "boats"}, schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	a := &applications{waiting: map[string]map[string]bool{}, guarded: map[string]map[schema.GroupVersionResource]bool{}}
	a.setGuarded("shop/harbour", map[schema.GroupVersionResource]bool{boats: true, maps: true})
	a.setGuarded("shop/web", map[schema.GroupVersionResource]bool{maps: true})
	a.setGuarded("shop/empty", map[schema.GroupVersionResource]bool{})
	if got := a.guardedOf(boats); !slices.Equal(got, []string{"shop/harbour"}) {
		t.Errorf("boats are guarded by %q", got)
	}
	if got := a.guardedOf(maps); len(got) != 2 {
		t.Errorf("config maps are guarded by %q", got)
	}
	a.setGuarded("shop/harbour", nil)
	if got := a.guardedOf(boats); len(got) != 0 || a.isWatched("shop/harbour") || !a.isWatched("shop/empty") {
		t.Errorf("boats are still guarded by %q", got)
	}
}
