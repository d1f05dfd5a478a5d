// Package lookup answers what charts look up, from an API server and with the
// rights of one application.
package lookup

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/render"
)

// Cluster is what charts may ask.
type Cluster struct {
	Mapper *kube.Mapper
	Client dynamic.Interface // with the application's rights
	// Allowed errs for what may not be looked up, whatever those rights are; nil:
	// they alone decide. A namespaced kind without a namespace is one of all.
	Allowed func(q render.Lookup, r kube.Resource) error
	// Mine says of an owner annotation that it is the application's; nil: none is.
	Mine func(owner string) bool
	// MostBytes of a list are taken; 0 means render's default.
	MostBytes int64
}

var _ render.Cluster = Cluster{}

// Lookup is Helm's lookup, but for one thing: only the API server's word for it
// counts as a thing not being there. What is none (a proxy's page, a kind whose
// path has gone) is an error.
func (c Cluster) Lookup(ctx context.Context, q render.Lookup) (map[string]any, error) {
	kind := schema.FromAPIVersionAndKind(q.APIVersion, q.Kind)
	r, ok, err := c.Mapper.Look(ctx, kind)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", q, err)
	}
	if !ok {
		return nil, nil
	}
	if !r.Namespaced {
		q.Namespace = ""
	}
	if c.Allowed != nil {
		if err := c.Allowed(q, r); err != nil {
			return nil, err
		}
	}
	var client dynamic.ResourceInterface = c.Client.Resource(r.GroupVersionResource)
	switch {
	case q.Namespace != "":
		client = c.Client.Resource(r.GroupVersionResource).Namespace(q.Namespace)
	case r.Namespaced && q.Name != "":
		return nil, nil // in no namespace there is none
	}
	found, err := c.get(ctx, client, q.Name)
	switch {
	case apierrors.IsNotFound(err) && !apierrors.IsUnexpectedServerError(err):
		return nil, nil
	case apierrors.IsNotFound(err):
		c.Mapper.Forget(r.GroupVersionResource)
		return nil, fmt.Errorf("look up %s: it is answered without a word of the API server: %w", q, err)
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("look up %s: the application's account may not: %w", q, err)
	case err != nil:
		return nil, fmt.Errorf("look up %s: %w", q, err)
	}
	return found, nil
}

func (c Cluster) get(ctx context.Context, client dynamic.ResourceInterface, name string) (map[string]any, error) {
	if name == "" {
		return c.list(ctx, client)
	}
	found, err := client.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return found.UnstructuredContent(), nil
}

// pageOf is how many objects of a list are held before it is asked whether they
// are too many.
const pageOf = 100

// list is that of all objects, as if it had come at once.
func (c Cluster) list(ctx context.Context, client dynamic.ResourceInterface) (map[string]any, error) {
	most := c.MostBytes
	if most == 0 {
		most = render.DefaultLimits.LookupBytes
	}
	options := metav1.ListOptions{Limit: pageOf}
	var all *unstructured.UnstructuredList
	var size int64
	for {
		page, err := client.List(ctx, options)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			data, err := item.MarshalJSON()
			if err != nil {
				return nil, err
			}
			if size += int64(len(data)); size > most {
				return nil, fmt.Errorf("the list is longer than the limit of %d bytes: look up single objects", most)
			}
		}
		options.Continue = page.GetContinue()
		if all == nil {
			all = page
		} else {
			all.Items = append(all.Items, page.Items...)
		}
		if options.Continue == "" {
			break
		}
	}
	for _, field := range []string{"continue", "remainingItemCount"} {
		unstructured.RemoveNestedField(all.Object, "metadata", field)
	}
	return all.UnstructuredContent(), nil
}

// Own says whether the application's own objects are like this one.
func (c Cluster) Own(object map[string]any) bool {
	u := unstructured.Unstructured{Object: object}
	owner := u.GetAnnotations()[health.OwnerAnnotation]
	return c.Mine != nil && owner != "" && c.Mine(owner)
}

// Capabilities are what the cluster serves to everybody.
func (c Cluster) Capabilities(ctx context.Context) (render.Capabilities, error) {
	served, err := c.Mapper.Served(ctx)
	if err != nil {
		return render.Capabilities{}, err
	}
	return render.Capabilities{Version: served.Version, Major: served.Major, Minor: served.Minor, APIVersions: served.Versions}, nil
}
