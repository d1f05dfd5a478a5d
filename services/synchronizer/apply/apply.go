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
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/services/synchronizer/wish"
	"github.com/slipway-cd/slipway/shared/api"
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
	// Left is what says in the cluster that it is to be left alone for now.
	Left Action = "left"
)

// Outcome is what became of one object.
type Outcome struct {
	Item   *Item
	Action Action
	Err    error // with Failed
	Sent   bool  // false where it was known to be so already

	sent *metav1.PartialObjectMetadata // what came of it
}

// ErrOwned says that another application owns the object.
var ErrOwned = errors.New("another application owns it")

// Actor is for whom something is done.
type Actor struct {
	Client *kube.Acting // with the application's rights
	Owner  string       // the application: cluster/namespace/name
	// MayTake says whether an object that another application owns is no longer
	// wanted by that one, so that it changes hands; nil: never.
	MayTake func(ctx context.Context, item *Item, owner string) (bool, error)
	// Claimed says whether another application wants what this one no longer has;
	// nil: none ever does.
	Claimed func(ctx context.Context, entry api.InventoryEntry) (Claim, error)
	// Ending says that the application is deleted, and all that it has with it.
	Ending bool
	// Held says whether nobody else can be acting for the application yet; nil:
	// nobody ever does. It is asked between a look at an object and its change,
	// which wants the object as it was looked at: so whoever was stopped for a
	// while can't put something older over something newer.
	Held func(ctx context.Context) bool
}

// Claim is of an application, named as cluster/namespace/name, to an object that
// another one has; without a name there is none.
type Claim struct {
	Name string
	Sure bool // else it may want it, and that can't be known yet
	// Given is the last commit at which the other one had it; empty where that isn't
	// known.
	Given string
}

// ErrNotHeld says that another replica may be acting for the application.
var ErrNotHeld = errors.New("another replica may be acting for the application")

func (as Actor) held(ctx context.Context) error {
	if as.Held != nil && !as.Held(ctx) {
		return ErrNotHeld
	}
	return nil
}

// owns says whether an object is the actor's, or may become so.
func (as Actor) owns(ctx context.Context, item *Item, owner string) error {
	if owner == "" || owner == as.Owner {
		return nil
	}
	if as.MayTake != nil {
		takes, err := as.MayTake(ctx, item, owner)
		if err != nil {
			return fmt.Errorf("ask whether %s still wants it: %w", owner, err)
		}
		if takes {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrOwned, owner)
}

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

// Apply sends the items stage by stage, and Applications after what lies beside them.
// The outcomes are in the order of the items.
func (a *Applier) Apply(ctx context.Context, as Actor, items []*Item) []Outcome {
	outcomes := make([]Outcome, len(items))
	left := outcomes
	for _, group := range atOnce(items) {
		a.applyStage(ctx, as, group, left[:len(group)])
		a.awaitDefinitions(ctx, left[:len(group)])
		left = left[len(group):]
	}
	return outcomes
}

func (a *Applier) applyStage(ctx context.Context, as Actor, items []*Item, outcomes []Outcome) {
	var done sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i, item := range items {
		slots <- struct{}{}
		done.Go(func() {
			defer func() { <-slots }()
			outcomes[i] = a.applyOne(ctx, as, item)
		})
	}
	done.Wait()
}

func (a *Applier) applyOne(ctx context.Context, as Actor, item *Item) Outcome {
	if item.Err == nil {
		item.Err = a.resolveLate(item)
	}
	if item.Err != nil {
		return Outcome{Item: item, Action: Failed, Err: item.Err}
	}
	const tries = 5
	var o Outcome
	for try := range tries {
		before, err := a.before(ctx, item, try > 0)
		if err != nil {
			return Outcome{Item: item, Action: Failed, Err: err, Sent: true}
		}
		if o = a.applyOver(ctx, as, item, before); !apierrors.IsConflict(o.Err) {
			break // else it was changed since we looked
		}
	}
	return o
}

// applyOver applies an item over an object as it was seen.
func (a *Applier) applyOver(ctx context.Context, as Actor, item *Item, before state) Outcome {
	fail := func(err error) Outcome { return Outcome{Item: item, Action: Failed, Err: err, Sent: true} }
	if err := as.owns(ctx, item, before.owner); err != nil {
		return Outcome{Item: item, Action: Failed, Err: err}
	}
	if item.leaves(before) {
		if err := a.rename(ctx, as, item, before); err != nil {
			return fail(err)
		}
		if item.UID = before.uid; before.left && !item.Ignored() {
			item.fields = leftFields
			return Outcome{Item: item, Action: Left}
		}
		return Outcome{Item: item, Action: Unchanged}
	}
	// Another replica may have sent the same fields for another application.
	if before.owner == as.Owner && a.memory.same(item, before) {
		item.UID, item.fields = before.uid, before.fields
		return Outcome{Item: item, Action: Unchanged}
	}
	if adopted, err := a.adopt(ctx, as, item); err != nil {
		return fail(err)
	} else if adopted != "" {
		before.version = adopted
	}
	live, err := a.send(ctx, as, item, before.version)
	if err != nil && !item.dry && before.exists {
		var version string
		if version, err = a.upgrade(ctx, as, item, err); err == nil {
			live, err = a.send(ctx, as, item, version)
		}
	}
	if err != nil && !item.dry {
		var again bool
		if again, err = a.remake(ctx, as, item, before, err); again {
			before = state{}
			live, err = a.send(ctx, as, item, "")
		}
	}
	if err != nil {
		a.memory.forget(item)
		if apierrors.IsNotFound(err) && item.Namespace == "" {
			a.clients.Mapper.Forget(item.Resource.GroupVersionResource)
		}
		return fail(err)
	}
	if !item.dry {
		a.memory.remember(item, live)
		item.UID, item.ResourceVersion, item.fields = string(live.GetUID()), live.GetResourceVersion(), health.OurFields(live)
	}
	return Outcome{Item: item, Action: action(before, live), Sent: true, sent: live}
}

// send applies an item over an object of a version; empty: of any, or none. It gives
// the metadata of what came of it.
func (a *Applier) send(ctx context.Context, as Actor, item *Item, version string) (*metav1.PartialObjectMetadata, error) {
	body, options, err := a.request(ctx, as, item, version)
	if err != nil {
		return nil, err
	}
	client := as.Client.Metadata.Resource(item.Resource.GroupVersionResource)
	if item.Resource.Namespaced {
		return client.Namespace(item.Namespace).Patch(ctx, item.Name, types.ApplyPatchType, body, options)
	}
	return client.Patch(ctx, item.Name, types.ApplyPatchType, body, options)
}

// request is what is sent to apply an item.
func (a *Applier) request(ctx context.Context, as Actor, item *Item, version string) ([]byte, metav1.PatchOptions, error) {
	force := true
	// An apply refuses what the schema doesn't have by itself; a check would only read the
	// object once more, for fields that are there twice, which JSON of ours has none of.
	options := metav1.PatchOptions{FieldManager: health.FieldManager, Force: &force, FieldValidation: metav1.FieldValidationIgnore}
	if item.dry {
		options.DryRun = []string{metav1.DryRunAll}
	}
	object, err := a.withoutOthers(ctx, item)
	if err != nil {
		return nil, options, err
	}
	if version != "" {
		object = object.DeepCopy()
		object.SetResourceVersion(version)
	}
	body, err := json.Marshal(object.Object)
	if err == nil {
		err = as.held(ctx)
	}
	return body, options, err
}

func (a *Applier) resource(client dynamic.Interface, item *Item) dynamic.ResourceInterface {
	if item.Resource.Namespaced {
		return client.Resource(item.Resource.GroupVersionResource).Namespace(item.Namespace)
	}
	return client.Resource(item.Resource.GroupVersionResource)
}

func action(before state, live metav1.Object) Action {
	switch {
	case !before.exists:
		return Created
	case before.version == live.GetResourceVersion():
		return Unchanged
	}
	return Changed
}

// leftFields are recorded of an object that is left alone for now: it has none like
// these, and so differs as soon as it may be sent again.
const leftFields = 1

// state is an object before it is applied.
type state struct {
	exists              bool
	left                bool // it says so itself
	owner, uid, version string
	fields              uint64
}

// before looks in the watches and, where those don't know yet or what they know
// is too old, asks.
func (a *Applier) before(ctx context.Context, item *Item, fresh bool) (state, error) {
	seen, known := a.watcher.Look(item.Resource, item.Namespace, item.Name)
	if !fresh && (seen != nil || known) {
		return stateSeen(seen), nil
	}
	live, err := a.metadata(ctx, item.Resource, item.Namespace, item.Name)
	if apierrors.IsNotFound(err) {
		return state{}, nil
	}
	if err != nil {
		return state{}, fmt.Errorf("look at it: %w", err)
	}
	return stateOf(live), nil
}

// stateSeen is an object as a watch has seen it; nil is what isn't there.
func stateSeen(seen *health.Seen) state {
	if seen == nil {
		return state{}
	}
	return state{exists: true, owner: seen.Owner, uid: string(seen.UID), version: seen.ResourceVersion, fields: seen.Fields, left: seen.Left}
}

// stateOf is an object as it was read.
func stateOf(live metav1.Object) state {
	return state{
		exists: true, owner: live.GetAnnotations()[health.OwnerAnnotation], uid: string(live.GetUID()),
		version: live.GetResourceVersion(), fields: health.OurFields(live), left: wish.By(live, wish.Left) != "",
	}
}

func (a *Applier) metadata(ctx context.Context, r kube.Resource, namespace, name string) (*metav1.PartialObjectMetadata, error) {
	getter := a.clients.Metadata.Resource(r.GroupVersionResource)
	if r.Namespaced {
		return getter.Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	}
	return getter.Get(ctx, name, metav1.GetOptions{})
}
