package health

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// unserved says why an APIService isn't served. kstatus doesn't know its condition:
// https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/api-service-v1/
func unserved(service *unstructured.Unstructured) (message string, served bool) {
	if service.GetDeletionTimestamp() != nil {
		return "", true // kstatus tells of that
	}
	switch c := conditionOf(service, "Available"); {
	case c == nil:
		return "it is not known yet whether it is available", false
	case c["status"] != "True":
		return fmt.Sprintf("it is not available: %v: %v", c["reason"], c["message"]), false
	}
	return "", true
}

// conditionOf is an object's condition of a type; nil where it has none.
func conditionOf(o *unstructured.Unstructured, kind string) map[string]any {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, item := range conditions {
		if c, ok := item.(map[string]any); ok && c["type"] == kind {
			return c
		}
	}
	return nil
}
