package sync

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/render"
)

func TestWhatARenderWantsIsRemembered(t *testing.T) {
	t.Parallel()
	known := kube.Resource{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, Namespaced: true}
	item := func(group, kind, name string, resource kube.Resource) *apply.Item {
		return &apply.Item{Kind: schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind}, Resource: resource, Namespace: "shop", Name: name, Object: &unstructured.Unstructured{}}
	}
	settings := item("", "ConfigMap", "settings", known)
	for name, c := range map[string]struct {
		items       []*apply.Item
		asked       bool
		owns, brief bool
	}{
		"objects":              {[]*apply.Item{settings}, false, false, false},
		"an Application":       {[]*apply.Item{settings, item(api.Group, api.ApplicationKind, "web", known)}, false, true, false},
		"a kind that may come": {[]*apply.Item{settings, item("example.com", "Widget", "w", kube.Resource{})}, false, false, true},
		"what the cluster has": {[]*apply.Item{settings}, true, false, true},
	} {
		n := &run{app: &app{key: "shop/web"}, repo: &repo{}, cluster: &cluster{name: "local"}, commit: "a", generation: 3, items: c.items}
		w := n.rendering(render.Result{Inputs: []string{"web"}, Asked: c.asked})
		if (len(w.owns) > 0) != c.owns || w.until.IsZero() == c.brief || w.failed || w.commit != "a" || w.generation != 3 {
			t.Errorf("%s: %+v", name, w)
		}
		has := identity{"local", "", "ConfigMap", "shop", "settings"}
		for _, other := range []identity{
			{"other", "", "ConfigMap", "shop", "settings"},
			{"local", "x", "ConfigMap", "shop", "settings"},
			{"local", "", "Secret", "shop", "settings"},
			{"local", "", "ConfigMap", "other", "settings"},
			{"local", "", "ConfigMap", "shop", "others"},
		} {
			if !w.has(has) || w.has(other) {
				t.Errorf("%s: has %v, %v %v", name, w.has(has), other, w.has(other))
			}
		}
	}
}

func TestNothingIsRememberedOfWhatIsGone(t *testing.T) {
	t.Parallel()
	var all wantedBy
	all.drop("shop/web")
	if all.get("shop/web") != nil {
		t.Error("something is known of what was never rendered")
	}
	all.set("shop/web", &wanted{commit: "a"})
	all.set("shop/web", &wanted{commit: "b"})
	if all.get("shop/web").commit != "b" || all.get("shop/api") != nil {
		t.Errorf("%+v", all.byKey)
	}
	all.drop("shop/web")
	if all.get("shop/web") != nil {
		t.Error("it is still known")
	}
}
