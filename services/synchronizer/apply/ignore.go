package apply

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/api"
)

// leave notes which of the item's fields others may set.
func (i *Item) leave(rules []api.Ignore) {
	for _, r := range rules {
		if r.Kind == i.Kind.Kind && (r.Group == "" || r.Group == i.Kind.Group) && (r.Name == "" || r.Name == i.Name) {
			i.left = append(i.left, r.Fields()...)
		}
	}
}

// withoutOthers is the object without those of its fields that others may set
// and have set. As long as nobody has, what Git says is sent: a field that is no
// longer sent, and is nobody else's, would go back to its default.
func (a *Applier) withoutOthers(ctx context.Context, item *Item) (*unstructured.Unstructured, error) {
	if len(item.left) == 0 {
		return item.Object, nil
	}
	live, err := a.metadata(ctx, item.Resource, item.Namespace, item.Name)
	if apierrors.IsNotFound(err) {
		return item.Object, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look who sets its fields: %w", err)
	}
	object := item.Object.DeepCopy()
	for _, field := range item.left {
		if othersSet(live, field) {
			unstructured.RemoveNestedField(object.Object, field...)
		}
	}
	return object, nil
}

// othersSet says whether another manager than us has a field, or something below
// it.
func othersSet(live *metav1.PartialObjectMetadata, field []string) bool {
	for _, m := range live.ManagedFields {
		if m.Manager == health.FieldManager && m.Operation == metav1.ManagedFieldsOperationApply || m.FieldsV1 == nil {
			continue
		}
		var tree map[string]any
		if json.Unmarshal(m.FieldsV1.GetRawBytes(), &tree) != nil {
			continue
		}
		found := true
		for _, key := range field {
			if tree, found = tree["f:"+key].(map[string]any); !found {
				break
			}
		}
		if found {
			return true
		}
	}
	return false
}
