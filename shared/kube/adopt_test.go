package kube_test

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-cd/slipway/shared/kube"
)

func entry(manager string, op metav1.ManagedFieldsOperationType, version, sub, fields string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{
		Manager: manager, Operation: op, APIVersion: version, Subresource: sub, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
	}
}

func same(t *testing.T, name string, got, want []metav1.ManagedFieldsEntry) {
	t.Helper()
	is, _ := json.Marshal(got)
	wanted, _ := json.Marshal(want)
	if string(is) != string(wanted) {
		t.Errorf("%s: it is\n%s\nwant\n%s", name, is, wanted)
	}
}

func TestWhatOthersOwnedBecomesOurs(t *testing.T) {
	t.Parallel()
	const apply, update = metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	for name, c := range map[string]struct {
		before, after []metav1.ManagedFieldsEntry
		changed       bool
	}{
		"nobody of theirs": {
			[]metav1.ManagedFieldsEntry{entry("slipway", apply, "v1", "", `{"f:data":{"f:a":{}}}`), entry("hpa", update, "v1", "", `{"f:data":{"f:b":{}}}`)},
			[]metav1.ManagedFieldsEntry{entry("hpa", update, "v1", "", `{"f:data":{"f:b":{}}}`), entry("slipway", apply, "v1", "", `{"f:data":{"f:a":{}}}`)},
			false,
		},
		"applied and updated": {
			[]metav1.ManagedFieldsEntry{
				entry("theirs", apply, "v1", "", `{"f:data":{"f:a":{}}}`), entry("old", update, "v1", "", `{"f:data":{"f:b":{}}}`),
				entry("slipway", apply, "v1", "", `{"f:data":{"f:c":{}}}`), entry("theirs", update, "v1", "status", `{"f:status":{}}`),
			},
			[]metav1.ManagedFieldsEntry{
				entry("theirs", update, "v1", "status", `{"f:status":{}}`), entry("slipway", apply, "v1", "", `{"f:data":{"f:a":{},"f:b":{},"f:c":{}}}`),
			},
			true,
		},
		"in two versions": {
			[]metav1.ManagedFieldsEntry{entry("theirs", apply, "v1", "", `{"f:data":{"f:a":{}}}`), entry("old", update, "v1beta1", "", `{"f:data":{"f:b":{}}}`)},
			[]metav1.ManagedFieldsEntry{entry("slipway", apply, "v1", "", `{"f:data":{"f:a":{}}}`), entry("slipway", apply, "v1beta1", "", `{"f:data":{"f:b":{}}}`)},
			true,
		},
	} {
		got, changed, err := kube.Adopted(c.before, "slipway", []string{"theirs", "old"})
		if err != nil || changed != c.changed {
			t.Errorf("%s: changed %v, %v", name, changed, err)
		}
		same(t, name, got, c.after)
	}
	if _, _, err := kube.Adopted([]metav1.ManagedFieldsEntry{entry("theirs", apply, "v1", "", `{"x`)}, "slipway", []string{"theirs"}); err == nil {
		t.Error("fields that can't be read are taken")
	}
}

func TestFieldsBecomeThoseOfOneVersion(t *testing.T) {
	t.Parallel()
	const apply, update = metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	for name, c := range map[string]struct {
		before, after []metav1.ManagedFieldsEntry
		changed       bool
	}{
		"they are": {
			[]metav1.ManagedFieldsEntry{entry("a", apply, "x/v1", "", `{"f:a":{}}`), entry("a", update, "x/v1", "status", `{"f:b":{}}`)},
			[]metav1.ManagedFieldsEntry{entry("a", apply, "x/v1", "", `{"f:a":{}}`), entry("a", update, "x/v1", "status", `{"f:b":{}}`)},
			false,
		},
		"somebody else's isn't": {
			[]metav1.ManagedFieldsEntry{entry("a", apply, "x/v1", "", `{"f:a":{}}`), entry("b", update, "x/v1beta1", "status", `{"f:b":{}}`)},
			[]metav1.ManagedFieldsEntry{entry("a", apply, "x/v1", "", `{"f:a":{}}`), entry("b", update, "x/v1", "status", `{"f:b":{}}`)},
			true,
		},
		"one has both": {
			[]metav1.ManagedFieldsEntry{entry("a", update, "x/v1", "", `{"f:a":{}}`), entry("a", apply, "x/v1", "", `{"f:c":{}}`), entry("a", update, "x/v1beta1", "", `{"f:b":{}}`)},
			[]metav1.ManagedFieldsEntry{entry("a", update, "x/v1", "", `{"f:a":{},"f:b":{}}`), entry("a", apply, "x/v1", "", `{"f:c":{}}`)},
			true,
		},
	} {
		got, changed, err := kube.AtVersion(c.before, "x/v1")
		if err != nil || changed != c.changed {
			t.Errorf("%s: changed %v, %v", name, changed, err)
		}
		same(t, name, got, c.after)
	}
	if _, _, err := kube.AtVersion([]metav1.ManagedFieldsEntry{entry("a", apply, "x/v1", "", `{}`), entry("a", apply, "x/v2", "", `{"x`)}, "x/v1"); err == nil {
		t.Error("fields that can't be read are taken")
	}
}
