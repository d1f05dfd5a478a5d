package cutover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-cd/slipway/shared/kube"
)

// object is one of the cluster's.
type object struct {
	kind            schema.GroupVersionKind
	namespace, name string
	at              resource
}

// resource is as much of a client as is used.
type resource interface {
	Get(ctx context.Context, name string, o metav1.GetOptions, sub ...string) (*unstructured.Unstructured, error)
	Patch(ctx context.Context, name string, t types.PatchType, data []byte, o metav1.PatchOptions, sub ...string) (*unstructured.Unstructured, error)
	Delete(ctx context.Context, name string, o metav1.DeleteOptions, sub ...string) error
}

func (o object) String() string { return o.kind.Kind + " " + o.namespace + "/" + o.name }

// get is nil for what isn't there.
func (o object) get(ctx context.Context) (*unstructured.Unstructured, error) {
	u, err := o.at.Get(ctx, o.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", o, err)
	}
	return u, nil
}

// merge changes it; it may be gone.
func (o object) merge(ctx context.Context, p patch) error {
	data, err := json.Marshal(p)
	if err == nil {
		_, err = o.at.Patch(ctx, o.name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: "slipway-command"})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("change %s: %w", o, err)
	}
	return nil
}

func (c *cut) object(kind schema.GroupVersionKind, namespace, name string) (object, error) {
	r, err := c.clients.Mapper.Find(kind)
	if err != nil {
		return object{}, err
	}
	o := object{kind: kind, namespace: namespace, name: name, at: c.clients.Dynamic.Resource(r.GroupVersionResource)}
	if r.Namespaced {
		o.at = c.clients.Dynamic.Resource(r.GroupVersionResource).Namespace(namespace)
	}
	return o, nil
}

// objects are those of a kind beside theirs that are chosen; known is false where
// the cluster doesn't have the kind.
func (c *cut) objects(ctx context.Context, kind schema.GroupVersionKind, chosen func(*unstructured.Unstructured) bool) (found []object, known bool, err error) {
	r, err := c.clients.Mapper.Find(kind)
	if _, unknown := errors.AsType[*kube.UnknownKindError](err); unknown {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	at := c.clients.Dynamic.Resource(r.GroupVersionResource).Namespace(c.theirs.GetNamespace())
	list, err := at.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, false, err
	}
	for i := range list.Items {
		if u := &list.Items[i]; chosen(u) {
			found = append(found, object{kind: kind, namespace: u.GetNamespace(), name: u.GetName(), at: at})
		}
	}
	return found, true, nil
}
