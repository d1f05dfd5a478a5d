package sync

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/shared/api"
)

// A commit that changes an Application and what lies at its path is one change: what
// it has there is brought in as it says there, be it that nothing is pruned, that it is
// suspended, or that all lies at another path now. The Application itself comes by its
// owner, and may come later.

// mostComing is how long is waited for that. Its owner may be unable to bring it in, and
// what it is meanwhile is what the cluster has it be.
const mostComing = 10 * time.Second

// comes says whether an application's owner is about to bring it in as something
// else, which wakes it.
func (b *Brain) comes(ctx context.Context, a *app, l *live, r *repo, head Commit) bool {
	q, key := b.askOwner(a, l, r, head)
	if q == nil || !q.brings(ctx, key, b.itself(a.name.Namespace, a.name.Name), l.object) {
		a.coming = time.Time{}
		return false
	}
	now := time.Now()
	if a.coming.IsZero() {
		a.coming = now
		b.log.Info("waits until it is as the commit has it", "application", a.name.String(), "commit", head.Hash(), "owner", key)
	}
	left := mostComing - now.Sub(a.coming)
	if left <= 0 {
		return false
	}
	b.apps.expectFrom(a.key, key)
	b.apps.wakeups.AddAfter(wakeup{a.key, ReasonDependency, false}, left)
	return true
}

// brings says whether an application that hasn't brought in all that its head has is
// to have another one be something else than it is.
func (b *asking) brings(ctx context.Context, key string, object identity, is *unstructured.Unstructured) bool {
	u := b.apps.cached(key)
	if u == nil || isSuspended(u.GetAnnotations()) {
		return false
	}
	w := b.knows(ctx, key)
	if w == nil {
		owner, err := decode(u)
		if err != nil {
			return false
		}
		b.n.app.asked.Lock() // who renders it, renders it for all that ask
		defer b.n.app.asked.Unlock()
		if !b.mayHave(ctx, owner, u.GetGeneration(), object) {
			return false
		}
		w = b.knows(ctx, key)
	}
	if w == nil {
		return false
	}
	if meant, has := w.owns[object.hash()]; !has || meant == hashOf(is) {
		return false
	}
	owner, err := decode(u)
	return err == nil && b.behind(ctx, &answer{application: owner, generation: u.GetGeneration(), inputs: w.inputs})
}

// hashOf is of what decides how an Application is brought in. Two that mean the same may
// have another.
func hashOf(application *unstructured.Unstructured) uint64 {
	why, _ := api.Metadata{Annotations: application.GetAnnotations()}.Suspension() // empty where it isn't suspended
	data, _ := json.Marshal([]any{application.Object["spec"], why})                // as JSON it came
	return maphash.Bytes(identitySeed, data)
}
