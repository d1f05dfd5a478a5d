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
	conditions, _, _ := unstructured.NestedSlice(service.Object, "status", "conditions")
	for _, item := range conditions {
		c, ok := item.(map[string]any)
		if !ok || c["type"] != "Available" {
			continue
		}
		if c["status"] == "True" {
			return "", true
		}
		return fmt.Sprintf("it is not available: %v: %v", c["reason"], c["message"]), false
	}
	return "it is not known yet whether it is available", false
}
