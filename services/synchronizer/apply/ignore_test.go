package apply

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-cd/slipway/shared/api"
)

func managed(manager string, operation metav1.ManagedFieldsOperationType, text string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, FieldsV1: metav1.NewFieldsV1(text)}
}

func TestAFieldIsLeftToWhoeverElseHasIt(t *testing.T) {
	t.Parallel()
	replicas := `{"f:spec":{"f:replicas":{}}}`
	for name, c := range map[string]struct {
		managed []metav1.ManagedFieldsEntry
		pointer string
		want    bool
	}{
		"an autoscaler has it":  {[]metav1.ManagedFieldsEntry{managed("kube-controller-manager", metav1.ManagedFieldsOperationUpdate, replicas)}, "/spec/replicas", true},
		"we alone":              {[]metav1.ManagedFieldsEntry{managed("slipway", metav1.ManagedFieldsOperationApply, replicas)}, "/spec/replicas", false},
		"both":                  {[]metav1.ManagedFieldsEntry{managed("slipway", metav1.ManagedFieldsOperationApply, replicas), managed("kubectl", metav1.ManagedFieldsOperationUpdate, replicas)}, "/spec/replicas", true},
		"another field":         {[]metav1.ManagedFieldsEntry{managed("kubectl", metav1.ManagedFieldsOperationUpdate, `{"f:spec":{"f:paused":{}}}`)}, "/spec/replicas", false},
		"something below":       {[]metav1.ManagedFieldsEntry{managed("kubectl", metav1.ManagedFieldsOperationUpdate, `{"f:data":{"f:a/b":{}}}`)}, "/data", true},
		"a key with a slash":    {[]metav1.ManagedFieldsEntry{managed("kubectl", metav1.ManagedFieldsOperationUpdate, `{"f:metadata":{"f:annotations":{"f:a/b~c":{}}}}`)}, "/metadata/annotations/a~1b~0c", true},
		"what can't be read":    {[]metav1.ManagedFieldsEntry{managed("kubectl", metav1.ManagedFieldsOperationUpdate, `[]`)}, "/spec/replicas", false},
		"nobody":                {nil, "/spec/replicas", false},
		"a leaf that is a list": {[]metav1.ManagedFieldsEntry{managed("kubectl", metav1.ManagedFieldsOperationUpdate, `{"f:spec":{"f:replicas":null}}`)}, "/spec/replicas/x", false},
	} {
		live := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ManagedFields: c.managed}}
		field := api.Ignore{Kind: "x", Paths: []string{c.pointer}}.Fields()[0]
		if got := othersSet(live, field); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
