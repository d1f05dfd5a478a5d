package diff

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/services/synchronizer/apply"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestWhatTheClusterKeepsForItselfIsNoDifference(t *testing.T) {
	t.Parallel()
	live := object(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, uid: "1", resourceVersion: "2", generation: 3, creationTimestamp: "2026-01-01T00:00:00Z", managedFields: [{manager: x}]}, status: {a: 1}, data: {k: v}}`)
	then := object(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, resourceVersion: "9", annotations: {slipway.dev/owner: c/n/a}}, data: {k: v}}`)
	if c := (Change{Action: Unchanged, Kind: "ConfigMap", Name: "a"}).compare(live, then, newMasks()); c.Action != Unchanged || c.Diff != "" {
		t.Errorf("it is %s:\n%s", c.Action, c.Diff)
	}
	then.Object["data"].(map[string]any)["k"] = "w"
	c := (Change{Action: Unchanged, Kind: "ConfigMap", Name: "a"}).compare(live, then, newMasks())
	if want := "--- cluster/ConfigMap/a\n+++ git/ConfigMap/a\n@@ -1,6 +1,6 @@\n apiVersion: v1\n data:\n-  k: v\n+  k: w\n kind: ConfigMap\n metadata:\n   name: a\n"; c.Diff != want || c.Action != Changed {
		t.Errorf("it is %s:\n%s\nwant\n%s", c.Action, c.Diff, want)
	}
}

func TestAnotherToolsMarksMayGo(t *testing.T) {
	t.Parallel()
	const live = `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {tool.example.com/name: x, app: a}, annotations: {tool.example.com/sum: y}}}`
	for then, want := range map[string]Action{
		`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {app: a}}}`:                                          Unchanged,
		`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {app: a, tool.example.com/name: x}}}`:                Unchanged,
		`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {app: a, tool.example.com/name: z}}}`:                Changed,
		`{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`:                                                            Changed,
		`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {app: a}, annotations: {b: c}}}`:                     Changed,
		`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {app: a}, annotations: {slipway.dev/owner: c/n/a}}}`: Unchanged,
	} {
		trial := apply.Trial{Live: object(t, live), Then: object(t, then)}
		forget(&trial, []string{"tool.example.com/"})
		if c := (Change{Action: Unchanged}).compare(trial.Live, trial.Then, newMasks()); c.Action != want {
			t.Errorf("%s is %s:\n%s", then, c.Action, c.Diff)
		}
	}
}

func TestAnOwnerIsKnownWhateverItsClusterIsCalled(t *testing.T) {
	t.Parallel()
	for owner, want := range map[string]bool{"north/shop/web": true, "south/shop/web": true, "north/shop/api": false, "shop/web": false, "": false} {
		if got := (Owner{Namespace: "shop", Name: "web"}).Mine(owner); got != want {
			t.Errorf("%q: %v", owner, got)
		}
		if !(Owner{}).Mine(owner) {
			t.Errorf("%q isn't a folder's", owner)
		}
	}
	if (Change{Kind: "Deployment", Group: "apps", Namespace: "a", Name: "b"}).path() != "apps/Deployment/a/b" || !strings.Contains(Change{Kind: "Pod", Name: "b"}.String(), "Pod b") {
		t.Error("names are wrong")
	}
}
