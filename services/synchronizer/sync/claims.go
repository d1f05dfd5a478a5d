package sync

import (
	"context"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// asking finds out who wants what, by what Git says now, for one act of a run:
// each application is rendered once, however many objects it is asked about.
type asking struct {
	*Brain
	n *run

	mu      sync.Mutex // of all that follows
	answers map[string]*answer
	heads   map[*repo]Commit // by which they are asked
	// candidates may want what the run's application no longer has: those that were
	// touched since some commits, which are listed.
	candidates []string
	listed     map[string]bool
	since      *string // the last commit at which it had what it gives up now; nil: not yet known
	// touched are those of the same repository, any of which the change may touch.
	touched map[string]bool
	// anew is the run's own application as Git has it again; nil: not yet known.
	anew *answer
	// coming are those that Git has otherwise than the cluster, or that aren't there
	// yet, with their owner, which is about to bring them in.
	coming map[string]string
}

// answer is what is known of an application.
type answer struct {
	application *api.Application // nil: it is not there, or is to be no more
	sure        bool             // of that
	open        bool             // it is being found out
	generation  int64
	objects     map[identity]*apply.Item
	inputs      []string // on which they depend; also where they can't be found out, and are nil
}

func (b *Brain) ask(n *run) *asking {
	return &asking{Brain: b, n: n, answers: map[string]*answer{}, heads: map[*repo]Commit{}, touched: map[string]bool{}, coming: map[string]string{}}
}

// stillWants says whether an application wants an object, as far as that can be found
// out: what it has, it keeps.
func (b *asking) stillWants(ctx context.Context, key string, object identity) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wants, _, err := b.wants(ctx, key, object)
	return wants, err
}

func (b *asking) wants(ctx context.Context, key string, object identity) (wants, sure bool, err error) {
	a, err := b.answer(ctx, key)
	switch {
	case err != nil:
		return true, false, err
	case a.open:
		return true, false, nil
	case a.application == nil:
		return false, a.sure, nil
	}
	has := b.has(a.application.Status, object)
	if _, suspended := a.application.Metadata.Suspension(); suspended && has || a.objects == nil {
		return has, false, nil
	}
	return a.objects[object] != nil, b.coming[key] == "", nil
}

// has says whether an application has an object, and doesn't leave it to another.
func (b *Brain) has(s *api.ApplicationStatus, object identity) bool {
	return s != nil && slices.ContainsFunc(s.Inventory, func(e api.InventoryEntry) bool {
		return e.To == "" && identityOf(object.cluster, e) == object
	})
}

// answer errs where it isn't known, and may be another time; and when nobody waits
// for it any more.
func (b *asking) answer(ctx context.Context, key string) (*answer, error) {
	if known := b.answers[key]; known != nil {
		return known, ctx.Err()
	}
	b.answers[key] = &answer{open: true} // two that own each other want each other
	found, err := b.find(ctx, key)
	if err != nil {
		delete(b.answers, key)
		return nil, err
	}
	b.answers[key] = found
	return found, ctx.Err()
}

func (b *asking) find(ctx context.Context, key string) (*answer, error) {
	u, err := b.there(ctx, key)
	if err != nil {
		return nil, err
	}
	if u == nil || u.GetDeletionTimestamp() != nil {
		return &answer{sure: true}, nil
	}
	application, err := decode(u)
	if err != nil {
		return nil, err
	}
	// One that is itself gone from Git wants nothing any more.
	if parent := b.ownerOf(u); parent != "" && parent != key {
		itself := b.itself(u.GetNamespace(), u.GetName())
		wants, sure, err := b.wants(ctx, parent, itself)
		if err != nil || !wants {
			return &answer{sure: sure}, err
		}
		if p := b.answers[parent]; p.objects[itself] != nil && b.behind(ctx, p) && !asIn(application, p.objects[itself]) {
			b.coming[key] = parent
		}
	}
	a := &answer{application: application, generation: u.GetGeneration()}
	a.objects, a.inputs = b.render(ctx, key, a)
	return a, nil
}

// ownerOf is the application of this cluster whose object an Application is; empty
// where there is none.
func (b *Brain) ownerOf(u *unstructured.Unstructured) string {
	owner, err := events.ParseApplication(u.GetAnnotations()[health.OwnerAnnotation])
	if err != nil || owner.Cluster != b.cfg.Cluster {
		return ""
	}
	return owner.Namespace + "/" + owner.Name
}

// there reads an Application; nil when it isn't there.
func (b *Brain) there(ctx context.Context, key string) (*unstructured.Unstructured, error) {
	if u := b.apps.cached(key); u != nil {
		return u, nil
	}
	namespace, name, _ := strings.Cut(key, "/")
	u, err := b.clients.Dynamic.Resource(Resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read Application %s: %w", key, err)
	}
	return u, nil
}

// asIn says whether an Application has the spec that its owner has for it.
func asIn(application *api.Application, item *apply.Item) bool {
	meant, err := decode(item.Object)
	return err == nil && reflect.DeepEqual(meant.Spec, application.Spec)
}

// behind says whether an application hasn't brought all in yet that its head has.
func (b *asking) behind(ctx context.Context, a *answer) bool {
	s := a.application.Status
	if s == nil || s.Attempted != s.Revision || s.ObservedGeneration != a.generation {
		return true
	}
	p, err := b.repos.place(a.application.Metadata.Namespace, a.application.Spec.Source)
	r := b.repos.opened(p.key())
	if err != nil || r == nil {
		return true
	}
	head := r.headSince(time.Time{})
	if head == nil {
		return true
	}
	return r.touches(ctx, a.inputs, s.Revision, head.Hash())
}

// freshForClaims is how old a head may be by which an application is asked what
// it wants: the commit that moved an object is in it, since it woke us.
const freshForClaims = 2 * time.Second

// render finds out the objects of an application's head; nil where they can't be.
func (b *asking) render(ctx context.Context, key string, of *answer) (objects map[identity]*apply.Item, inputs []string) {
	application := of.application
	inputs = []string{path.Clean(application.Spec.Source.Path)}
	if w := b.knows(ctx, key); w != nil && w.failed {
		return nil, w.inputs
	}
	a := b.apps.get(key)
	if a == nil {
		a = &app{key: key, name: events.Application{Cluster: b.cfg.Cluster, Namespace: application.Metadata.Namespace, Name: application.Metadata.Name}}
	}
	r, err := b.source(ctx, a, application)
	if err != nil {
		return nil, inputs
	}
	head, err := b.headOf(ctx, r)
	if err != nil {
		return nil, inputs
	}
	vars, err := b.variables(ctx, a, application)
	if err != nil {
		return nil, inputs
	}
	vars, there := b.knownChart(ctx, a, application, vars)
	if !there {
		return nil, inputs
	}
	n := &run{app: a, repo: r, commit: head.Hash(), generation: of.generation, spec: application.Spec, variables: vars}
	if n.cluster, err = b.destination(ctx, a, application); err != nil {
		return nil, inputs
	}
	result, err := render.Render(ctx, vars.request(head, application))
	inputs = result.Inputs
	if err != nil {
		b.unrendered(n, result, err)
		return nil, inputs
	}
	if err := b.prepareRender(n, result); err != nil {
		return nil, inputs
	}
	objects = make(map[identity]*apply.Item, len(n.items))
	for _, i := range n.items {
		objects[identityOf(n.cluster.name, i.Entry(""))] = i
	}
	return objects, inputs
}
