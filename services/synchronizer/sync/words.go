package sync

import (
	"context"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
)

// kubernetesEvents are what controllers tell of objects.
var kubernetesEvents = schema.GroupVersionResource{Version: "v1", Resource: "events"}

const (
	// mostAsked is of how many objects the last words are looked up; no more are told.
	mostAsked   = 5
	mostEvents  = 200
	wordsWithin = 5 * time.Second
	longestWord = 300
)

// lastWords adds, where no pod says why an object isn't ready, what Kubernetes warned
// of it last: that a pod can't be made for want of its account, say.
func (b *Brain) lastWords(ctx context.Context, n *run, v health.Verdict) health.Verdict {
	ctx, cancel := context.WithTimeout(ctx, wordsWithin)
	defer cancel()
	v.Waiting = slices.Clone(v.Waiting)
	for _, m := range v.Mute[:min(len(v.Mute), mostAsked)] {
		list, err := n.cluster.clients.Dynamic.Resource(kubernetesEvents).Namespace(m.Namespace).List(ctx, metav1.ListOptions{
			FieldSelector: fields.Set{"involvedObject.uid": m.UID, "type": "Warning"}.String(), Limit: mostEvents,
		})
		if err != nil {
			b.log.Debug("look for the last words of an object", "object", m.Namespace+"/"+m.Name, "error", err)
			continue
		}
		if said := lastOf(list.Items); said != "" {
			v.Waiting[m.At] += " (" + said + ")"
		}
	}
	return v
}

// lastOf is what the latest of an object's events says.
func lastOf(all []unstructured.Unstructured) string {
	var last *unstructured.Unstructured
	for i := range all {
		if last == nil || eventTime(&all[i]) > eventTime(last) {
			last = &all[i]
		}
	}
	if last == nil {
		return ""
	}
	reason, _, _ := unstructured.NestedString(last.Object, "reason")
	message, _, _ := unstructured.NestedString(last.Object, "message")
	said := strings.Join(strings.Fields(reason+": "+message), " ")
	if len(said) > longestWord {
		said = strings.ToValidUTF8(said[:longestWord], "") + " …"
	}
	return said
}

// eventTime is when an event was last seen, as text that sorts.
func eventTime(e *unstructured.Unstructured) string {
	for _, field := range [][]string{{"series", "lastObservedTime"}, {"lastTimestamp"}, {"eventTime"}, {"metadata", "creationTimestamp"}} {
		if at, _, _ := unstructured.NestedString(e.Object, field...); at != "" {
			return at
		}
	}
	return ""
}
