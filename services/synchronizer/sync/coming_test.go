package sync

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestWhatAnApplicationIsToBe(t *testing.T) {
	t.Parallel()
	read := func(text string) *unstructured.Unstructured {
		data, err := yaml.YAMLToJSON([]byte("apiVersion: slipway.dev/v1alpha1\nkind: Application\n" + text))
		u := &unstructured.Unstructured{}
		if err == nil {
			err = u.UnmarshalJSON(data)
		}
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	is := read("metadata: {name: web, labels: {a: b}, annotations: {slipway.dev/owner: local/slipway-system/root}}\n" +
		"spec: {source: {path: apps/web}, sync: {maxPrune: 2, timeout: 5m}}\nstatus: {revision: abc}\n")
	for name, c := range map[string]struct {
		meant string
		same  bool
	}{
		"the same, in another order":          {"metadata: {name: web}\nspec: {sync: {timeout: 5m, maxPrune: 2}, source: {path: apps/web}}\n", true},
		"a person asks for a sync":            {"metadata: {name: web, annotations: {slipway.dev/sync: now}}\nspec: {source: {path: apps/web}, sync: {maxPrune: 2, timeout: 5m}}\n", true},
		"another path":                        {"metadata: {name: web}\nspec: {source: {path: apps/other}, sync: {maxPrune: 2, timeout: 5m}}\n", false},
		"nothing is pruned":                   {"metadata: {name: web}\nspec: {source: {path: apps/web}, sync: {maxPrune: 2, timeout: 5m, prune: false}}\n", false},
		"it is suspended":                     {"metadata: {name: web, annotations: {slipway.dev/suspend: why}}\nspec: {source: {path: apps/web}, sync: {maxPrune: 2, timeout: 5m}}\n", false},
		"it is suspended, nobody says why":    {"metadata: {name: web, annotations: {slipway.dev/suspend: \"\"}}\nspec: {source: {path: apps/web}, sync: {maxPrune: 2, timeout: 5m}}\n", false},
		"it says nothing of what it is to be": {"metadata: {name: web}\n", false},
	} {
		if got := hashOf(read(c.meant)) == hashOf(is); got != c.same {
			t.Errorf("%s: same is %t", name, got)
		}
	}
}
