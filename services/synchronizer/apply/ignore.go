package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/api"
)

// leave notes which of the item's fields others may set.
func (i *Item) leave(rules []api.Ignore) {
	for _, r := range rules {
		if r.Kind == i.Kind.Kind && (r.Group == "" || r.Group == i.Kind.Group) && (r.Name == "" || r.Name == i.Name) {
			i.left, i.leftTo = append(i.left, r.Fields()...), append(i.leftTo, r.Managers...)
		}
	}
}

// withoutOthers is the object without those of its fields that others may set
// and have set. As long as nobody has, what Git says is sent: a field that is no
// longer sent, and is nobody else's, would go back to its default.
func (a *Applier) withoutOthers(ctx context.Context, item *Item) (*unstructured.Unstructured, error) {
	if len(item.left) == 0 && len(item.leftTo) == 0 {
		return item.Object, nil
	}
	live, err := a.metadata(ctx, item.Resource, item.Namespace, item.Name)
	if apierrors.IsNotFound(err) {
		return item.Object, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look who sets its fields: %w", err)
	}
	object, others := item.Object.DeepCopy(), setsOf(live)
	for _, field := range item.left {
		object.Object, _ = left(object.Object, others, field).(map[string]any)
	}
	object.Object, _ = leftTo(object.Object, others, item.leftTo).(map[string]any)
	return object, nil
}

// leftTo is an object without what some managers have of it.
func leftTo(object any, others []fieldSet, managers []string) any {
	for _, set := range others {
		if slices.Contains(managers, set.manager) {
			object = withoutAll(object, heldBy(object, set.fields, nil))
		}
	}
	return object
}

// heldBy are the places of a value that a set of fields names, those of one list in its
// order. known are the keys of the entry that the value is, as in [has].
func heldBy(value any, set, known map[string]any) [][]pathStep {
	var all [][]pathStep
	below := func(s pathStep, value any, set, keys map[string]any) {
		held := heldBy(value, set, keys)
		if len(set) == 0 {
			held = [][]pathStep{nil} // it is named as a whole
		}
		for _, rest := range held {
			all = append(all, append([]pathStep{s}, rest...))
		}
	}
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if fields, ok := set["f:"+key].(map[string]any); ok && known[key] == nil {
				below(pathStep{key: key}, value[key], fields, nil)
			}
		}
	case []any:
		for i, entry := range value {
			for _, name := range slices.Sorted(maps.Keys(set)) {
				fields, ok := set[name].(map[string]any)
				kind, text, _ := strings.Cut(name, ":")
				if keys, same := means(kind, text, entry); ok && same {
					below(pathStep{index: i, entry: entry}, entry, fields, keys)
					break // another would be of a key that is left to its default
				}
			}
		}
	}
	return all
}

// left is an object without what others have of a field.
func left(object any, others []fieldSet, field []string) any {
	return withoutAll(object, slices.DeleteFunc(placesOf(object, field), func(at []pathStep) bool { return !anyHas(others, at) }))
}

// withoutAll is an object without what lies at some places of it, those of one list in
// its order. That it is its application's is always said.
func withoutAll(object any, places [][]pathStep) any {
	for _, at := range slices.Backward(places) { // so that those before keep their place
		if at[len(at)-1].key != health.OwnerAnnotation {
			object = without(object, at)
		}
	}
	return object
}

// pathStep leads to a value: by a key of a mapping, or to an entry of a list.
type pathStep struct {
	key   string
	index int
	entry any // of a list; else nil
}

// placesOf are the places of an object that a field means, as [api.Ignore] says,
// those of one list in its order.
func placesOf(value any, field []string) [][]pathStep {
	if len(field) == 0 {
		return [][]pathStep{nil}
	}
	var all [][]pathStep
	below := func(s pathStep, value any) {
		for _, rest := range placesOf(value, field[1:]) {
			all = append(all, append([]pathStep{s}, rest...))
		}
	}
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if key == field[0] || field[0] == "*" {
				below(pathStep{key: key}, value[key])
			}
		}
	case []any:
		for i, entry := range value {
			if chosen(field[0], i, entry) {
				below(pathStep{index: i, entry: entry}, entry)
			}
		}
	}
	return all
}

// chosen says whether a part of a field means an entry of a list.
func chosen(part string, index int, entry any) bool {
	if part == "*" || part == strconv.Itoa(index) {
		return true
	}
	condition, bracketed := strings.CutPrefix(part, "[")
	key, value, ok := strings.Cut(strings.TrimSuffix(condition, "]"), "=")
	fields, isMapping := entry.(map[string]any)
	has, there := fields[key]
	return bracketed && ok && isMapping && there && fmt.Sprint(has) == value
}

// without is a value without what lies at a place of it.
func without(value any, at []pathStep) any {
	last := len(at) == 1
	switch value := value.(type) {
	case map[string]any:
		if last {
			delete(value, at[0].key)
		} else {
			value[at[0].key] = without(value[at[0].key], at[1:])
		}
		return value
	case []any:
		if last {
			return slices.Delete(value, at[0].index, at[0].index+1)
		}
		value[at[0].index] = without(value[at[0].index], at[1:])
		return value
	}
	return value
}

// fieldSet is what a manager has of an object, as FieldsV1 writes it.
type fieldSet struct {
	manager string
	fields  map[string]any
}

// setsOf are what others than us have of an object.
func setsOf(live *metav1.PartialObjectMetadata) (all []fieldSet) {
	for _, m := range live.ManagedFields {
		if m.Manager == health.FieldManager && m.Operation == metav1.ManagedFieldsOperationApply || m.FieldsV1 == nil {
			continue
		}
		var fields map[string]any
		if json.Unmarshal(m.FieldsV1.GetRawBytes(), &fields) == nil && fields != nil {
			all = append(all, fieldSet{m.Manager, fields})
		}
	}
	return all
}

// anyHas says whether one of them has what lies at a place, or something below it.
func anyHas(others []fieldSet, at []pathStep) bool {
	return slices.ContainsFunc(others, func(s fieldSet) bool { return has(s.fields, at, nil) })
}

// has looks for a place in a set of fields, as FieldsV1 writes it: "f:" with a
// mapping's key, "k:" with the keys by which a list tells its entries, "v:" with the
// entry itself. known are those keys of the entry that the set is of: an entry can't
// be sent without them.
func has(set map[string]any, at []pathStep, known map[string]any) bool {
	if len(at) == 0 {
		return true
	}
	if at[0].entry == nil {
		below, ok := set["f:"+at[0].key].(map[string]any)
		_, isKey := known[at[0].key]
		return ok && !(isKey && len(at) == 1) && has(below, at[1:], nil)
	}
	for name, value := range set {
		below, ok := value.(map[string]any)
		kind, text, _ := strings.Cut(name, ":")
		if keys, same := means(kind, text, at[0].entry); ok && same && has(below, at[1:], keys) {
			return true
		}
	}
	return false
}

// means says whether an entry of a list is what an element of a set of fields is
// about, and by which keys.
func means(kind, text string, entry any) (keys map[string]any, same bool) {
	switch kind {
	case "v":
		return nil, text == asJSON(entry)
	case "k":
		fields, ok := entry.(map[string]any)
		if !ok || json.Unmarshal([]byte(text), &keys) != nil {
			return nil, false
		}
		for key, value := range keys {
			if own, there := fields[key]; there && asJSON(own) != asJSON(value) { // else it has its default
				return nil, false
			}
		}
		return keys, true
	}
	return nil, false
}

func asJSON(v any) string {
	text, _ := json.Marshal(v) // of what was JSON or YAML
	return string(text)
}
