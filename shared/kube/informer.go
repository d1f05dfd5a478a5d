package kube

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
)

// NewInformer prepares, without a call, to watch a resource's objects as
// *unstructured.Unstructured, in one namespace or, when that is empty, in all.
// The packages dynamicinformer and metadatainformer would do, but link an
// informer, a lister and a client of each kind that Kubernetes has.
func NewInformer(client dynamic.Interface, resource schema.GroupVersionResource, namespace string, indexers cache.Indexers) cache.SharedIndexInformer {
	return newInformer(client, func() listWatcher[*unstructured.UnstructuredList] {
		return client.Resource(resource).Namespace(namespace)
	}, &unstructured.Unstructured{}, resource, indexers)
}

// newMetadataInformer is NewInformer for *metav1.PartialObjectMetadata.
func newMetadataInformer(client metadata.Interface, resource schema.GroupVersionResource, namespace string, indexers cache.Indexers) cache.SharedIndexInformer {
	return newInformer(client, func() listWatcher[*metav1.PartialObjectMetadataList] {
		return client.Resource(resource).Namespace(namespace)
	}, &metav1.PartialObjectMetadata{}, resource, indexers)
}

// listWatcher is what both kinds of clients are for one resource.
type listWatcher[L runtime.Object] interface {
	List(ctx context.Context, options metav1.ListOptions) (L, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

func newInformer[L runtime.Object](client any, of func() listWatcher[L], example runtime.Object, resource schema.GroupVersionResource, indexers cache.Indexers) cache.SharedIndexInformer {
	list := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return of().List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return of().Watch(ctx, options)
		},
	}
	// The client says whether it can list by watching; a test's can't.
	return cache.NewSharedIndexInformerWithOptions(cache.ToListWatcherWithWatchListSemantics(list, client), example,
		cache.SharedIndexInformerOptions{Indexers: indexers, ObjectDescription: resource.String()})
}
