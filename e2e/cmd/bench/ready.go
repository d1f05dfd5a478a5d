package main

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/shared/api"
)

var applications = schema.GroupVersionResource{Group: api.Group, Version: api.Version, Resource: "applications"}

// awaitReady waits until n objects of a kind are ready. It watches: asking again
// and again would be a load of its own on what is measured.
func awaitReady(ctx context.Context, o *local.Observer, r schema.GroupVersionResource, namespace string, n int) error {
	changes, err := o.Clients.Dynamic.Resource(r).Namespace(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("watch %s: %w", r.Resource, err)
	}
	defer changes.Stop()
	ready := map[string]bool{}
	for len(ready) < n {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c, ok := <-changes.ResultChan():
			u, is := c.Object.(*unstructured.Unstructured)
			switch {
			case !ok:
				return fmt.Errorf("watch %s: it ended with %d of %d ready", r.Resource, len(ready), n)
			case c.Type == watch.Error:
				return fmt.Errorf("watch %s: %v", r.Resource, c.Object)
			case is && isReady(u):
				ready[u.GetName()] = true
			default:
				delete(ready, u.GetName())
			}
		}
	}
	return nil
}

// isReady reads an Application's condition Ready, or a Deployment's Available.
func isReady(u *unstructured.Unstructured) bool {
	seen, _, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && (c["type"] == "Ready" || c["type"] == "Available") {
			return c["status"] == "True" && seen == u.GetGeneration()
		}
	}
	return false
}
