package apply

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/api"
)

func TestInventoryKeepsWhatIsGoneUntilItIsPruned(t *testing.T) {
	t.Parallel()
	before := []api.InventoryEntry{
		{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "kept", State: api.Applied, UID: "1"},
		{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "gone", State: api.Applied, UID: "2"},
	}
	item := func(name string) *Item {
		return &Item{
			Kind: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, Namespace: "shop", Name: name,
			Object: &unstructured.Unstructured{Object: map[string]any{}},
		}
	}
	items := []*Item{item("new"), item("kept")}
	union := Union(items, before)
	if len(union) != 3 || union[0].State != api.Intended || union[1].State != api.Applied || union[1].UID != "1" || union[2].Name != "gone" {
		t.Errorf("union %+v", union)
	}
	items[1].Object = &unstructured.Unstructured{Object: map[string]any{}}
	items[1].Object.SetAnnotations(map[string]string{"slipway.dev/force": "enabled"})
	if union = Union(items, before); union[1].State != api.Applied || union[1].UID != "" {
		t.Errorf("%+v: it may be another object by the time we are killed", union[1])
	}
	if gone := Gone(before, items); len(gone) != 1 || gone[0].Name != "gone" {
		t.Errorf("gone %+v", gone)
	}
}

func TestOnlyWhatIsOursIsPruned(t *testing.T) {
	t.Parallel()
	ours := []metav1.ManagedFieldsEntry{{
		Manager: health.FieldManager, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(`{"f:data":{}}`),
	}}
	tests := []struct {
		name   string
		owner  string
		fields []metav1.ManagedFieldsEntry
		uid    string
		may    bool
	}{
		{"ours", "a/b/c", ours, "1", true},
		{"made by hand", "", nil, "1", false},
		{"another's", "a/b/d", ours, "1", false},
		{"annotation copied by hand", "a/b/c", nil, "1", false},
		{"made anew", "a/b/c", ours, "2", false},
	}
	for _, tt := range tests {
		live := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Annotations: map[string]string{health.OwnerAnnotation: tt.owner}, ManagedFields: tt.fields, UID: types.UID(tt.uid),
		}}
		if why := notOurs(live, func(owner string) bool { return owner == "a/b/c" }, api.InventoryEntry{UID: "1"}); (why == "") != tt.may {
			t.Errorf("%s: %q", tt.name, why)
		}
	}
}

// What was applied last is deleted first, and Applications before all that they may
// need; namespaces and definitions go at the end, whatever their stage.
func TestPruningIsTheOrderOfApplyingBackwards(t *testing.T) {
	t.Parallel()
	entry := func(group, kind, name string, stage int) api.InventoryEntry {
		return api.InventoryEntry{Group: group, Version: "v1", Kind: kind, Name: name, Stage: stage}
	}
	batches := batchesOf([]api.InventoryEntry{
		entry("", "Namespace", "shop", 0), entry("apiextensions.k8s.io", "CustomResourceDefinition", "foos", 0), entry("", "Node", "wide", 0),
		entry("", "ConfigMap", "early", -1), entry("", "Service", "one", 0), entry("", "Secret", "two", 0),
		entry(api.Group, api.ApplicationKind, "database", 0), entry("", "Foo", "late", 2), entry(api.Group, api.ApplicationKind, "web", 1),
	})
	var got []string
	for i, b := range batches {
		name := ""
		for _, e := range b.entries {
			name += e.Name + " "
		}
		got = append(got, fmt.Sprint(name, b.holds(batches[i+1:], false), " ", b.holds(batches[i+1:], true)))
	}
	want := []string{"web false true", "database true true", "late false true", "two one false true", "early false true", "wide false true", "foos shop false false"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if batchesOf(nil) != nil {
		t.Error("nothing is pruned in a batch")
	}
}
