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
		set, err := setOf(m)
		if err != nil {
			return nil, false, err
		}
		if ours[m.APIVersion] == nil {
			versions = append(versions, m.APIVersion)
			ours[m.APIVersion] = &fieldpath.Set{}
		}
		ours[m.APIVersion] = ours[m.APIVersion].Union(set)
	}
	for _, version := range versions {
		m := metav1.ManagedFieldsEntry{Manager: us, Operation: metav1.ManagedFieldsOperationApply, APIVersion: version, FieldsType: "FieldsV1"}
		if err := give(&m, ours[version]); err != nil {
			return nil, false, err
		}
		all = append(all, m)
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
		had, err := setOf(all[before])
		if err != nil {
			return nil, false, err
		}
		has, err := setOf(m)
		if err != nil {
			return nil, false, err
		}
		if err := give(&all[before], had.Union(has)); err != nil {
			return nil, false, err
		}
	}
	return all, changed, nil
}

// setOf reads the fields of an entry.
func setOf(m metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	set := &fieldpath.Set{}
	if err := set.FromJSON(bytes.NewReader(m.FieldsV1.GetRawBytes())); err != nil {
		return nil, fmt.Errorf("read the fields of manager %s: %w", m.Manager, err)
	}
	return set, nil
}

// give writes the fields of an entry.
func give(m *metav1.ManagedFieldsEntry, set *fieldpath.Set) error {
	raw, err := set.ToJSON()
	if err != nil {
		return fmt.Errorf("write the fields of manager %s: %w", m.Manager, err)
	}
	m.FieldsV1 = metav1.NewFieldsV1(string(raw))
	return nil
}
