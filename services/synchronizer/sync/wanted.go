package sync

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// wanted is what an application wanted when it was last rendered, whoever did: when
// one commit takes an object from each of many applications, each of them asks all
// others.
type wanted struct {
	repo, commit string
	generation   int64
	inputs       []string
	failed       bool                // it couldn't be rendered
	owns         map[uint64]uint64   // the Applications among it, by hashes of their identities: hashes of what they are to be
	objects      map[uint64]struct{} // hashes of identities: of another object that has the same, more is asked
	until        time.Time           // zero: as long as it has the same files, spec, ConfigMaps and Secrets
}

func (w *wanted) has(object identity) bool {
	_, has := w.objects[object.hash()]
	return has
}

// wantedBy is that of all applications.
type wantedBy struct {
	mu    sync.Mutex
	byKey map[string]*wanted
}

func (w *wantedBy) get(key string) *wanted {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.byKey[key]
}

func (w *wantedBy) set(key string, found *wanted) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byKey == nil {
		w.byKey = map[string]*wanted{}
	}
	w.byKey[key] = found
}

func (w *wantedBy) drop(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byKey, key)
}

// prepareRender finds the rights and the objects of a run's head, and remembers what
// it wants.
func (b *Brain) prepareRender(n *run, result render.Result) error {
	err := b.prepare(n, result)
	if err == nil {
		b.apps.wanted.set(n.app.key, n.rendering(result))
	}
	return err
}

// rendering is what a run that has prepared its render wants.
func (n *run) rendering(result render.Result) *wanted {
	w := &wanted{repo: n.repo.key(), commit: n.commit, generation: n.generation, inputs: result.Inputs, objects: make(map[uint64]struct{}, len(n.items))}
	asked := result.Asked || len(result.Moving) > 0
	for _, i := range n.items {
		id := identityOf(n.cluster.name, i.Entry(""))
		w.objects[id.hash()] = struct{}{}
		if id.isApplication() {
			w.own(id, i.Object)
		}
		asked = asked || i.Resource == (apply.Item{}).Resource // its namespace may be another once its kind is known
	}
	if asked {
		w.until = time.Now().Add(freshForClaims)
	}
	return w
}

// unrendered remembers that a run's commit can't be rendered, and why.
func (b *Brain) unrendered(n *run, result render.Result, why error) {
	w := &wanted{repo: n.repo.key(), commit: n.commit, generation: n.generation, inputs: result.Inputs, failed: true}
	if n.variables.cluster != nil || len(result.Moving) > 0 || unknowable(why) != nil { // perhaps for what it found elsewhere
		w.until = time.Now().Add(freshForClaims)
	}
	b.apps.wanted.set(n.app.key, w)
}

func (w *wanted) own(id identity, application *unstructured.Unstructured) {
	if w.owns == nil {
		w.owns = map[uint64]uint64{}
	}
	w.owns[id.hash()] = hashOf(application)
}

func (i identity) isApplication() bool {
	return i.group == api.Group && i.kind == api.ApplicationKind
}

// knows is what an application is known to want now; nil where it has to be
// rendered to know it.
func (b *asking) knows(ctx context.Context, key string) *wanted {
	w, u := b.apps.wanted.get(key), b.apps.cached(key)
	if w == nil || u == nil || u.GetDeletionTimestamp() != nil || u.GetGeneration() != w.generation || isSuspended(u.GetAnnotations()) {
		return nil
	}
	if !w.until.IsZero() && time.Now().After(w.until) {
		return nil
	}
	r := b.repos.opened(w.repo)
	if r == nil {
		return nil
	}
	head, err := b.headOf(ctx, r)
	if err != nil {
		return nil
	}
	if r.touches(ctx, w.inputs, w.commit, head.Hash()) {
		return nil
	}
	return w
}

// headOf is a repository's head, as fresh as it must be.
func (b *asking) headOf(ctx context.Context, r *repo) (Commit, error) {
	if head := b.heads[r]; head != nil {
		return head, nil
	}
	asks := b.n.asks
	if asks.IsZero() {
		asks = time.Now().Add(-freshForClaims)
	}
	head, err := r.fetchedSince(ctx, asks, "")
	if err != nil {
		return nil, err
	}
	b.heads[r] = head
	return head, nil
}
