package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/kube"
)

// lastApplied is where kubectl keeps what it applied: it would take it for its
// own again.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// adopt makes the fields of other managers ours, so that what they set and Git
// doesn't have goes with the next apply. Without managers, or where they have
// nothing, it does nothing.
func (a *Applier) adopt(ctx context.Context, as Actor, item *Item) (version string, err error) {
	if len(item.adopt) == 0 || item.dry {
		return "", nil
	}
	const tries = 5
	for range tries {
		live, err := a.metadata(ctx, item.Resource, item.Namespace, item.Name)
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("look who has its fields: %w", err)
		}
		patch, err := Adoption(live, item.adopt)
		if err != nil || patch == nil {
			return "", err
		}
		if err := as.held(ctx); err != nil {
			return "", err
		}
		adopted, err := a.resource(as.Client, item).Patch(ctx, item.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: health.FieldManager})
		if err == nil {
			return adopted.GetResourceVersion(), nil
		}
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		if !apierrors.IsConflict(err) && !apierrors.IsInvalid(err) {
			return "", fmt.Errorf("take over its fields: %w", err)
		}
	}
	return "", fmt.Errorf("take over its fields: it changes all the time")
}

// Adoption is the JSON patch by which fields of other managers become ours; nil
// where those have none. It is refused where the object was changed meanwhile.
func Adoption(live *metav1.PartialObjectMetadata, managers []string) ([]byte, error) {
	fields, changed, err := kube.Adopted(live.ManagedFields, health.FieldManager, managers)
	if err != nil || !changed {
		return nil, err
	}
	type step struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value,omitempty"`
	}
	steps := []step{
		{"test", "/metadata/resourceVersion", live.ResourceVersion},
		{"replace", "/metadata/managedFields", fields},
	}
	if _, there := live.Annotations[lastApplied]; there && slices.ContainsFunc(managers, func(m string) bool { return m == "kubectl-client-side-apply" }) {
		steps = append(steps, step{Op: "remove", Path: "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration"})
	}
	return json.Marshal(steps)
}
