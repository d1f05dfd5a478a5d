package apply

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/services/synchronizer/wish"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/render"
)

// Item is one rendered object, ready to be applied.
type Item struct {
	Kind            schema.GroupVersionKind
	Resource        kube.Resource // zero while the kind isn't known
	Namespace, Name string
	Stage           int // of its kind
	Turn            render.Turn
	Late            int    // within its turn: of what comes last it is greater
	Where           string // file and line
	Object          *unstructured.Unstructured
	Varies          bool // it is another at each render
	Kept            bool // its chart made it once, and leaves it out since it is there
	// UID and ResourceVersion are known once it is applied.
	UID, ResourceVersion string
	// Err says why it can't be applied.
	Err error

	fields     uint64     // of the object that are ours, once it is applied
	adopt      []string   // managers whose fields are taken over
	dry        bool       // it is sent to see what would become of it
	left       [][]string // fields that others may set, each as its keys
	leftTo     []string   // managers who may set any
	keep       bool       // it is to be kept, and left to others, so that its object may not say so
	raw, added []byte
	namespace  string // the default
}

// String is such as "Deployment shop/web".
func (i *Item) String() string {
	return health.Target{Kind: i.Kind, Namespace: i.Namespace, Name: i.Name}.String()
}

// Source is the document that was rendered.
func (i *Item) Source() []byte { return i.raw }

// Entry is the item as the inventory has it.
func (i *Item) Entry(state string) api.InventoryEntry {
	e := api.InventoryEntry{
		Group: i.Kind.Group, Version: i.Kind.Version, Kind: i.Kind.Kind,
		Namespace: i.Namespace, Name: i.Name, State: state, UID: i.UID, Hook: i.Turn.IsHook, Fields: hashText(i.fields),
	}
	if !e.Hook {
		e.Stage = i.Turn.Stage
	}
	e.Keep = i.keep
	return e
}

// Target is the item as its health is watched.
func (i *Item) Target() health.Target {
	return health.Target{
		Kind: i.Kind, Resource: i.Resource, Namespace: i.Namespace, Name: i.Name, UID: i.UID, ResourceVersion: i.ResourceVersion,
	}
}

// Options are what is set on every object.
type Options struct {
	Owner               string // cluster/namespace/name
	Namespace           string // of namespaced objects that name none
	Labels, Annotations map[string]string
	// Ignore are fields that others may set.
	Ignore []api.Ignore
	// Adopt are the managers whose fields are taken over.
	Adopt []string
}

// Prepare makes items of rendered objects: finds their resources and
// namespaces, and sets what Options say. An object whose kind the cluster
// doesn't know (yet) is an item too, and found again when its turn comes.
func (a *Applier) Prepare(objects []render.Object, o Options) ([]*Item, error) {
	added, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	defined := definitions(objects)
	items := make([]*Item, 0, len(objects))
	for _, object := range objects {
		u := &unstructured.Unstructured{Object: object.Map}
		item := &Item{
			Kind: u.GroupVersionKind(), Namespace: u.GetNamespace(), Name: u.GetName(), Stage: object.Stage(), Late: object.Late(),
			Where: object.Where(), Object: u, Varies: object.Varies, Kept: object.Kept, raw: object.Raw, added: added, namespace: o.Namespace, adopt: o.Adopt,
		}
		if item.Turn, err = render.TurnOf(u.GetAnnotations()); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", item.Where, item, err)
		}
		withoutPlaceholders(u)
		item.leave(o.Ignore)
		if object.IsApplication() && !slices.Contains(u.GetFinalizers(), api.PruneFinalizer) {
			u.SetFinalizers(append(u.GetFinalizers(), api.PruneFinalizer)) // which it would get before its first apply
		}
		item.encode()
		u.SetLabels(merge(u.GetLabels(), o.Labels))
		u.SetAnnotations(merge(merge(u.GetAnnotations(), o.Annotations), map[string]string{health.OwnerAnnotation: o.Owner}))
		item.keep = wish.By(u, wish.IfNotPresent) != "" && wish.By(u, wish.Kept) != ""
		if r, ok := defined[item.Kind]; ok {
			item.place(r)
		} else if err := a.resolve(item); err != nil {
			if _, unknown := errors.AsType[*kube.UnknownKindError](err); !unknown {
				return nil, err
			}
		}
		items = append(items, item)
	}
	slices.SortStableFunc(items, inTurn)
	return items, nil
}

// place says where the item is. A cluster-wide custom object comes before
// what is in namespaces.
func (i *Item) place(r kube.Resource) {
	i.Resource = r
	switch {
	case !r.Namespaced:
		i.Namespace = ""
		i.Object.SetNamespace("")
		if i.Stage == render.StageRest {
			i.Stage = render.StageCluster
		}
	case i.Namespace == "":
		i.Namespace = i.namespace
		i.Object.SetNamespace(i.namespace)
	}
}

func (a *Applier) resolve(item *Item) error {
	r, err := a.clients.Mapper.Find(item.Kind)
	if err != nil {
		return err
	}
	item.place(r)
	return nil
}

// resolveLate tries again for an item whose kind wasn't known.
func (a *Applier) resolveLate(item *Item) error {
	if item.Resource.Resource != "" {
		return nil
	}
	return a.resolve(item)
}

func merge(into, from map[string]string) map[string]string {
	if len(from) == 0 {
		return into
	}
	merged := make(map[string]string, len(into)+len(from))
	maps.Copy(merged, into)
	maps.Copy(merged, from)
	return merged
}
