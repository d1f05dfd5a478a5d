package health

import (
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/services/synchronizer/health/rule"
)

// legible is a custom object as kstatus can read it: a schema of somebody else
// may let in a generation that is text, and conditions that have other types
// than Kubernetes' or aren't any. What can't be read as meant is left out.
func legible(o *unstructured.Unstructured) *unstructured.Unstructured {
	copied := maps.Clone(o.Object)
	was, ok := copied["status"].(map[string]any)
	delete(copied, "status")
	if ok {
		state := maps.Clone(was)
		delete(state, "observedGeneration")
		delete(state, "conditions")
		if generation, ok := rule.Number(was["observedGeneration"]); ok {
			state["observedGeneration"] = generation
		}
		if list, ok := was["conditions"].([]any); ok {
			state["conditions"] = conditions(list)
		}
		copied["status"] = state
	}
	return &unstructured.Unstructured{Object: copied}
}

func conditions(list []any) []any {
	kept := make([]any, 0, len(list))
	for _, item := range list {
		was, ok := item.(map[string]any)
		if !ok {
			continue
		}
		condition := map[string]any{}
		for _, field := range []string{"type", "status", "reason", "message"} {
			switch value := was[field].(type) {
			case string:
				condition[field] = value
			case bool:
				condition[field] = map[bool]string{true: "True", false: "False"}[value]
			}
		}
		kept = append(kept, condition)
	}
	return kept
}
