package health

import (
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/shared/api"
)

// applicationStatus says how an Application is. To kstatus one without a status
// is current; who waits for one waits until it was looked at. One that is
// suspended isn't looked at, and nobody waits for it.
func applicationStatus(o *unstructured.Unstructured) (status.Status, string, bool) {
	if o.GetDeletionTimestamp() != nil {
		return "", "", false
	}
	observed, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	ready, why := "", "the synchronizer has not looked at it yet"
	for _, item := range conditions {
		c, _ := item.(map[string]any)
		state, _ := c["status"].(string)
		switch message, _ := c["message"].(string); c["type"] {
		case api.ConditionReady:
			ready = state
		case api.ConditionStalled, api.ConditionReconciling:
			if state == "True" {
				why = message // of a spec that was not acted on
			}
		}
	}
	reason, suspended := o.GetAnnotations()[api.SuspendAnnotation]
	switch {
	case suspended && (ready == "" || ready == "True"):
		return status.CurrentStatus, "it is suspended: " + reason, true
	case ready == "" || observed < o.GetGeneration():
		return status.InProgressStatus, why, true
	}
	return "", "", false // which kstatus knows
}
