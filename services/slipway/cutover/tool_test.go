package cutover

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/shared/api"
)

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestTheirDeletionIsMadeHarmless(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tool         Tool
		object, want string
	}{
		{Flux, `{metadata: {finalizers: [finalizers.fluxcd.io]}, spec: {prune: true}}`, `{"metadata":{"finalizers":null},"spec":{"prune":false}}`},
		{Flux, `{metadata: {finalizers: [a, finalizers.fluxcd.io]}, spec: {prune: false}}`, `{"metadata":{"finalizers":["a"]}}`},
		{Flux, `{metadata: {}, spec: {}}`, `{}`},
		{ArgoCD, `{metadata: {finalizers: [resources-finalizer.argocd.argoproj.io/background, a]}}`, `{"metadata":{"finalizers":["a"]}}`},
		{ArgoCD, `{metadata: {finalizers: [post-delete-finalizer.argocd.argoproj.io]}}`, `{"metadata":{"finalizers":null}}`},
	} {
		got, err := json.Marshal(c.tool.harmless(parse(t, c.object)))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v, want %s", c.object, got, err, c.want)
		}
	}
}

func TestWhoLeavesAnApplicationAloneIsKnown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tool   Tool
		object string
		want   bool
	}{
		{Flux, `{spec: {suspend: true}}`, true},
		{Flux, `{spec: {}}`, false},
		{ArgoCD, `{spec: {syncPolicy: {automated: {}}}}`, false},
		{ArgoCD, `{spec: {syncPolicy: {automated: {enabled: false}}}}`, true},
		{ArgoCD, `{spec: {}}`, true},
		{ArgoCD, `{kind: ApplicationSet, spec: {syncPolicy: {applicationsSync: create-only}}}`, false},
		{ArgoCD, `{metadata: {annotations: {argocd-image-updater.argoproj.io/image-list: a}}, spec: {}}`, false},
	} {
		u := parse(t, c.object)
		if got := c.tool.suspended(u); got != c.want {
			t.Errorf("%s: %v", c.object, got)
		}
		if _, err := c.tool.suspend(u); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatTheyAppliedIsRead(t *testing.T) {
	t.Parallel()
	flux := fluxInventory(parse(t, `{status: {inventory: {entries: [{id: shop_web_apps_Deployment, v: v1}, {id: _a__b_rbac.authorization.k8s.io_ClusterRole, v: v1}, {id: odd}, 7]}}}`))
	if got, want := names(flux), "[Deployment shop/web ClusterRole a:b]"; got != want {
		t.Errorf("Flux: %s, want %s", got, want)
	}
	argo := argoInventory(parse(t, `{status: {resources: [{group: apps, version: v1, kind: Deployment, namespace: shop, name: web}, {kind: Job, hook: true}, {kind: ConfigMap, requiresPruning: true}, 7]}}`))
	if got, want := names(argo), "[Deployment shop/web]"; got != want {
		t.Errorf("Argo CD: %s, want %s", got, want)
	}
}

func TestWhoWouldBringItBackIsKnown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tool         Tool
		object, want string
	}{
		{Flux, `{kind: Kustomization, metadata: {name: a, namespace: b, labels: {kustomize.toolkit.fluxcd.io/name: root, kustomize.toolkit.fluxcd.io/namespace: flux}}}`, "flux/root"},
		{Flux, `{kind: Kustomization, metadata: {name: a, namespace: b, labels: {kustomize.toolkit.fluxcd.io/name: a, kustomize.toolkit.fluxcd.io/namespace: b}}}`, "/"},
		{Flux, `{kind: Kustomization, metadata: {name: a, namespace: b}}`, "/"},
		{ArgoCD, `{metadata: {name: a, namespace: b, annotations: {argocd.argoproj.io/tracking-id: "root:argoproj.io/Application:b/a"}}}`, "b/root"},
		{ArgoCD, `{metadata: {name: a, namespace: b, annotations: {argocd.argoproj.io/tracking-id: "team_root:argoproj.io/Application:b/a"}}}`, "team/root"},
		{ArgoCD, `{metadata: {name: a, namespace: b, ownerReferences: [{kind: ApplicationSet, name: many}], annotations: {argocd.argoproj.io/tracking-id: "root:argoproj.io/Application:b/a"}}}`, "b/many"},
		{ArgoCD, `{metadata: {name: a, namespace: b}}`, "b/"},
	} {
		_, namespace, name := c.tool.parent(parse(t, c.object))
		if got := namespace + "/" + name; got != c.want {
			t.Errorf("%s: %s, want %s", c.object, got, c.want)
		}
	}
}

func TestWhoGoesOnWritingImagesIsKnown(t *testing.T) {
	t.Parallel()
	application := parse(t, `{metadata: {name: web, namespace: argocd, labels: {team: shop}}}`)
	for refs, want := range map[string]bool{
		`[{namePattern: web}]`:                                                                                     true,
		`[{namePattern: api}, {namePattern: "w*"}]`:                                                                true,
		`[{namePattern: api}]`:                                                                                     false,
		`[{namePattern: "*", useAnnotations: true}]`:                                                               false,
		`[{namePattern: "["}, 7]`:                                                                                  false,
		`[{namePattern: "*", labelSelectors: {matchLabels: {team: shop}}}]`:                                        true,
		`[{namePattern: "*", labelSelectors: {matchLabels: {team: else}}}]`:                                        false,
		`[{namePattern: "*", labelSelectors: {matchExpressions: [{key: team, operator: Exists}]}}]`:                true,
		`[{namePattern: "*", labelSelectors: {matchExpressions: [{key: team, operator: Odd}]}}]`:                   true,
		`[{namePattern: "*", labelSelectors: {matchExpressions: [{key: team, operator: NotIn, values: [shop]}]}}]`: false,
	} {
		if got := updates(parse(t, "{spec: {applicationRefs: "+refs+"}}"), application); got != want {
			t.Errorf("%s: %v", refs, got)
		}
	}
}

// names are the entries of an inventory as people read them.
func names(entries []api.InventoryEntry) string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Kind+" "+strings.TrimPrefix(e.Namespace+"/"+e.Name, "/"))
	}
	return fmt.Sprint(all)
}
