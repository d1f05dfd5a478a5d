package sync

import (
	"slices"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

func TestWhatGoesOverStaysInTheInventory(t *testing.T) {
	t.Parallel()
	entry := func(name, to string) api.InventoryEntry {
		return api.InventoryEntry{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: name, State: api.Applied, UID: name, To: to}
	}
	before := []api.InventoryEntry{entry("kept", ""), entry("deleted", ""), entry("going", ""), entry("again", "local/shop/a")}
	after := pruned{dropped: before[1:2], going: []api.InventoryEntry{entry("going", "local/shop/a"), entry("again", "local/shop/b")}}.left(before)
	want := []api.InventoryEntry{entry("kept", ""), entry("going", "local/shop/a"), entry("again", "local/shop/b")}
	if !slices.Equal(after, want) {
		t.Errorf("%+v", after)
	}
	if before[2].To != "" {
		t.Error("the inventory of before is another")
	}
	if got := leaving(after); !slices.Equal(got, want[1:]) {
		t.Errorf("leaving %+v", got)
	}
}

func TestLinksAreFoundFromBothEnds(t *testing.T) {
	t.Parallel()
	l := newLinks()
	steps := []struct {
		key     string
		on      []string
		changed bool
		of      string
		want    []string
	}{
		{"a", []string{"x", "y"}, true, "x", []string{"a"}},
		{"b", []string{"x"}, true, "x", []string{"a", "b"}},
		{"a", []string{"x", "y"}, false, "y", []string{"a"}},
		{"a", []string{"y"}, true, "x", []string{"b"}},
		{"b", nil, true, "x", nil},
		{"b", nil, false, "y", []string{"a"}},
		{"a", nil, true, "y", nil},
	}
	for i, s := range steps {
		if changed := l.set(s.key, s.on); changed != s.changed {
			t.Errorf("%d: changed %v", i, changed)
		}
		if got := slices.Sorted(slices.Values(l.back(s.of))); !slices.Equal(got, s.want) {
			t.Errorf("%d: to %s lead %v", i, s.of, got)
		}
	}
	if len(l.on)+len(l.from) != 0 {
		t.Errorf("something is left: %+v", l)
	}
}
