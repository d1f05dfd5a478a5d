package apply

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/api"
)

// Drift is how one object differs from what was applied.
type Drift struct {
	Item *Item
	Gone bool // it was deleted
	// Fields are those that others have changed or removed, each with who did.
	Fields []FieldChange
	// Err says why it couldn't be looked at, or put right.
	Err error
}

// FieldChange is one field that isn't as applied.
type FieldChange struct {
	Path    string // such as .spec.template.spec.containers[name="web"].image
	Manager string // the field manager that has it now; of a removed field, the last to write
}

// mostFields is how many fields of an object are named.
const mostFields = 5

// String is such as `Deployment shop/web: .spec.replicas by kubectl-edit`.
func (d Drift) String() string {
	var what []string
	switch {
	case d.Err != nil:
		what = append(what, d.Err.Error())
	case d.Gone:
		what = append(what, "deleted")
	}
	for i, f := range d.Fields {
		if i == mostFields {
			what = append(what, fmt.Sprintf("and %d more", len(d.Fields)-mostFields))
			break
		}
		what = append(what, f.Path+" by "+f.Manager)
	}
	return d.Item.String() + ": " + strings.Join(what, ", ")
}

// Differs says whether an object is another than the inventory says that it was
// left: gone, made anew, taken over, or with fields that are no longer ours. What has just
// been applied and isn't seen yet doesn't. Fresh asks the API server instead of the
// watches.
func (a *Applier) Differs(ctx context.Context, item *Item, entry api.InventoryEntry, fresh bool) (bool, error) {
	if entry.State != api.Applied || a.resolveLate(item) != nil {
		return true, nil // what is wrong with it is told when it is applied
	}
	now, err := a.before(ctx, item, fresh)
	if err != nil {
		return false, err
	}
	return now.differs(item.Kind, entry, item.Object.GetAnnotations()[health.OwnerAnnotation]), nil
}

// Drifted says the same of what the watches have seen of an owner's object; nil is
// what isn't there.
func Drifted(kind schema.GroupVersionKind, entry api.InventoryEntry, owner string, seen *health.Seen) bool {
	return stateSeen(seen).differs(kind, entry, owner)
}

func (s state) differs(kind schema.GroupVersionKind, entry api.InventoryEntry, owner string) bool {
	switch {
	case !s.exists:
		return !Passes(kind)
	case entry.Fields == "", s.left: // it is left to others, but not to another application
		return s.owner != "" && s.owner != owner
	}
	return s.uid != entry.UID || s.owner != owner || hashText(s.fields) != entry.Fields
}

// Passes says whether objects of a kind may be gone because their work is done:
// a Job is deleted when its time is over, and must not run again for that.
func Passes(kind schema.GroupVersionKind) bool { return kind.Group == "batch" && kind.Kind == "Job" }

// Correct applies items that differ, and says what was different; dry only
// looks. Where nothing really was, such as a field that is left to others, there
// is no Drift.
func (a *Applier) Correct(ctx context.Context, as Actor, items []*Item, dry bool) ([]Outcome, []Drift) {
	before := make([]*metav1.PartialObjectMetadata, len(items))
	for i, item := range items {
		live, err := a.metadata(ctx, item.Resource, item.Namespace, item.Name)
		switch {
		case err == nil:
			before[i] = live
		case !apierrors.IsNotFound(err):
			item.Err = fmt.Errorf("look at it: %w", err)
		}
	}
	a.dry(items, dry)
	outcomes := a.Apply(ctx, as, items)
	var drifts []Drift
	for i, o := range outcomes {
		d := Drift{Item: o.Item, Err: o.Err}
		switch {
		case o.Err != nil:
		case before[i] == nil:
			d.Gone = true
		case o.sent != nil:
			d.Fields = regained(before[i], o.sent)
		}
		if d.Err != nil || d.Gone || len(d.Fields) > 0 {
			drifts = append(drifts, d)
		}
	}
	return outcomes, drifts
}

func (a *Applier) dry(items []*Item, dry bool) {
	a.Forget(items) // what is asked is how it is
	for _, item := range items {
		item.dry = dry
	}
}

// regained are the fields that are ours after and weren't before, with who had
// them.
func regained(before, after metav1.Object) []FieldChange {
	now := ourSet(after)
	if now == nil {
		return nil
	}
	lost := now
	if had := ourSet(before); had != nil {
		lost = now.Difference(had)
	}
	var changes []FieldChange
	for path := range lost.Leaves().All() {
		changes = append(changes, FieldChange{path.String(), holder(before, path)})
	}
	return changes
}

// ours says whether a set of fields is what we apply.
func ours(m metav1.ManagedFieldsEntry) bool {
	return m.Manager == health.FieldManager && m.Operation == metav1.ManagedFieldsOperationApply && m.Subresource == ""
}

// ourSet are the fields of an object that we apply; nil where there are none.
func ourSet(o metav1.Object) *fieldpath.Set {
	for _, m := range o.GetManagedFields() {
		if ours(m) {
			return read(m)
		}
	}
	return nil
}

func read(m metav1.ManagedFieldsEntry) *fieldpath.Set {
	if m.FieldsV1 == nil {
		return nil
	}
	set := &fieldpath.Set{}
	if set.FromJSON(bytes.NewReader(m.FieldsV1.GetRawBytes())) != nil {
		return nil
	}
	return set
}

// holder is who has a field: of one that is nobody's, who wrote last.
func holder(o metav1.Object, path fieldpath.Path) string {
	last, at := "somebody", time.Time{}
	for _, m := range o.GetManagedFields() {
		if ours(m) {
			continue
		}
		if set := read(m); set != nil && set.Has(path) {
			return m.Manager
		}
		if m.Time != nil && m.Subresource == "" && m.Time.After(at) {
			last, at = m.Manager, m.Time.Time
		}
	}
	return last
}
