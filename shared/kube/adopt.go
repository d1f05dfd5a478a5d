package kube

import (
	"bytes"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Adopted gives managed fields in which us, who applies, owns what some other
// managers own, and they own nothing; changed says whether that is another. What
// belongs to subresources stays, and so do the versions in which the fields are.
func Adopted(fields []metav1.ManagedFieldsEntry, us string, managers []string) (all []metav1.ManagedFieldsEntry, changed bool, err error) {
	ours := map[string]*fieldpath.Set{} // by version
	var versions []string
	for _, m := range fields {
		own := m.Manager == us && m.Operation == metav1.ManagedFieldsOperationApply
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
			return nil, false, fmt.Errorf("write the fields of manager %s: %w", us, err)
		}
		all = append(all, metav1.ManagedFieldsEntry{
			Manager: us, Operation: metav1.ManagedFieldsOperationApply, APIVersion: version, FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(string(raw)),
		})
	}
	return all, changed, nil
}
