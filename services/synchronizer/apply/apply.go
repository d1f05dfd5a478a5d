// Package apply brings rendered objects into a cluster by server-side apply,
// and takes away what is gone. One object's fault never stops the others.
package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/kube"
)

// parallel is how many objects of a stage are sent at a time.
const parallel = 8

// Action is what was done to an object.
type Action string

// The actions.
const (
	Created   Action = "created"
	Changed   Action = "changed"
	Unchanged Action = "unchanged"
	Failed    Action = "failed"
)

// Outcome is what became of one object.
type Outcome struct {
	Item   *Item
	Action Action
	Err    error // with Failed
	Sent   bool  // false where it was known to be so already
}

// ErrOwned says that another application owns the object.
var ErrOwned = errors.New("another application owns it")

// Applier applies to one cluster.
type Applier struct {
	clients *kube.Clients
	watcher *health.Watcher
	memory  *memory
}

// New makes an applier that looks through watcher for what is so already.
func New(clients *kube.Clients, watcher *health.Watcher) *Applier {
	return &Applier{clients: clients, watcher: watcher, memory: newMemory()}
}

// Apply sends the items stage by stage. Client acts with the application's
// rights. The outcomes are in the order of the items.
func (a *Applier) Apply(ctx context.Context, client dynamic.Interface, owner string, items []*Item) []Outcome {
	outcomes := make([]Outcome, len(items))
	for start := 0; start < len(items); {
		end := start
		for end < len(items) && items[end].Stage == items[start].Stage {
			end++
		}
		a.applyStage(ctx, client, owner, items[start:end], outcomes[start:end])
		a.awaitDefinitions(ctx, outcomes[start:end])
		start = end
	}
	return outcomes
}

func (a *Applier) applyStage(ctx context.Context, client dynamic.Interface, owner string, items []*Item, outcomes []Outcome) {
	var done sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i, item := range items {
		slots <- struct{}{}
		done.Go(func() {
			defer func() { <-slots }()
			outcomes[i] = a.applyOne(ctx, client, owner, item)
		})
	}
	done.Wait()
}

func (a *Applier) applyOne(ctx context.Context, client dynamic.Interface, owner string, item *Item) Outcome {
	fail := func(err error) Outcome { return Outcome{Item: item, Action: Failed, Err: err, Sent: true} }
	if item.Err == nil {
		item.Err = a.resolveLate(item)
	}
	if item.Err != nil {
		return Outcome{Item: item, Action: Failed, Err: item.Err}
	}
	before, err := a.before(ctx, item)
	if err != nil {
		return fail(err)
	}
	if before.owner != "" && before.owner != owner {
		return Outcome{Item: item, Action: Failed, Err: fmt.Errorf("%w: %s", ErrOwned, before.owner)}
	}
	if item.leaves(before) || a.memory.same(item, before) {
		item.UID = before.uid
		return Outcome{Item: item, Action: Unchanged}
	}
	live, err := a.send(ctx, client, item)
	if err != nil {
		var again bool
		if again, err = a.remake(ctx, client, owner, item, before, err); again {
			before = state{}
			live, err = a.send(ctx, client, item)
		}
	}
	if err != nil {
		a.memory.forget(item)
		if apierrors.IsNotFound(err) && item.Namespace == "" {
			a.clients.Mapper.Forget(item.Resource.GroupVersionResource)
		}
		return fail(err)
	}
	a.memory.remember(item, live)
	item.UID, item.ResourceVersion = string(live.GetUID()), live.GetResourceVersion()
	return Outcome{Item: item, Action: action(before, live), Sent: true}
}

// send applies an item.
func (a *Applier) send(ctx context.Context, client dynamic.Interface, item *Item) (*unstructured.Unstructured, error) {
	object, err := a.withoutOthers(ctx, item)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(object.Object)
	if err != nil {
		return nil, err
	}
	force := true
	return a.resource(client, item).Patch(ctx, item.Name, types.ApplyPatchType, body,
		metav1.PatchOptions{FieldManager: health.FieldManager, Force: &force})
}

func (a *Applier) resource(client dynamic.Interface, item *Item) dynamic.ResourceInterface {
	if item.Resource.Namespaced {
		return client.Resource(item.Resource.GroupVersionResource).Namespace(item.Namespace)
	}
	return client.Resource(item.Resource.GroupVersionResource)
}

func action(before state, live *unstructured.Unstructured) Action {
	switch {
	case !before.exists:
		return Created
	case before.version == live.GetResourceVersion():
		return Unchanged
	}
	return Changed
}

// state is an object before it is applied.
type state struct {
	exists              bool
	owner, uid, version string
	fields              uint64
}

// before looks in the watches and, where those don't know yet, asks.
func (a *Applier) before(ctx context.Context, item *Item) (state, error) {
	seen, known := a.watcher.Look(item.Resource, item.Namespace, item.Name)
	if seen != nil {
		return state{exists: true, owner: seen.Owner, uid: string(seen.UID), version: seen.ResourceVersion, fields: seen.Fields}, nil
	}
	if known {
		return state{}, nil
	}
	live, err := a.metadata(ctx, item.Resource, item.Namespace, item.Name)
	if apierrors.IsNotFound(err) {
		return state{}, nil
	}
	if err != nil {
		return state{}, fmt.Errorf("look at it: %w", err)
	}
	return state{
		exists: true, owner: live.Annotations[health.OwnerAnnotation], uid: string(live.UID),
		version: live.ResourceVersion, fields: health.OurFields(live),
	}, nil
}

func (a *Applier) metadata(ctx context.Context, r kube.Resource, namespace, name string) (*metav1.PartialObjectMetadata, error) {
	getter := a.clients.Metadata.Resource(r.GroupVersionResource)
	if r.Namespaced {
		return getter.Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	}
	return getter.Get(ctx, name, metav1.GetOptions{})
}
