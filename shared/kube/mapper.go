package kube

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// Resource is where the objects of a kind are.
type Resource struct {
	schema.GroupVersionResource
	Namespaced bool
}

// Mapper knows where the objects of a kind are. It asks the cluster again
// when it meets a kind that it doesn't know, at most once in [relearn].
type Mapper struct {
	direct    *discovery.DiscoveryClient
	discovery discovery.CachedDiscoveryInterface
	deferred  *restmapper.DeferredDiscoveryRESTMapper

	mu      sync.Mutex
	known   map[schema.GroupVersionKind]Resource
	learned time.Time
}

// relearn bounds how often an unknown kind makes us ask the whole cluster.
const relearn = 2 * time.Second

func newMapper(config *rest.Config, client *http.Client) (*Mapper, error) {
	d, err := discovery.NewDiscoveryClientForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	cached := memory.NewMemCacheClient(d)
	return &Mapper{
		direct: d, discovery: cached, deferred: restmapper.NewDeferredDiscoveryRESTMapper(cached),
		known: map[schema.GroupVersionKind]Resource{},
	}, nil
}

// UnknownKindError says that the cluster has no such kind.
type UnknownKindError struct{ Kind schema.GroupVersionKind }

// Error says what to do, too.
func (e *UnknownKindError) Error() string {
	return fmt.Sprintf("the cluster has no kind %s in %s: is its CustomResourceDefinition installed?", e.Kind.Kind, e.Kind.GroupVersion())
}

// Find gives the resource of a kind, or an *[UnknownKindError].
func (m *Mapper) Find(kind schema.GroupVersionKind) (Resource, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.known[kind]; ok {
		return r, nil
	}
	mapping, err := m.deferred.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) && time.Since(m.learned) > relearn {
		m.learned = time.Now()
		m.deferred.Reset()
		mapping, err = m.deferred.RESTMapping(kind.GroupKind(), kind.Version)
	}
	if meta.IsNoMatchError(err) {
		return Resource{}, &UnknownKindError{kind}
	}
	if err != nil {
		return Resource{}, fmt.Errorf("find kind %s: %w", kind, err)
	}
	r := Resource{GroupVersionResource: mapping.Resource, Namespaced: mapping.Scope.Name() == meta.RESTScopeNameNamespace}
	m.known[kind] = r
	return r, nil
}

// Teach tells of a kind whose definition was just applied, so that nobody
// waits for the cluster's own list of kinds.
func (m *Mapper) Teach(kind schema.GroupVersionKind, r Resource) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[kind] = r
}

// Forget drops a kind: its resource was not there when it was called.
func (m *Mapper) Forget(r schema.GroupVersionResource) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for kind, known := range m.known {
		if known.GroupVersionResource == r {
			delete(m.known, kind)
		}
	}
	m.discovery.Invalidate()
	m.deferred.Reset()
}
