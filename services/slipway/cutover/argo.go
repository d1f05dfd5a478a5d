package cutover

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/shared/api"
)

// argoSuspended is never so of an ApplicationSet, which brings its Applications
// back, with their finalizers, as long as it is there.
func argoSuspended(u *unstructured.Unstructured) bool {
	if u.GetKind() == argoSets.Kind {
		return false
	}
	automated, there, _ := unstructured.NestedMap(u.Object, "spec", "syncPolicy", "automated")
	_, updated := u.GetAnnotations()[updaterList]
	return (!there || automated["enabled"] == false) && !updated
}

const (
	updaterList = "argocd-image-updater.argoproj.io/image-list"
	// before keeps what was switched off, for who wants it back.
	before = "slipway.dev/before-cutover"
)

// argoSuspend switches off syncing by itself, and the Image Updater, and keeps
// what was there in an annotation.
func argoSuspend(u *unstructured.Unstructured) (patch, error) {
	automated, _, _ := unstructured.NestedMap(u.Object, "spec", "syncPolicy", "automated")
	was, err := json.Marshal(map[string]any{"automated": automated, "image-list": u.GetAnnotations()[updaterList]})
	if err != nil {
		return nil, fmt.Errorf("keep what is switched off: %w", err)
	}
	annotations := patch{updaterList: nil}
	if u.GetAnnotations()[before] == "" {
		annotations[before] = string(was)
	}
	return patch{"metadata": patch{"annotations": annotations}, "spec": patch{"syncPolicy": patch{"automated": nil}}}, nil
}

func argoHarmless(u *unstructured.Unstructured) patch {
	return withoutFinalizers(u, func(f string) bool { return strings.Contains(f, "argocd.argoproj.io") })
}

func argoInventory(u *unstructured.Unstructured) []api.InventoryEntry {
	resources, _, _ := unstructured.NestedSlice(u.Object, "status", "resources")
	var all []api.InventoryEntry
	for _, r := range resources {
		m, ok := r.(map[string]any)
		if !ok || m["requiresPruning"] == true || m["hook"] == true {
			continue
		}
		text := func(k string) string { s, _ := m[k].(string); return s }
		all = append(all, api.InventoryEntry{
			Group: text("group"), Version: text("version"), Kind: text("kind"), Namespace: text("namespace"), Name: text("name"),
		})
	}
	return all
}

func argoParent(u *unstructured.Unstructured) (schema.GroupVersionKind, string, string) {
	for _, o := range u.GetOwnerReferences() {
		if o.Kind == argoSets.Kind {
			return argoSets, u.GetNamespace(), o.Name
		}
	}
	id := u.GetAnnotations()["argocd.argoproj.io/tracking-id"]
	name, _, _ := strings.Cut(id, ":")
	if namespace, app, found := strings.Cut(name, "_"); found {
		return argoKind, namespace, app
	}
	if name == u.GetName() {
		name = ""
	}
	return argoKind, u.GetNamespace(), name
}

// argoWriters are the ImageUpdaters that name images of the application, and
// would go on writing them to Git.
func argoWriters(ctx context.Context, c *cut) ([]object, error) {
	found, _, err := c.objects(ctx, argoUpdaters, func(u *unstructured.Unstructured) bool { return updates(u, c.theirs) })
	return found, err
}

// updates says whether an ImageUpdater names images of an Application. What
// reads the Application's annotations ends with them.
func updates(updater, application *unstructured.Unstructured) bool {
	refs, _, _ := unstructured.NestedSlice(updater.Object, "spec", "applicationRefs")
	for _, r := range refs {
		ref, _ := r.(map[string]any)
		pattern, _ := ref["namePattern"].(string)
		if named, err := path.Match(pattern, application.GetName()); err != nil || !named || ref["useAnnotations"] == true {
			continue
		}
		chosen, there := ref["labelSelectors"].(map[string]any)
		if !there {
			return true
		}
		var labelled metav1.LabelSelector
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(chosen, &labelled); err != nil {
			return true // what can't be read may choose it
		}
		selector, err := metav1.LabelSelectorAsSelector(&labelled)
		if err != nil || selector.Matches(labels.Set(application.GetLabels())) {
			return true
		}
	}
	return false
}
