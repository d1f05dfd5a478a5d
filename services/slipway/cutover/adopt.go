package cutover

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-cd/slipway/shared/kube"
)

// manager is who applies for us; see the synchronizer's health.FieldManager.
const manager = "slipway"

// adopt lets us own what the managers own of an object. It looks again when
// somebody changes it in between.
func adopt(ctx context.Context, o object, managers []string) (changed bool, err error) {
	const tries = 10
	for range tries {
		var live *unstructured.Unstructured
		if live, err = o.get(ctx); err != nil {
			return false, err
		}
		if live == nil {
			return false, nil
		}
		fields, changed, err := kube.Adopted(live.GetManagedFields(), manager, managers)
		if err != nil || !changed {
			return false, err
		}
		patch, err := json.Marshal([]map[string]any{
			{"op": "replace", "path": "/metadata/managedFields", "value": fields},
			{"op": "replace", "path": "/metadata/resourceVersion", "value": live.GetResourceVersion()},
		})
		if err != nil {
			return false, err
		}
		_, err = o.at.Patch(ctx, o.name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: manager})
		if err == nil {
			return true, nil
		}
		if !apierrors.IsConflict(err) {
			return false, err
		}
	}
	return false, fmt.Errorf("it is changed all the time: %w", err)
}
