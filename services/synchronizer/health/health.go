// Package health says whether what was applied works, by the rules of
// kstatus, our own for well-known custom kinds (rule/rules) and those of
// users, from watches alone. Nobody polls, and nobody waits: a watch event
// wakes the application that owns the object.
package health

import (
	"encoding/json"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/services/synchronizer/health/rule"
	"github.com/slipway-cd/slipway/services/synchronizer/wish"
	"github.com/slipway-cd/slipway/shared/api"
)

// The names that mark an object as ours.
const (
	// OwnerAnnotation names the application: cluster/namespace/name.
	OwnerAnnotation = "slipway.dev/owner"
	// FieldManager is who applies.
	FieldManager = "slipway"
)

// Seen is what is kept of an object: enough to know whether it is as we
// applied it, and whether it works.
type Seen struct {
	metav1.ObjectMeta // name, namespace, uid, resourceVersion; for pods and workloads also labels

	Owner string
	// Fields is a hash of the fields that we own: it changes as soon as
	// somebody else changes one of them. 0: we own none.
	Fields uint64
	// Left says that it asks to be left as it is.
	Left   bool
	Status status.Status
	// Message says why it isn't ready.
	Message string
	// Selector are the labels of a workload's pods.
	Selector map[string]string
	// Ended says that a pod has succeeded.
	Ended bool
	// Images of a pod that can't be had, crashes and so on: what a pod says.
	Trouble string

	content *content // of a custom object of ours
}

// Reduce keeps of an object what [Seen] has.
func Reduce(obj runtime.Object) (any, error) {
	switch o := obj.(type) {
	case *unstructured.Unstructured:
		return reduceWhole(o), nil
	case metav1.Object:
		seen := reduceMetadata(o)
		seen.Status = status.CurrentStatus
		if o.GetDeletionTimestamp() != nil {
			seen.Status, seen.Message = status.TerminatingStatus, "it is being deleted"
		}
		return seen, nil
	}
	return obj, nil
}

func reduceMetadata(o metav1.Object) *Seen {
	return &Seen{
		ObjectMeta: metav1.ObjectMeta{
			Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID(), ResourceVersion: o.GetResourceVersion(),
		},
		Owner: o.GetAnnotations()[OwnerAnnotation], Fields: OurFields(o), Left: wish.By(o, wish.Left) != "",
	}
}

func reduceWhole(o *unstructured.Unstructured) *Seen {
	seen := reduceMetadata(o)
	seen.Status, seen.Message = compute(o)
	kind := o.GroupVersionKind().GroupKind()
	if seen.Owner != "" && rule.Custom(kind.Group) {
		seen.content = keep(o)
	}
	if kind == (schema.GroupKind{Kind: "Pod"}) {
		seen.Labels, seen.Trouble = o.GetLabels(), podTrouble(o)
		phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
		seen.Ended = phase == "Succeeded"
	} else if seen.Owner != "" {
		seen.Selector, _, _ = unstructured.NestedStringMap(o.Object, "spec", "selector", "matchLabels")
	}
	return seen
}

// compute says how an object is by our rules, and by those of kstatus where
// we have none.
func compute(o *unstructured.Unstructured) (status.Status, string) {
	r, err := rule.Builtin(o)
	if err != nil {
		return status.UnknownStatus, err.Error()
	}
	if r != nil {
		return r.Judge(o.Object, time.Time{}) // ours are known to be cheap
	}
	switch o.GroupVersionKind().GroupKind() {
	case schema.GroupKind{Group: "batch", Kind: "Job"}:
		return jobStatus(o)
	case schema.GroupKind{Kind: "Pod"}:
		if message, failed := failedPod(o); failed {
			return status.FailedStatus, message
		}
	case schema.GroupKind{Group: "apiregistration.k8s.io", Kind: "APIService"}:
		if message, served := unserved(o); !served {
			return status.InProgressStatus, message
		}
	case schema.GroupKind{Group: api.Group, Kind: api.ApplicationKind}:
		if state, message, known := applicationStatus(o); known {
			return state, message
		}
	}
	result, err := status.Compute(o)
	if err != nil && rule.Custom(o.GroupVersionKind().Group) {
		result, err = status.Compute(legible(o))
	}
	if err != nil {
		return status.UnknownStatus, err.Error()
	}
	return result.Status, strings.TrimSpace(result.Message)
}

// OurFields hashes the set of fields that we own by server-side apply.
func OurFields(o metav1.Object) uint64 {
	for _, m := range o.GetManagedFields() {
		if m.Manager == FieldManager && m.Operation == metav1.ManagedFieldsOperationApply && m.Subresource == "" && m.FieldsV1 != nil {
			h := fnv.New64a()
			_, _ = h.Write(canonical(m.FieldsV1)) // a hash never errs
			return h.Sum64()
		}
	}
	return 0
}

// canonical writes the set with its keys in order, since the API server and
// a watch cache may order them differently.
func canonical(f *metav1.FieldsV1) []byte {
	raw := f.GetRawBytes()
	var tree any
	if json.Unmarshal(raw, &tree) != nil {
		return raw
	}
	sorted, err := json.Marshal(tree)
	if err != nil {
		return raw
	}
	return sorted
}

// Newer says whether resource version a is at least b. Kubernetes promises
// this order since 1.35; where one isn't a number, only equal is newer.
func Newer(a, b string) bool {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	if errX != nil || errY != nil {
		return a == b
	}
	return x >= y
}
