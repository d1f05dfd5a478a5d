package sync

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
)

// wait is a sync that was applied and whose objects aren't all healthy yet.
type wait struct {
	run      *run
	targets  []health.Target
	deadline *time.Timer
	expired  bool
	failed   bool // told already
	queued   bool // the next step is in the queue: whoever changes the cluster holds the application
	told     time.Time
	gone     gone
}

// Gone is told that another replica is gone. Worked says of an application whether
// that one worked on it last: what it waited for, such as the end of an episode of
// drift, is in nobody's memory any more.
func (b *Brain) Gone(worked func(key string) bool) {
	for _, key := range b.apps.keys() {
		switch {
		case !worked(key):
		case b.unsettled(key):
			b.apps.wakeups.Add(wakeup{key, ReasonStart, false})
		default:
			b.health.Add(key)
		}
	}
}

// isWatched says whether an application is woken by its objects.
func (a *applications) isWatched(key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waiting[""][key] || a.guarded[key] != nil
}

// setGuarded notes that an application is woken by its objects, of these kinds, though
// it waits for nothing; nil: no longer. Pods, which are many and nobody's in particular,
// don't wake it.
func (a *applications) setGuarded(key string, kinds map[schema.GroupVersionResource]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if kinds == nil {
		delete(a.guarded, key)
		return
	}
	a.guarded[key] = kinds
}

// guardedOf are the applications that are woken by objects of a kind though they wait
// for nothing.
func (a *applications) guardedOf(kind schema.GroupVersionResource) (keys []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, kinds := range a.guarded {
		if kinds[kind] {
			keys = append(keys, key)
		}
	}
	return keys
}

func (a *applications) waitingIn(namespace string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.waiting[namespace]))
}

// setWaiting notes for which namespaces' events an application is woken.
func (a *applications) setWaiting(key string, namespaces map[string]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for namespace, keys := range a.waiting {
		if delete(keys, key); len(keys) == 0 {
			delete(a.waiting, namespace)
		}
	}
	for namespace := range namespaces {
		if a.waiting[namespace] == nil {
			a.waiting[namespace] = map[string]bool{}
		}
		a.waiting[namespace][key] = true
	}
}
