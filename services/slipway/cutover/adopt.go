package cutover

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// manager is who applies for us; see the synchronizer's health.FieldManager.
const manager = "slipway"

// adopted gives managed fields in which we own what some managers own, and they
// own nothing; changed says whether that is another. What belongs to
// subresources stays.
func adopted(fields []metav1.ManagedFieldsEntry, managers []string) (all []metav1.ManagedFieldsEntry, changed bool, err error) {
	ours := map[string]*fieldpath.Set{} // by version
	var versions []string
	for _, m := range fields {
		own := m.Manager == manager && m.Operation == metav1.ManagedFieldsOperationApply
		theirs := slices.Contains(managers, m.Manager)
		if m.Subresource != "" || !own && !theirs || m.FieldsV1 == nil {
			all = append(all, m)
			continue
		}
		changed = changed || !own
		set := &fieldpath.Set{}
		if err := set.FromJSON(bytes.NewReader(m.FieldsV1.GetRawBytes())); err != nil {
			return nil, false, fmt.Errorf("read the fields of manager %s: %w", m.Manager, err)
		}
		if ours[m.APIVersion] == nil {
			versions = append(versions, m.APIVersion)
			ours[m.APIVersion] = &fieldpath.Set{}
		}
		ours[m.APIVersion] = ours[m.APIVersion].Union(set)
	}
	for _, version := range versions {
		raw, err := ours[version].ToJSON()
		if err != nil {
			return nil, false, fmt.Errorf("write our fields: %w", err)
		}
		all = append(all, metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: version, FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(string(raw)),
		})
	}
	return all, changed, nil
}

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
		fields, changed, err := adopted(live.GetManagedFields(), managers)
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
