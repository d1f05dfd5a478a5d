package apply

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestADefinitionIsServedOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	for conditions, want := range map[string]string{
		`[]`: "waits",
		`[{"type":"NamesAccepted","status":"True"},{"type":"Established","status":"False","reason":"Installing"}]`:                                             "waits",
		`[{"type":"NamesAccepted","status":"True"},{"type":"Established","status":"True"}]`:                                                                    "served",
		`[{"type":"NamesAccepted","status":"False","reason":"KindConflict","message":"taken"},{"type":"Established","status":"False","reason":"NotAccepted"}]`: "it isn't: taken (KindConflict)",
		`[{"type":"NamesAccepted","status":"False","reason":"ListKindConflict","message":"taken"},{"type":"Established","status":"True"}]`:                     "served", // by the names that it had
		`[{"type":"Established","status":"False","reason":"InvalidCABundle","message":"broken"}]`:                                                              "it isn't: broken (InvalidCABundle)",
		`[{"type":"NonStructuralSchema","status":"True"}]`:                                                                                                     "waits",
	} {
		u := &unstructured.Unstructured{}
		if err := json.Unmarshal([]byte(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","status":{"conditions":`+conditions+`}}`), u); err != nil {
			t.Fatal(err)
		}
		done, err := established(u)
		got := "waits"
		switch {
		case done:
			got = "served"
		case err != nil:
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, not %s", conditions, got, want)
		}
	}
}
