package cutover

import (
	"context"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/shared/api"
)

// Tool is one that applications are taken over from.
type Tool struct {
	// Name is for people.
	Name string
	// kinds are what an application may be there, the likeliest first.
	kinds []schema.GroupVersionKind
	// managers are the field managers that it, and who came before it, applies with.
	managers []string
	// marks begin the labels and annotations that it puts on what it applies.
	marks []string
	// suspended says whether it leaves an application alone; suspend makes it so.
	suspended func(*unstructured.Unstructured) bool
	suspend   func(*unstructured.Unstructured) (patch, error)
	// harmless is a patch after which its deletion deletes nothing else; empty
	// when it is so.
	harmless func(*unstructured.Unstructured) patch
	// inventory is what it has applied, as far as it tells.
	inventory func(*unstructured.Unstructured) []api.InventoryEntry
	// parent is who applies it, and would bring it back.
	parent func(*unstructured.Unstructured) (kind schema.GroupVersionKind, namespace, name string)
	// images are objects that write images of applications, too, and can be
	// suspended.
	images func(ctx context.Context, c *cut) ([]object, error)
	// writers are objects that write images of applications, and can't be.
	writers func(ctx context.Context, c *cut) ([]object, error)
}

// patch is a merge patch.
type patch = map[string]any

var (
	kustomizations = schema.GroupVersionKind{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: "Kustomization"}
	helmReleases   = schema.GroupVersionKind{Group: "helm.toolkit.fluxcd.io", Version: "v2", Kind: "HelmRelease"}
	automations    = schema.GroupVersionKind{Group: "image.toolkit.fluxcd.io", Kind: "ImageUpdateAutomation"}
	argoKind       = schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Application"}
	argoSets       = schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "ApplicationSet"}
	argoUpdaters   = schema.GroupVersionKind{Group: "argocd-image-updater.argoproj.io", Version: "v1alpha1", Kind: "ImageUpdater"}
)

// Flux and ArgoCD are the tools.
var (
	Flux = Tool{
		Name: "Flux", kinds: []schema.GroupVersionKind{kustomizations, helmReleases},
		managers:  []string{"kustomize-controller", "helm-controller", "flux", "kubectl-client-side-apply", "before-first-apply"},
		marks:     []string{"kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/", "meta.helm.sh/"},
		suspended: fluxSuspended, suspend: fluxSuspend, harmless: fluxHarmless, inventory: fluxInventory, parent: fluxParent, images: fluxImages,
	}
	ArgoCD = Tool{
		Name: "Argo CD", kinds: []schema.GroupVersionKind{argoKind},
		managers:  []string{"argocd-controller", "argocd-application-controller", "argocd", "kubectl-client-side-apply", "before-first-apply"},
		marks:     []string{"argocd.argoproj.io/tracking-id", "argocd.argoproj.io/installation-id", "app.kubernetes.io/instance"},
		suspended: argoSuspended, suspend: argoSuspend, harmless: argoHarmless, inventory: argoInventory, parent: argoParent, writers: argoWriters,
	}
)

func fluxSuspended(u *unstructured.Unstructured) bool {
	suspended, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend")
	return suspended
}

func fluxSuspend(*unstructured.Unstructured) (patch, error) {
	return patch{"spec": patch{"suspend": true}}, nil
}

// fluxHarmless takes prune and finalizer off. A running controller writes its
// finalizer again, and honours at deletion that there is nothing to prune.
func fluxHarmless(u *unstructured.Unstructured) patch {
	p := withoutFinalizers(u, func(f string) bool { return strings.HasPrefix(f, "finalizers.fluxcd.io") })
	if prune, _, _ := unstructured.NestedBool(u.Object, "spec", "prune"); prune {
		p["spec"] = patch{"prune": false}
	}
	return p
}

func withoutFinalizers(u *unstructured.Unstructured, theirs func(string) bool) patch {
	all := u.GetFinalizers()
	left := slices.DeleteFunc(slices.Clone(all), theirs)
	if len(left) == len(all) {
		return patch{}
	}
	if len(left) == 0 {
		return patch{"metadata": patch{"finalizers": nil}}
	}
	return patch{"metadata": patch{"finalizers": left}}
}

// fluxInventory reads entries such as shop_web_apps_Deployment.
func fluxInventory(u *unstructured.Unstructured) []api.InventoryEntry {
	entries, _, _ := unstructured.NestedSlice(u.Object, "status", "inventory", "entries")
	var all []api.InventoryEntry
	for _, e := range entries {
		entry, ok := e.(map[string]any)
		if !ok {
			continue
		}
		id, _ := entry["id"].(string)
		version, _ := entry["v"].(string)
		// A colon in a name is written __; none of the other parts has a _.
		namespace, rest, _ := strings.Cut(id, "_")
		parts := strings.Split(rest, "_")
		n := len(parts)
		if n < 3 {
			continue
		}
		all = append(all, api.InventoryEntry{
			Namespace: namespace, Name: strings.ReplaceAll(strings.Join(parts[:n-2], "_"), "__", ":"), Group: parts[n-2], Kind: parts[n-1], Version: version,
		})
	}
	return all
}

func fluxParent(u *unstructured.Unstructured) (schema.GroupVersionKind, string, string) {
	labels := u.GetLabels()
	name, namespace := labels["kustomize.toolkit.fluxcd.io/name"], labels["kustomize.toolkit.fluxcd.io/namespace"]
	if name == u.GetName() && namespace == u.GetNamespace() && u.GetKind() == kustomizations.Kind {
		return schema.GroupVersionKind{}, "", "" // the root applies itself
	}
	return kustomizations, namespace, name
}

// fluxImages are the automations that write below the application's path.
func fluxImages(ctx context.Context, c *cut) ([]object, error) {
	for _, version := range []string{"v1", "v1beta2", "v1beta1"} {
		kind := automations
		kind.Version = version
		found, known, err := c.objects(ctx, kind, func(u *unstructured.Unstructured) bool {
			at, _, _ := unstructured.NestedString(u.Object, "spec", "update", "path")
			return slices.ContainsFunc(c.ours, func(o *successor) bool { return overlap(clean(o.application.Spec.Source.Path), clean(at)) })
		})
		if known || err != nil {
			return found, err
		}
	}
	return nil, nil
}

func clean(p string) string { return path.Clean("/" + p)[1:] }

func overlap(a, b string) bool {
	return a == b || a == "" || b == "" || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}
