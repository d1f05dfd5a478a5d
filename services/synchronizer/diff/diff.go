// Package diff says what an apply would change: it has the API server try each
// object, and compares what is there with what would be.
package diff

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/diff"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/api"
)

// parallel is how many objects are tried at a time.
const parallel = 8

// Action is what would be done to an object.
type Action string

// The actions.
const (
	Created   Action = "created"
	Changed   Action = "changed"
	Unchanged Action = "unchanged"
	Pruned    Action = "pruned"
	Kept      Action = "kept" // gone from Git, and left alone
	Failed    Action = "failed"
)

// Change is what would become of one object. It holds no secret's value.
type Change struct {
	Action    Action `json:"action"`
	Group     string `json:"group,omitempty"`
	Version   string `json:"version"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Where is file and line in Git; empty for what is gone from there.
	Where string `json:"where,omitempty"`
	// Diff is unified; empty for what stays as it is.
	Diff string `json:"diff,omitempty"`
	// Message says why it failed or is kept, or what else is to be known.
	Message string `json:"message,omitempty"`
}

// String is such as "Deployment shop/web".
func (c Change) String() string {
	return apply.EntryName(api.InventoryEntry{Kind: c.Kind, Namespace: c.Namespace, Name: c.Name})
}

// Differs says whether anything of it would be done.
func (c Change) Differs() bool {
	return c.Action == Created || c.Action == Changed || c.Action == Pruned
}

// Clients are for one comparison.
type Clients struct {
	Applier *apply.Applier
	// Look reads, Act tries with the application's rights.
	Look, Act dynamic.Interface
	// Marks begin labels and annotations whose going is no difference.
	Marks []string
}

// Owner is the application: its namespace and name, and what the cluster has of
// it. The zero value is none: it takes what it finds for its own, and prunes nothing.
type Owner struct {
	Namespace, Name string
	Inventory       []api.InventoryEntry
	Prunes          bool
}

// Mine says whether an owner annotation names the application, whatever its
// cluster is called.
func (o Owner) Mine(owner string) bool {
	_, name, _ := strings.Cut(owner, "/")
	return o.Name == "" || name == o.Namespace+"/"+o.Name
}

// Compare tries all items; the changes are in the order of the items, followed
// by what is gone from Git.
func Compare(ctx context.Context, c Clients, owner Owner, items []*apply.Item) []Change {
	trials := make([]apply.Trial, len(items))
	var done sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i, item := range items {
		slots <- struct{}{}
		done.Go(func() {
			defer func() { <-slots }()
			trials[i] = c.Applier.Try(ctx, c.Look, c.Act, item, owner.Mine)
		})
	}
	done.Wait()
	arriving := arrivals(trials)
	hidden := newMasks()
	changes := make([]Change, 0, len(items))
	for _, t := range trials {
		forget(&t, c.Marks)
		changes = append(changes, judge(t, arriving, hidden))
	}
	if owner.Prunes {
		changes = append(changes, c.gone(ctx, owner, items, hidden)...)
	}
	return changes
}

// arrivals are the namespaces and kinds that come with the items themselves: the
// API server can't try what lies in one.
func arrivals(trials []apply.Trial) map[string]bool {
	arriving := map[string]bool{}
	for _, t := range trials {
		if t.Live != nil || t.Err != nil {
			continue
		}
		switch t.Item.Kind.Kind {
		case "Namespace":
			arriving["namespace/"+t.Item.Name] = true
		case "CustomResourceDefinition":
			kind, _, _ := unstructured.NestedString(t.Item.Object.Object, "spec", "names", "kind")
			group, _, _ := unstructured.NestedString(t.Item.Object.Object, "spec", "group")
			arriving["kind/"+kind+"."+group] = true
		}
	}
	return arriving
}

// forget leaves out marks that would go.
func forget(t *apply.Trial, marks []string) {
	if len(marks) == 0 || t.Live == nil || t.Then == nil {
		return
	}
	live := t.Live.DeepCopy()
	for _, field := range []string{"labels", "annotations"} {
		was, _, _ := unstructured.NestedStringMap(live.Object, "metadata", field)
		is, _, _ := unstructured.NestedStringMap(t.Then.Object, "metadata", field)
		for key := range was {
			_, stays := is[key]
			if !stays && slices.ContainsFunc(marks, func(m string) bool { return strings.HasPrefix(key, m) }) {
				unstructured.RemoveNestedField(live.Object, "metadata", field, key)
			}
		}
		if left, there, _ := unstructured.NestedStringMap(live.Object, "metadata", field); there && len(left) == 0 {
			unstructured.RemoveNestedField(live.Object, "metadata", field)
		}
	}
	t.Live = live
}

func judge(t apply.Trial, arriving map[string]bool, hidden *masks) Change {
	i := t.Item
	c := Change{
		Action: Unchanged, Group: i.Kind.Group, Version: i.Kind.Version, Kind: i.Kind.Kind, Namespace: i.Namespace, Name: i.Name,
		Where: i.Where, Message: t.Note,
	}
	early := arriving["namespace/"+i.Namespace] || arriving["kind/"+i.Kind.Kind+"."+i.Kind.Group]
	if t.Live == nil && early && apierrors.IsNotFound(t.Err) {
		t.Err, t.Then = nil, i.Object
		c.Message = "its namespace or kind comes with it: what the API server would add to it is not known yet"
	}
	if t.Err != nil {
		c.Action, c.Message = Failed, fault(i, t.Err)
		return c
	}
	return c.compare(t.Live, t.Then, hidden)
}

// fault is an error without what a Secret holds.
func fault(i *apply.Item, err error) string {
	if tells(i.Object, err.Error()) {
		return fmt.Sprintf("the API server refuses it (%s); what it says holds a value of the Secret and is not shown",
			cmp.Or(string(apierrors.ReasonForError(err)), "no reason is given"))
	}
	return err.Error()
}

func (c Change) compare(live, then *unstructured.Unstructured, hidden *masks) Change {
	from, to := "/dev/null", "/dev/null"
	before, after := text(live, hidden), text(then, hidden)
	if live != nil {
		from = "cluster/" + c.path()
	}
	if then != nil {
		to = "git/" + c.path()
	}
	all := diff.Diff(from, before, to, after)
	_, unified, _ := bytes.Cut(all, []byte("\n")) // its first line names the two once more
	c.Diff = string(unified)
	switch {
	case live == nil && then != nil:
		c.Action = Created
	case live != nil && then == nil:
		c.Action = Pruned
	case c.Diff != "":
		c.Action = Changed
	}
	return c
}

// path is such as "apps/Deployment/shop/web".
func (c Change) path() string {
	parts := []string{c.Group, c.Kind, c.Namespace, c.Name}
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "/")
}

// noise are fields that the cluster keeps for itself, or that only say who
// applied.
var noise = [][]string{
	{"status"},
	{"metadata", "managedFields"},
	{"metadata", "resourceVersion"},
	{"metadata", "generation"},
	{"metadata", "creationTimestamp"},
	{"metadata", "uid"},
	{"metadata", "selfLink"},
	{"metadata", "annotations", health.OwnerAnnotation},
	{"metadata", "annotations", apply.RunAnnotation},
	{"metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"},
	{"metadata", "annotations", "deployment.kubernetes.io/revision"},
}

// text is an object as it is compared.
func text(o *unstructured.Unstructured, hidden *masks) []byte {
	if o == nil {
		return nil
	}
	o = o.DeepCopy()
	for _, field := range noise {
		unstructured.RemoveNestedField(o.Object, field...)
	}
	if len(o.GetAnnotations()) == 0 {
		unstructured.RemoveNestedField(o.Object, "metadata", "annotations")
	}
	hidden.hide(o)
	data, err := yaml.Marshal(o.Object)
	if err != nil {
		return []byte("it can't be written as YAML: " + err.Error() + "\n")
	}
	return data
}

// gone is what would be pruned.
func (c Clients) gone(ctx context.Context, owner Owner, items []*apply.Item, hidden *masks) []Change {
	var changes []Change
	for _, p := range c.Applier.WouldPrune(ctx, c.Look, owner.Mine, apply.Gone(owner.Inventory, items)) {
		e := p.Entry
		change := Change{Action: Kept, Group: e.Group, Version: e.Version, Kind: e.Kind, Namespace: e.Namespace, Name: e.Name, Message: p.Kept}
		switch {
		case p.Err != nil:
			change.Action, change.Message = Failed, p.Err.Error()
		case p.Deleted:
			change = change.compare(p.Live, nil, hidden)
		}
		changes = append(changes, change)
	}
	return changes
}
