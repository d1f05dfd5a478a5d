package health

import (
	"fmt"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// jobStatus says how a Job is. To kstatus one that has started is current; who
// waits for a Job waits for its end.
func jobStatus(job *unstructured.Unstructured) (status.Status, string) {
	if job.GetDeletionTimestamp() != nil {
		return status.TerminatingStatus, "it is being deleted"
	}
	conditions, _, _ := unstructured.NestedSlice(job.Object, "status", "conditions")
	for _, item := range conditions {
		c, ok := item.(map[string]any)
		if !ok || c["status"] != "True" {
			continue
		}
		switch c["type"] {
		case "Complete":
			return status.CurrentStatus, "it is complete"
		case "Failed":
			return status.FailedStatus, fmt.Sprintf("it has failed: %v", c["message"])
		case "Suspended":
			return status.CurrentStatus, "it is suspended"
		}
	}
	active, _, _ := unstructured.NestedInt64(job.Object, "status", "active")
	failed, _, _ := unstructured.NestedInt64(job.Object, "status", "failed")
	return status.InProgressStatus, fmt.Sprintf("it runs: %d pods active, %d failed", active, failed)
}
