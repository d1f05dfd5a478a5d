package kube

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// Scope is what one watch covers: a resource, in one namespace or, when that
// is empty, in all.
type Scope struct {
	Resource  schema.GroupVersionResource
	Namespace string
}

// WatchOptions say what a set of watches keeps and whom it tells.
type WatchOptions struct {
	// Reduce makes of an object what is kept. It must give a value whose
	// metadata has name, namespace and resourceVersion; nil keeps the whole.
	// The object is *unstructured.Unstructured, or
	// *metav1.PartialObjectMetadata where MetadataOnly says so.
	Reduce func(runtime.Object) (any, error)
	// MetadataOnly says for which resources the metadata is enough.
	MetadataOnly func(schema.GroupVersionResource) bool
	// Changed is told of what was kept of an object that appeared or changed,
	// with what was kept of it before (nil for nothing), and of the last state of
	// one that vanished. It must not block.
	Changed func(scope Scope, before, kept any, gone bool)
	// Dropped is told of a watch that ended because its resource isn't there:
	// who still wants it must say so again. It must not block.
	Dropped func(scope Scope)
}

// Watches are shared watches, each started when it is first wanted. They end
// with the context that they were made with.
type Watches struct {
	ctx     context.Context // of all watches; they outlive the calls that want them
	clients *Clients
	options WatchOptions

	mu      sync.Mutex
	running map[Scope]*Watch
	done    sync.WaitGroup
}

// NewWatches makes an empty set.
func NewWatches(ctx context.Context, clients *Clients, options WatchOptions) *Watches {
	return &Watches{ctx: ctx, clients: clients, options: options, running: map[Scope]*Watch{}}
}

// Watch is one of them.
type Watch struct {
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
}

// Synced says whether everything that was there has been read: before, an
// absent object may only not be known yet.
func (w *Watch) Synced() bool { return w.informer.HasSynced() }

// Get gives what is kept of an object; nil when it isn't there.
func (w *Watch) Get(namespace, name string) any {
	key := name
	if namespace != "" {
		key = namespace + "/" + name
	}
	kept, found, err := w.informer.GetStore().GetByKey(key)
	if err != nil || !found {
		return nil
	}
	return kept
}

// InNamespace gives what is kept of every object of a namespace.
func (w *Watch) InNamespace(namespace string) []any {
	kept, err := w.informer.GetIndexer().ByIndex(cache.NamespaceIndex, namespace)
	if err != nil {
		return nil
	}
	return kept
}

// Running gives a watch if it was wanted before; nil otherwise.
func (s *Watches) Running(scope Scope) *Watch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[scope]
}

// Want starts a watch unless it runs.
func (s *Watches) Want(scope Scope) *Watch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, ok := s.running[scope]; ok {
		return w
	}
	ctx, stop := context.WithCancel(s.ctx)
	w := &Watch{informer: s.informer(scope), stop: stop}
	s.running[scope] = w
	s.done.Go(func() { w.informer.RunWithContext(ctx) })
	return w
}

// Count is how many watches run.
func (s *Watches) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.running)
}

// Wait returns when every watch has ended, after the context has.
func (s *Watches) Wait() { s.done.Wait() }

func (s *Watches) informer(scope Scope) cache.SharedIndexInformer {
	indexers := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	var informer cache.SharedIndexInformer
	if s.options.MetadataOnly != nil && s.options.MetadataOnly(scope.Resource) {
		informer = newMetadataInformer(s.clients.Metadata, scope.Resource, scope.Namespace, indexers)
	} else {
		informer = NewInformer(s.clients.Dynamic, scope.Resource, scope.Namespace, indexers)
	}
	// The setters err only on an informer that runs already.
	_ = informer.SetTransform(s.reduce)
	_ = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		if apierrors.IsNotFound(err) {
			s.drop(scope)
		}
	})
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { s.tell(scope, nil, obj, false) },
		UpdateFunc: func(before, obj any) { s.tell(scope, before, obj, false) },
		DeleteFunc: func(obj any) {
			if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = last.Obj
			}
			s.tell(scope, nil, obj, true)
		},
	})
	return informer
}

// reduce may meet what was reduced before, after a relist.
func (s *Watches) reduce(obj any) (any, error) {
	whole, ok := obj.(runtime.Object)
	if !ok || s.options.Reduce == nil {
		return obj, nil
	}
	return s.options.Reduce(whole)
}

func (s *Watches) tell(scope Scope, before, kept any, gone bool) {
	if s.options.Changed != nil && kept != nil {
		s.options.Changed(scope, before, kept, gone)
	}
}

// drop ends a watch whose resource is gone: its CRD was deleted.
func (s *Watches) drop(scope Scope) {
	s.mu.Lock()
	w := s.running[scope]
	delete(s.running, scope)
	s.mu.Unlock()
	if w != nil {
		w.stop()
		s.clients.Mapper.Forget(scope.Resource)
		if s.options.Dropped != nil {
			s.options.Dropped(scope)
		}
	}
}
