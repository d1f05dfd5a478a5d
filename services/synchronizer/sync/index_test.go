package sync

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

func TestTouched(t *testing.T) {
	t.Parallel()
	x := newIndex()
	x.set("shop/web", []string{"apps/web"})
	x.set("shop/kust", []string{"apps/kust/kustomization.yaml", "base/a.yaml"})
	x.set("shop/root", []string{"."})
	x.set("shop/gone", []string{"apps/web"})
	x.drop("shop/gone")
	for changed, want := range map[string][]string{
		"apps/web/deep/x.yaml": {"shop/root", "shop/web"},
		"apps/webby/x.yaml":    {"shop/root"},
		"base/a.yaml":          {"shop/kust", "shop/root"},
		"base/b.yaml":          {"shop/root"},
	} {
		if got := slices.Sorted(maps.Keys(x.touched([]string{changed}))); !slices.Equal(got, want) {
			t.Errorf("%s touches %q, not %q", changed, got, want)
		}
	}
	x.set("shop/web", []string{"elsewhere"})
	if got := x.touched([]string{"apps/web/x"}); len(got) != 1 {
		t.Errorf("old inputs still count: %v", got)
	}
	if len(x.touched(nil)) != 0 || x.knows("shop/gone") || !x.knows("shop/web") {
		t.Error("the index is confused")
	}
}

func BenchmarkTouchedOneOfAThousand(b *testing.B) {
	x := newIndex()
	for i := range 1000 {
		x.set(fmt.Sprintf("shop/a%04d", i), []string{fmt.Sprintf("apps/a%04d", i), fmt.Sprintf("base/%d/kustomization.yaml", i%10)})
	}
	for b.Loop() {
		if len(x.touched([]string{"apps/a0500/deployment.yaml"})) != 1 {
			b.Fatal("not exactly one")
		}
	}
}
