package sync

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// ProjectResource is where Projects are.
var ProjectResource = schema.GroupVersionResource{Group: api.Group, Version: "v1alpha1", Resource: api.ProjectResource}

// projects are the Projects of the cluster.
type projects struct {
	informer cache.SharedIndexInformer
	listed   func() bool
	changed  func(governs func(namespace string) bool)
	log      *slog.Logger

	mu     sync.RWMutex
	byName map[string]*project
}

// project is one as it can be asked. One that can't be read governs every
// namespace and allows nothing: who knows what it was to forbid?
type project struct {
	*api.ProjectRules
	fault error
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
	s := &projects{changed: changed, log: log, byName: map[string]*project{}}
	s.informer = dynamicinformer.NewFilteredDynamicInformer(client, ProjectResource, "", 0, cache.Indexers{}, nil).Informer()
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

func (s *projects) observe(obj any, initial bool) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return
	}
	now := readProject(u)
	if now.fault != nil {
		s.log.Error("read Project: it allows nothing until it is mended", "project", u.GetName(), "error", now.fault)
	}
	s.mu.Lock()
	before := s.byName[u.GetName()]
	s.byName[u.GetName()] = now
	s.mu.Unlock()
	if !initial { // at the start everything is looked at
		s.changed(func(namespace string) bool {
			return before != nil && before.Governs(namespace) || now.Governs(namespace)
		})
	}
}

func (s *projects) remove(obj any) {
	if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = last.Obj
	}
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return
	}
	s.mu.Lock()
	before := s.byName[u.GetName()]
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
		return &project{&api.ProjectRules{Name: u.GetName()}, err}
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
	return &project{rules, nil}
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

func projectNames(all []*project) string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name
		if p.fault != nil {
			names[i] += " (which can't be read: " + p.fault.Error() + ")"
		}
	}
	if len(names) == 1 {
		return "Project " + names[0]
	}
	return "none of the Projects " + strings.Join(names, " and ")
}

// maxForbidden is how many objects a refusal names.
const maxForbidden = 10

// forbidden says what of a run no Project of its namespace allows: each object
// needs one that allows its repository, destination and kind. Nothing of the
// run may be sent then.
func (b *Brain) forbidden(n *run) error {
	governing := b.projects.governing(n.app.name.Namespace)
	if len(governing) == 0 {
		return nil
	}
	p, err := b.repos.place(n.app.name.Namespace, n.spec.Source)
	if err != nil {
		return err
	}
	var faults []string
	for _, item := range n.items {
		if why := b.objection(governing, p.name, n.target(), item); why != "" {
			faults = append(faults, fmt.Sprintf("%s: %s: %s", item.Where, item, why))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	more := ""
	if len(faults) > maxForbidden {
		more = fmt.Sprintf("\nand %d more", len(faults)-maxForbidden)
		faults = faults[:maxForbidden]
	}
	return fmt.Errorf("nothing is applied, since a Project forbids a part of it: take that out, or have the Project allow it:\n%s%s", strings.Join(faults, "\n"), more)
}

// objection is why no Project allows an object; empty where one does.
func (b *Brain) objection(governing []*project, from events.GitRepository, target string, item *apply.Item) string {
	namespace := item.Namespace
	switch {
	case item.Kind.Group == "" && item.Kind.Kind == "Namespace":
		namespace = item.Name // it is its own
	case namespace == "" && item.Resource.Resource == "":
		namespace = target // its kind comes with it, and where it goes isn't known yet
	}
	var all []string
	for _, p := range governing {
		list, kind := "", false
		if p.fault == nil {
			list, kind = p.KindAllowed(item.Kind.Group, item.Kind.Kind)
		}
		switch {
		case p.fault != nil:
			all = append(all, fmt.Sprintf("Project %s can't be read: %v", p.Name, p.fault))
		case !p.Repository(string(from)):
			all = append(all, fmt.Sprintf("Project %s doesn't allow the repository %s (spec.repositories)", p.Name, from))
		case !p.Destination(b.cfg.Cluster, ""):
			all = append(all, fmt.Sprintf("Project %s doesn't allow the cluster %s (spec.destinations)", p.Name, b.cfg.Cluster))
		case !p.Destination(b.cfg.Cluster, namespace):
			all = append(all, fmt.Sprintf("Project %s doesn't allow the namespace %s (spec.destinations)", p.Name, namespace))
		case !kind:
			all = append(all, fmt.Sprintf("Project %s doesn't allow the kind %s (%s)", p.Name, item.Kind.Kind, list))
		default:
			return ""
		}
	}
	return strings.Join(all, "; ")
}

// recheck refuses what is applied already and no longer allowed. It stays as it
// is: nothing is put right, and nothing deleted.
func (b *Brain) recheck(ctx context.Context, n *run, l *live, result render.Result) (refused bool, err error) {
	if len(b.projects.governing(n.app.name.Namespace)) == 0 {
		return false, nil
	}
	if err := b.prepare(n, result); err != nil {
		return false, err
	}
	if err := b.forbidden(n); err != nil {
		return true, b.refuse(ctx, n, l, reasonProject, err)
	}
	return false, nil
}
