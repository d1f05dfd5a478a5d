package apply

import (
	"encoding/json"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fieldsOf is an object of which managers have fields, each "manager operation
// fields".
func fieldsOf(entries ...string) *metav1.PartialObjectMetadata {
	live := &metav1.PartialObjectMetadata{}
	live.ResourceVersion = "7"
	live.Annotations = map[string]string{lastApplied: "{}"}
	for _, e := range entries {
		parts := strings.SplitN(e, " ", 3)
		live.ManagedFields = append(live.ManagedFields, metav1.ManagedFieldsEntry{
			Manager: parts[0], Operation: metav1.ManagedFieldsOperationType(parts[1]), APIVersion: "v1", FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(parts[2]),
		})
	}
	return live
}

func TestFieldsAreAdopted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		live     *metav1.PartialObjectMetadata
		managers []string
		want     string // managers and their fields afterwards; empty: no patch
	}{
		"nobody's":    {fieldsOf(`kubectl-edit Update {"f:data":{"f:a":{}}}`), []string{"kubectl-client-side-apply"}, ""},
		"one's":       {fieldsOf(`kubectl-client-side-apply Update {"f:data":{"f:a":{}}}`), []string{"kubectl-client-side-apply"}, `slipway Apply {"f:data":{"f:a":{}}}`},
		"with ours":   {fieldsOf(`slipway Apply {"f:data":{"f:b":{}}}`, `flux Apply {"f:data":{"f:a":{}}}`), []string{"flux"}, `slipway Apply {"f:data":{"f:a":{},"f:b":{}}}`},
		"several":     {fieldsOf(`a Update {"f:data":{"f:a":{}}}`, `b Apply {"f:data":{"f:b":{}}}`, `c Update {"f:data":{"f:c":{}}}`), []string{"a", "b"}, `c Update {"f:data":{"f:c":{}}}; slipway Apply {"f:data":{"f:a":{},"f:b":{}}}`},
		"only theirs": {fieldsOf(`slipway Apply {"f:data":{"f:b":{}}}`), []string{"slipway", "flux"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			patch, err := Adoption(c.live, c.managers)
			if err != nil {
				t.Fatal(err)
			}
			if patch == nil {
				if c.want != "" {
					t.Errorf("no patch, want %s", c.want)
				}
				return
			}
			var steps []struct {
				Op, Path string
				Value    json.RawMessage
			}
			if err := json.Unmarshal(patch, &steps); err != nil {
				t.Fatal(err)
			}
			var after []metav1.ManagedFieldsEntry
			if err := json.Unmarshal(steps[1].Value, &after); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range after {
				got = append(got, m.Manager+" "+string(m.Operation)+" "+string(m.FieldsV1.GetRawBytes()))
			}
			if strings.Join(got, "; ") != c.want {
				t.Errorf("%s, want %s", strings.Join(got, "; "), c.want)
			}
			if string(steps[0].Value) != `"7"` || steps[0].Op != "test" {
				t.Errorf("it doesn't want the version that was read: %s", patch)
			}
			if removes := strings.Contains(string(patch), "last-applied-configuration"); removes != (c.managers[0] == "kubectl-client-side-apply") {
				t.Errorf("kubectl's annotation is removed: %v", removes)
			}
		})
	}
}

func TestADriftSaysWhoChangedWhat(t *testing.T) {
	t.Parallel()
	before := fieldsOf(`slipway Apply {"f:data":{"f:kept":{}}}`, `robot Update {"f:data":{"f:color":{}}}`, `maria Update {"f:metadata":{"f:labels":{}}}`)
	now := metav1.Now()
	before.ManagedFields[2].Time = &now
	after := fieldsOf(`slipway Apply {"f:data":{"f:kept":{},"f:color":{},"f:gone":{}}}`)
	got := map[string]string{}
	for _, c := range regained(before, after) {
		got[c.Path] = c.Manager
	}
	if len(got) != 2 || got[".data.color"] != "robot" || got[".data.gone"] != "maria" {
		t.Errorf("%v", got)
	}
}
