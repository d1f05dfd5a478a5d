package health

import (
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// legible is a custom object as kstatus can read it: a schema of somebody else
// may let in a generation that is text, and conditions that have other types
// than Kubernetes' or aren't any. What can't be read as meant is left out.
func legible(o *unstructured.Unstructured) *unstructured.Unstructured {
	was, ok := o.Object["status"].(map[string]any)
	if !ok {
		return without(o, "status")
	}
	state := make(map[string]any, len(was))
	for key, value := range was {
		switch key {
		case "observedGeneration":
			value = generation(value)
		case "conditions":
			value = conditions(value)
		}
		if value != nil {
			state[key] = value
		}
	}
	copied := without(o, "status")
	copied.Object["status"] = state
	return copied
}

func without(o *unstructured.Unstructured, field string) *unstructured.Unstructured {
	copied := make(map[string]any, len(o.Object))
	for key, value := range o.Object {
		if key != field {
			copied[key] = value
		}
	}
	return &unstructured.Unstructured{Object: copied}
}

func generation(v any) any {
	switch n := v.(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	case string:
		if parsed, err := strconv.ParseInt(n, 10, 64); err == nil {
			return parsed
		}
	}
	return nil
}

func conditions(v any) any {
	list, ok := v.([]any)
	if !ok {
		return nil
	}
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
