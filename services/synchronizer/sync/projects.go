package sync

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
)

// ProjectResource is where Projects are.
var ProjectResource = schema.GroupVersionResource{Group: api.Group, Version: "v1alpha1", Resource: api.ProjectResource}

// projects are the Projects of the cluster.
type projects struct {
	informer cache.SharedIndexInformer
	listed   func() bool
	changed  func(governs func(namespace string) bool)
	log      *slog.Logger
	client   dynamic.Interface

	listing sync.Mutex // one at a time
	asked   time.Time  // when the last listing began

	mu     sync.RWMutex
	byName map[string]*project
}

// project is one as it can be asked. One that can't be read governs every
// namespace and allows nothing: who knows what it was to forbid?
type project struct {
	*api.ProjectRules
	version string
	fault   error
}

func (p *project) Governs(namespace string) bool {
	return p.fault != nil || p.ProjectRules.Governs(namespace)
}

func (p *project) Repository(name string) bool {
	return p.fault == nil && p.ProjectRules.Repository(name)
}

// newProjects prepares to watch the Projects. Changed is told of which
// namespaces one says something else than before; it must not block.
func newProjects(client dynamic.Interface, log *slog.Logger, changed func(governs func(namespace string) bool)) *projects {
	s := &projects{changed: changed, log: log, client: client, byName: map[string]*project{}}
	s.informer = kube.NewInformer(client, ProjectResource, "", cache.Indexers{})
	// It errs only on an informer that runs already.
	handler, _ := s.informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc:    func(obj any, initial bool) { s.observe(obj, initial) },
		UpdateFunc: func(_, obj any) { s.observe(obj, false) },
		DeleteFunc: s.remove,
	})
	s.listed = handler.HasSynced
	return s
}

func (s *projects) run(ctx context.Context) error {
	s.informer.RunWithContext(ctx)
	return nil
}

// synced waits until every Project is known: before, nothing may be allowed.
func (s *projects) synced(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), s.listed) && ctx.Err() == nil {
		return errors.New("the Projects can't be listed")
	}
	return nil
}

// fresh brings the Projects as they are now. The watch may be behind: an
// Application that is new may have come in one commit with the Project that is
// to hold it. Those who wait share what the next listing brings.
func (s *projects) fresh(ctx context.Context) error {
	at := time.Now()
	s.listing.Lock()
	defer s.listing.Unlock()
	if s.asked.After(at) {
		return nil
	}
	began := time.Now()
	found, err := s.client.Resource(ProjectResource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list Projects: %w", err)
	}
	s.asked = began
	for i := range found.Items {
		s.observe(&found.Items[i], false)
	}
	return nil
}

func (s *projects) observe(obj any, initial bool) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return
	}
	now := readProject(u)
	s.mu.Lock()
	before := s.byName[u.GetName()]
	if before != nil && (before.version == now.version || !health.Newer(now.version, before.version)) {
		s.mu.Unlock()
		return // the watch is behind a listing
	}
	s.byName[u.GetName()] = now
	s.mu.Unlock()
	if now.fault != nil {
		s.log.Error("read Project: it allows nothing until it is mended", "project", u.GetName(), "error", now.fault)
	}
	if !initial { // at the start everything is looked at
		s.changed(func(namespace string) bool {
			return before != nil && before.Governs(namespace) || now.Governs(namespace)
		})
	}
}

func (s *projects) remove(obj any) {
	last, unseen := obj.(cache.DeletedFinalStateUnknown)
	if unseen {
		obj = last.Obj
	}
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return
	}
	s.mu.Lock()
	before := s.byName[u.GetName()]
	if before != nil && !unseen && !health.Newer(u.GetResourceVersion(), before.version) {
		s.mu.Unlock()
		return // it was made anew, as a listing has seen already
	}
	delete(s.byName, u.GetName())
	s.mu.Unlock()
	if before != nil {
		s.changed(before.Governs)
	}
}

// readProject reads one from the cluster. Fields that we don't know are those of
// a newer CRD, and ignored.
func readProject(u *unstructured.Unstructured) *project {
	broken := func(err error) *project {
		return &project{&api.ProjectRules{Name: u.GetName()}, u.GetResourceVersion(), err}
	}
	data, err := json.Marshal(u.Object)
	if err != nil {
		return broken(err)
	}
	var p api.Project
	if err := json.Unmarshal(data, &p); err != nil {
		return broken(err)
	}
	rules, err := p.Rules()
	if err != nil {
		return broken(err)
	}
	return &project{rules, u.GetResourceVersion(), nil}
}

// governing are the Projects of a namespace, by name.
func (s *projects) governing(namespace string) []*project {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []*project
	for _, p := range s.byName {
		if p.Governs(namespace) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(x, y *project) int { return cmp.Compare(x.Name, y.Name) })
	return all
}
