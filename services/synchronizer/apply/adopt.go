package apply

import (
	"context"
	"encoding/json"
	"errors"
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
	if version, err = a.reassign(ctx, as, item, func(live *metav1.PartialObjectMetadata) ([]byte, error) { return Adoption(live, item.adopt) }); err != nil {
		return "", fmt.Errorf("take over its fields: %w", err)
	}
	return version, nil
}

// upgrade says of all fields of an object that whoever has them has them by the version
// that is applied. A definition may get a version with a default that a former one has no
// field for: as long as anybody has fields by that one, the API server can't apply
// (".spec.x: field not declared in schema"). It gives the version over which it may be
// sent again, or the fault.
func (a *Applier) upgrade(ctx context.Context, as Actor, item *Item, fault error) (version string, err error) {
	if !apierrors.IsInternalError(fault) && apierrors.ReasonForError(fault) != metav1.StatusReasonUnknown {
		return "", fault
	}
	version, err = a.reassign(ctx, as, item, func(live *metav1.PartialObjectMetadata) ([]byte, error) {
		fields, changed, err := kube.AtVersion(live.ManagedFields, item.Kind.GroupVersion().String())
		if err != nil || !changed {
			return nil, err
		}
		return json.Marshal(reassigned(live, fields))
	})
	if err != nil || version == "" {
		return "", fault
	}
	return version, nil
}

// reassign changes who has the fields of an object, and nothing else of it; version is
// empty where nothing changes. It is tried anew where the object changes meanwhile.
func (a *Applier) reassign(ctx context.Context, as Actor, item *Item, patchOf func(*metav1.PartialObjectMetadata) ([]byte, error)) (version string, err error) {
	const tries = 5
	for range tries {
		live, err := a.metadata(ctx, item.Resource, item.Namespace, item.Name)
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("look who has them: %w", err)
		}
		patch, err := patchOf(live)
		if err != nil || patch == nil {
			return "", err
		}
		if err := as.held(ctx); err != nil {
			return "", err
		}
		patched, err := a.resource(as.Client, item).Patch(ctx, item.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: health.FieldManager})
		if err == nil {
			return patched.GetResourceVersion(), nil
		}
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		if !apierrors.IsConflict(err) && !apierrors.IsInvalid(err) {
			return "", err
		}
	}
	return "", errors.New("it changes all the time")
}

// step is one of a JSON patch.
type step struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// unchanged has the others refused where an object is another than it was seen.
func unchanged(live *metav1.PartialObjectMetadata) step {
	return step{"test", "/metadata/resourceVersion", live.ResourceVersion}
}

// reassigned are the steps that set who has the fields of an object as it was seen.
func reassigned(live *metav1.PartialObjectMetadata, fields []metav1.ManagedFieldsEntry) []step {
	return []step{
		unchanged(live),
		{"replace", "/metadata/managedFields", fields},
	}
}

// Adoption is the JSON patch by which fields of other managers become ours; nil
// where those have none. It is refused where the object was changed meanwhile.
func Adoption(live *metav1.PartialObjectMetadata, managers []string) ([]byte, error) {
	fields, changed, err := kube.Adopted(live.ManagedFields, health.FieldManager, managers)
	if err != nil || !changed {
		return nil, err
	}
	steps := reassigned(live, fields)
	if _, there := live.Annotations[lastApplied]; there && slices.ContainsFunc(managers, func(m string) bool { return m == "kubectl-client-side-apply" }) {
		steps = append(steps, step{Op: "remove", Path: "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration"})
	}
	return json.Marshal(steps)
}
