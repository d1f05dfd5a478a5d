package sync

import (
	"slices"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

func TestWhoHasAnObjectIsFound(t *testing.T) {
	t.Parallel()
	entry := func(name, to string) api.InventoryEntry {
		return api.InventoryEntry{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: name, To: to}
	}
	status := func(cluster string, entries ...api.InventoryEntry) *api.ApplicationStatus {
		return &api.ApplicationStatus{Destination: &api.ClusterReference{Name: cluster}, Inventory: entries}
	}
	h := newHolders()
	settings := identity{"local", "", "ConfigMap", "shop", "settings"}
	for i, step := range []struct {
		key  string
		s    *api.ApplicationStatus
		want []string
	}{
		{"a", status("local", entry("settings", ""), entry("more", "")), []string{"a"}},
		{"a", status("local", entry("settings", "")), []string{"a"}},
		{"b", status("local", entry("settings", "")), []string{"a", "b"}},
		{"c", status("other", entry("settings", "")), []string{"a", "b"}},
		{"a", status("local", entry("settings", "local/shop/b")), []string{"b"}},
		{"b", nil, nil},
		{"b", &api.ApplicationStatus{Inventory: []api.InventoryEntry{entry("settings", "")}}, nil}, // nothing says where
		{"c", nil, nil},
	} {
		h.set(step.key, step.s)
		if got := h.of[settings.hash()]; !slices.Equal(got, step.want) {
			t.Errorf("%d: %v have it, want %v", i, got, step.want)
		}
	}
	if len(h.objects)+len(h.of) != 0 {
		t.Errorf("something is left: %+v", h)
	}
}
