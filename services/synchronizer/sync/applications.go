package sync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
)

// Resource is where Applications are.
var Resource = schema.GroupVersionResource{Group: api.Group, Version: "v1alpha1", Resource: api.ApplicationResource}

// applications are the Applications of the cluster, and what we hold of each
// in memory.
type applications struct {
	brain    *Brain
	informer cache.SharedIndexInformer
	observed func() bool // of all that the informer listed at first

	mu       sync.Mutex
	byKey    map[string]*app
	bySource map[string]map[string]*app
	followed map[string]place                                // by the keys of bySource
	waiting  map[string]map[string]bool                      // namespace of objects → applications
	guarded  map[string]map[schema.GroupVersionResource]bool // applications, and the kinds of their objects
	waits    links                                           // for others
	leaves   links                                           // to those that are to take objects over
	removed  links                                           // from Git, to those that are to delete them
	holders  holders                                         // of objects
	wanted   wantedBy                                        // when they were rendered last
	sourced  map[source]map[string]bool                      // ConfigMaps and Secrets → applications
	uses     map[string]map[string][]source                  // application → what it uses them as → which

	wakeups workqueue.TypedRateLimitingInterface[wakeup]
}

// app is one application. mu lets one goroutine at a time act on it.
type app struct {
	key  string // namespace/name
	name events.Application

	asked sync.Mutex // of who finds out for others what it wants

	mu    sync.Mutex
	wait  *wait
	guard *guard // while nothing is waited for
	fight fight
	pace  pace
	// stocked is the uid of the one of which stock was taken.
	stocked string
	// coming is since when it waits for its owner to bring it in as Git has it.
	coming time.Time
	last   *unstructured.Unstructured // as we wrote it last, or asked for it

	// doubtful is the resourceVersion on which a write was tried of which it isn't known
	// whether it went through.
	doubtful atomic.Pointer[string]

	// marked says that the status tells of a branch that can't be fetched.
	marked atomic.Bool

	tried atomic.Pointer[attempt]
	// attempted is the commit that its status is seen to tell of, for what goes
	// through all applications at each push.
	attempted atomic.Pointer[string]
	// unsettled says that it may not have all yet that it wants.
	unsettled atomic.Bool

	// What follows is guarded by the mutex of applications.
	source string // the key of its place
	resync *time.Timer
	every  time.Duration
}

// attempt is a commit that a sync was begun of, and when we have seen so; zero
// where it was ours.
type attempt struct {
	commit string
	at     time.Time
}

// saw gives when a commit was first seen to be the one that was attempted.
func (a *app) saw(commit string) time.Time {
	if seen := a.tried.Load(); seen != nil && seen.commit == commit {
		return seen.at
	}
	seen := &attempt{commit, time.Now()}
	a.tried.Store(seen)
	return seen.at
}

// resolves says whether an Application as it is seen now is later than what a doubtful
// write was tried on: it went through, or will be refused.
func (a *app) resolves(u *unstructured.Unstructured) bool {
	before := a.doubtful.Load()
	if before == nil || *before == u.GetResourceVersion() || !health.Newer(u.GetResourceVersion(), *before) {
		return false
	}
	return a.doubtful.CompareAndSwap(before, nil)
}

func newApplications(b *Brain) *applications {
	a := &applications{
		brain: b, byKey: map[string]*app{}, bySource: map[string]map[string]*app{}, followed: map[string]place{}, waiting: map[string]map[string]bool{}, guarded: map[string]map[schema.GroupVersionResource]bool{},
		waits: newLinks(), leaves: newLinks(), removed: newLinks(), holders: newHolders(), sourced: map[source]map[string]bool{}, uses: map[string]map[string][]source{},
		wakeups: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[wakeup]()),
	}
	a.informer = kube.NewInformer(b.clients.Dynamic, Resource, "", cache.Indexers{})
	// The setters err only on an informer that runs already.
	_ = a.informer.SetTransform(func(obj any) (any, error) {
		if u, ok := obj.(*unstructured.Unstructured); ok {
			u.SetManagedFields(nil)
		}
		return obj, nil
	})
	handler, _ := a.informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc:    func(obj any, _ bool) { a.observe(nil, obj) },
		UpdateFunc: a.observe,
		DeleteFunc: a.remove,
	})
	a.observed = handler.HasSynced
	return a
}

func (a *applications) run(ctx context.Context) error {
	a.informer.RunWithContext(ctx)
	return nil
}

// synced waits until every Application that is there was observed. Work that
// began before would find only some of them: what it has for the others would
// be done without them, and nothing would wake them.
func (a *applications) synced(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), a.observed) && ctx.Err() == nil {
		return errors.New("the Applications can't be listed")
	}
	return nil
}

// observe takes an Application that is new or changed. It wakes for a spec
// that was not acted on, for a deletion, and for what people ask by annotations.
func (a *applications) observe(old, obj any) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return
	}
	application, err := decode(u)
	if err != nil {
		a.brain.log.Error("read Application", "application", keyOf(u), "error", err)
		return
	}
	entry := a.entry(u, application)
	entry.unsettled.Store(!settled(application.Status) || application.Status.ObservedGeneration != u.GetGeneration())
	before, updated := old.(*unstructured.Unstructured)
	if updated && asks(before, u) {
		a.wakeups.Add(wakeup{entry.key, ReasonAsked, false})
	}
	if application.Status != nil {
		entry.saw(application.Status.Attempted)
		entry.attempted.Store(&application.Status.Attempted)
	}
	if updated && a.attemptedLate(entry, before, u) {
		a.wakeups.Add(wakeup{entry.key, reasonOvertaken, false})
	}
	if entry.resolves(u) { // what was done meanwhile may have been without it
		a.wakeups.Add(wakeup{entry.key, ReasonStart, false})
	}
	if old == nil || settled(application.Status) {
		a.gotOn(entry.key) // also where it only comes forth: who waits says for what
	}
	a.wakeRemoved(entry.key)
	if updated && a.brain.ownerOf(before) != a.brain.ownerOf(u) && a.expects(entry.key) {
		a.wakeups.Add(wakeup{entry.key, ReasonDependency, false})
	}
	a.hold(entry.key, application.Status)
	if a.leave(entry.key, application.Status) {
		a.wakeups.Add(wakeup{entry.key, ReasonLeaving, false})
	}
	acted := application.Status != nil && application.Status.ObservedGeneration == u.GetGeneration()
	if updated && before.GetGeneration() == u.GetGeneration() &&
		(before.GetDeletionTimestamp() == nil) == (u.GetDeletionTimestamp() == nil) {
		return
	}
	if r := a.brain.repos.opened(entry.source); r != nil {
		r.index.drop(entry.key) // of what it is rendered, whoever does
	}
	a.wakeGivers(entry.key)
	a.wakeGivers(a.brain.ownerOf(u)) // it has brought in what it was asked about
	if !acted || u.GetDeletionTimestamp() != nil {
		a.wakeups.Add(wakeup{entry.key, ReasonSpec, false})
	}
}

// asks says whether a person asks for a sync, or has suspended or resumed it.
func asks(before, now *unstructured.Unstructured) bool {
	was, is := before.GetAnnotations(), now.GetAnnotations()
	return was[api.SyncAnnotation] != is[api.SyncAnnotation] || was[api.SuspendAnnotation] != is[api.SuspendAnnotation] ||
		isSuspended(was) != isSuspended(is)
}

func isSuspended(annotations map[string]string) bool {
	_, suspended := api.Metadata{Annotations: annotations}.Suspension()
	return suspended
}

// entry finds or makes what we hold of an Application, and keeps the index of
// sources.
func (a *applications) entry(u *unstructured.Unstructured, application *api.Application) *app {
	from, err := a.brain.repos.place(u.GetNamespace(), application.Spec.Source)
	if err != nil {
		from = place{} // the worker says so
	}
	source := from.key()
	a.mu.Lock()
	defer a.mu.Unlock()
	key := keyOf(u)
	entry := a.byKey[key]
	if entry == nil {
		entry = &app{key: key, name: events.Application{Cluster: a.brain.cfg.Cluster, Namespace: u.GetNamespace(), Name: u.GetName()}}
		a.byKey[key] = entry
	}
	if entry.source != source || a.bySource[source] == nil {
		a.unlink(entry)
		entry.source = source
		if a.bySource[source] == nil {
			a.bySource[source] = map[string]*app{}
			a.followed[source] = from
			if source != "" { // the branch is looked at once when it is first used
				a.wakeups.Add(wakeup{source, ReasonStart, true})
			}
		}
		a.bySource[source][key] = entry
	}
	a.arm(entry, application.Spec.Sync.ResyncOrDefault())
	return entry
}

// arm sets the timer of the safety net, a fifth early or late each time, so
// that many applications don't come at once.
func (a *applications) arm(entry *app, every time.Duration) {
	if entry.every == every {
		return
	}
	entry.every = every
	jittered := func() time.Duration { return time.Duration(float64(every) * (0.8 + 0.4*rand.Float64())) }
	if entry.resync != nil {
		entry.resync.Stop()
	}
	var timer *time.Timer
	timer = time.AfterFunc(jittered(), func() {
		a.wakeups.Add(wakeup{entry.key, ReasonResync, false})
		a.mu.Lock()
		defer a.mu.Unlock()
		if entry.resync == timer && a.byKey[entry.key] == entry {
			timer.Reset(jittered())
		}
	})
	entry.resync = timer
}

func (a *applications) remove(obj any) {
	if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = last.Obj
	}
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return
	}
	a.mu.Lock()
	entry := a.byKey[keyOf(u)]
	if entry != nil {
		a.unlink(entry)
		delete(a.byKey, entry.key)
		entry.resync.Stop()
	}
	a.mu.Unlock()
	a.setWaiting(keyOf(u), nil)
	a.setGuarded(keyOf(u), nil)
	a.depend(keyOf(u), nil)
	a.leave(keyOf(u), nil)
	a.hold(keyOf(u), nil)
	a.expectFrom(keyOf(u))
	a.wakeRemoved(keyOf(u))
	a.gotOn(keyOf(u))
	if entry != nil {
		a.brain.use(entry, nil)
		a.wanted.drop(entry.key)
	}
	for _, use := range []string{usedAsVariables, usedAsCredentials, usedAsKeys, usedAsKubeconfig, usedAsFormer, usedAsChart} {
		a.setSources(keyOf(u), use, nil)
	}
}

// keys are all applications.
func (a *applications) keys() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.byKey))
}

func (a *applications) get(key string) *app {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byKey[key]
}

// cached is the Application as the informer has it; nil when it's not there.
func (a *applications) cached(key string) *unstructured.Unstructured {
	obj, found, err := a.informer.GetStore().GetByKey(key)
	if err != nil || !found {
		return nil
	}
	u, _ := obj.(*unstructured.Unstructured)
	return u
}

func (a *applications) stopTimers() {
	a.mu.Lock()
	all := make([]*app, 0, len(a.byKey))
	for _, entry := range a.byKey {
		all = append(all, entry)
		entry.resync.Stop()
	}
	a.mu.Unlock()
	for _, entry := range all {
		entry.mu.Lock()
		a.brain.stopWaiting(entry)
		entry.mu.Unlock()
	}
}

func keyOf(u *unstructured.Unstructured) string { return u.GetNamespace() + "/" + u.GetName() }

// decode reads an Application from the cluster. Fields that we don't know
// are those of a newer CRD, and ignored.
func decode(u *unstructured.Unstructured) (*api.Application, error) {
	data, err := json.Marshal(u.Object)
	if err != nil {
		return nil, err
	}
	var application api.Application
	if err := json.Unmarshal(data, &application); err != nil {
		return nil, fmt.Errorf("read Application %s: %w", keyOf(u), err)
	}
	return &application, nil
}
