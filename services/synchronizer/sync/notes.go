package sync

import (
	"context"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// notes writes Kubernetes Events on Applications. They are for people who
// look with kubectl: nobody waits for them, and when there are too many at
// once some are left out.
type notes struct {
	client dynamic.Interface
	log    *slog.Logger
	queue  chan *unstructured.Unstructured
}

const maxNotes = 256

var eventResource = schema.GroupVersionResource{Version: "v1", Resource: "events"}

func newNotes(client dynamic.Interface, log *slog.Logger) *notes {
	return &notes{client: client, log: log, queue: make(chan *unstructured.Unstructured, maxNotes)}
}

func (n *notes) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-n.queue:
			_, err := n.client.Resource(eventResource).Namespace(e.GetNamespace()).Create(ctx, e, metav1.CreateOptions{FieldManager: statusManager})
			if err != nil && ctx.Err() == nil {
				n.log.Debug("write Kubernetes Event", "error", err)
			}
		}
	}
}

func (n *notes) say(about *unstructured.Unstructured, reason, message string) {
	n.add(about, "Normal", reason, message)
}

func (n *notes) warn(about *unstructured.Unstructured, reason, message string) {
	n.add(about, "Warning", reason, message)
}

func (n *notes) add(about *unstructured.Unstructured, kind, reason, message string) {
	const most = 1024 // the API server's own limit
	if len(message) > most {
		message = message[:most-3] + "…"
	}
	now := time.Now().UTC().Format(time.RFC3339)
	e := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Event",
		"metadata": map[string]any{"generateName": about.GetName() + ".", "namespace": about.GetNamespace()},
		"involvedObject": map[string]any{
			"apiVersion": about.GetAPIVersion(), "kind": about.GetKind(), "namespace": about.GetNamespace(), "name": about.GetName(),
			"uid": string(about.GetUID()), "resourceVersion": about.GetResourceVersion(),
		},
		"type": kind, "reason": reason, "message": message, "count": int64(1),
		"firstTimestamp": now, "lastTimestamp": now, "source": map[string]any{"component": "slipway-synchronizer"},
	}}
	select {
	case n.queue <- e:
	default:
	}
}
