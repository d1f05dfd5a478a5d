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

// AtVersion gives managed fields that are all of one version of their object's kind;
// changed says whether that is another. Fields that the versions call differently count
// as nobody's until they are written again.
func AtVersion(fields []metav1.ManagedFieldsEntry, version string) (all []metav1.ManagedFieldsEntry, changed bool, err error) {
	type manager struct {
		name, subresource string
		operation         metav1.ManagedFieldsOperationType
	}
	at := map[manager]int{}
	for _, m := range fields {
		changed = changed || m.APIVersion != version
		m.APIVersion = version
		key := manager{m.Manager, m.Subresource, m.Operation}
		before, twice := at[key]
		if !twice || m.FieldsV1 == nil || all[before].FieldsV1 == nil {
			at[key] = len(all)
			all = append(all, m)
			continue
		}
		if all[before].FieldsV1, err = union(all[before].FieldsV1, m.FieldsV1); err != nil {
			return nil, false, fmt.Errorf("read the fields of manager %s: %w", m.Manager, err)
		}
	}
	return all, changed, nil
}

func union(a, b *metav1.FieldsV1) (*metav1.FieldsV1, error) {
	var x, y fieldpath.Set
	if err := x.FromJSON(bytes.NewReader(a.GetRawBytes())); err != nil {
		return nil, err
	}
	if err := y.FromJSON(bytes.NewReader(b.GetRawBytes())); err != nil {
		return nil, err
	}
	raw, err := x.Union(&y).ToJSON()
	if err != nil {
		return nil, err
	}
	return metav1.NewFieldsV1(string(raw)), nil
}
