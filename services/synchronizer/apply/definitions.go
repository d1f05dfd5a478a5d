package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/render"
)

var definitionKind = schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}

// DefinitionResource is where CRDs are.
var DefinitionResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// establish bounds the wait for one definition.
const establish = 30 * time.Second

// definitions are the kinds that the objects' own CRDs define, so that a
// custom object may come in one commit with its definition.
func definitions(objects []render.Object) map[schema.GroupVersionKind]kube.Resource {
	defined := map[schema.GroupVersionKind]kube.Resource{}
	for _, o := range objects {
		if o.Group() != definitionKind.Group || o.Kind != definitionKind.Kind {
			continue
		}
		maps.Copy(defined, defines(o.Map))
	}
	return defined
}

// defines are the kinds that one definition has served.
func defines(crd map[string]any) map[schema.GroupVersionKind]kube.Resource {
	served := map[schema.GroupVersionKind]kube.Resource{}
	group, _, _ := unstructured.NestedString(crd, "spec", "group")
	kind, _, _ := unstructured.NestedString(crd, "spec", "names", "kind")
	plural, _, _ := unstructured.NestedString(crd, "spec", "names", "plural")
	scope, _, _ := unstructured.NestedString(crd, "spec", "scope")
	versions, _, _ := unstructured.NestedSlice(crd, "spec", "versions")
	for _, v := range versions {
		version, ok := v.(map[string]any)
		if !ok || version["served"] != true {
			continue
		}
		name, _ := version["name"].(string)
		served[schema.GroupVersionKind{Group: group, Version: name, Kind: kind}] = kube.Resource{
			GroupVersionResource: schema.GroupVersionResource{Group: group, Version: name, Resource: plural},
			Namespaced:           scope == "Namespaced",
		}
	}
	return served
}

// awaitDefinitions waits until the CRDs that were just made are served.
func (a *Applier) awaitDefinitions(ctx context.Context, outcomes []Outcome) {
	for i := range outcomes {
		o := &outcomes[i]
		if o.Action != Created && o.Action != Changed || o.Item.Kind.GroupKind() != definitionKind {
			continue
		}
		if err := awaitDefinition(ctx, a.clients, o.Item.Name); err != nil {
			o.Action, o.Err = Failed, fmt.Errorf("wait until it is served: %w", err)
		}
	}
}

// Definition applies one CRD with our own rights, and waits until it is served.
func Definition(ctx context.Context, clients *kube.Clients, crd *unstructured.Unstructured) error {
	_, err := clients.Dynamic.Resource(DefinitionResource).Apply(ctx, crd.GetName(), crd,
		metav1.ApplyOptions{FieldManager: health.FieldManager, Force: true})
	if err != nil {
		return err
	}
	return awaitDefinition(ctx, clients, crd.GetName())
}

func awaitDefinition(ctx context.Context, clients *kube.Clients, name string) error {
	ctx, cancel := context.WithTimeout(ctx, establish)
	defer cancel()
	// A watch without a resource version begins with what is there.
	w, err := clients.Dynamic.Resource(DefinitionResource).Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String(),
	})
	if err != nil {
		return err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event, open := <-w.ResultChan():
			if !open {
				return errors.New("the watch ended")
			}
			if crd, ok := event.Object.(*unstructured.Unstructured); ok {
				if done, err := established(crd); err != nil {
					return err
				} else if done {
					return awaitServed(ctx, clients, crd)
				}
			}
		}
	}
}

// awaitServed waits until the API server answers for the kinds of an established
// definition: it makes them ready after it has said so, and until then there is none.
// An informer that meets that waits for a second before it lists again.
func awaitServed(ctx context.Context, clients *kube.Clients, crd *unstructured.Unstructured) error {
	const pause = 10 * time.Millisecond
	for _, r := range defines(crd.Object) {
		err := wait.PollUntilContextCancel(ctx, pause, true, func(ctx context.Context) (bool, error) {
			_, err := clients.Metadata.Resource(r.GroupVersionResource).List(ctx, metav1.ListOptions{Limit: 1})
			return !apierrors.IsNotFound(err), nil // whatever else it says, it knows the kind
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// established says that a definition is served, or why it won't be: its names are
// another's, say.
func established(crd *unstructured.Unstructured) (done bool, err error) {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, item := range conditions {
		c, _ := item.(map[string]any)
		switch {
		case c["type"] == "Established" && c["status"] == "True":
			return true, nil
		case c["type"] == "NamesAccepted" && c["status"] == "False",
			c["type"] == "Established" && c["status"] == "False" && c["reason"] != "Installing" && c["reason"] != "NotAccepted":
			err = fmt.Errorf("it isn't: %v (%v)", c["message"], c["reason"])
		}
	}
	return false, err
}
