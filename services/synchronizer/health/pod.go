package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// harmless are reasons for which a container waits in the ordinary course.
var harmless = []string{"", "ContainerCreating", "PodInitializing"}

// podTrouble is what a pod says of why it isn't running; "" when nothing is
// wrong.
func podTrouble(pod *unstructured.Unstructured) string {
	for _, field := range []string{"initContainerStatuses", "containerStatuses"} {
		list, _, _ := unstructured.NestedSlice(pod.Object, "status", field)
		for _, item := range list {
			container, ok := item.(map[string]any)
			if !ok {
				continue
			}
			if t := containerTrouble(container); t != "" {
				return fmt.Sprintf("pod %s: %s", pod.GetName(), t)
			}
		}
	}
	conditions, _, _ := unstructured.NestedSlice(pod.Object, "status", "conditions")
	for _, item := range conditions {
		c, ok := item.(map[string]any)
		if ok && c["type"] == "PodScheduled" && c["status"] == "False" {
			return fmt.Sprintf("pod %s: %v: %v", pod.GetName(), c["reason"], c["message"])
		}
	}
	return ""
}

func containerTrouble(container map[string]any) string {
	reason, _, _ := unstructured.NestedString(container, "state", "waiting", "reason")
	if code, found, _ := unstructured.NestedInt64(container, "state", "terminated", "exitCode"); found && code != 0 {
		reason, _, _ = unstructured.NestedString(container, "state", "terminated", "reason")
		message, _, _ := unstructured.NestedString(container, "state", "terminated", "message")
		return strings.TrimRight(fmt.Sprintf("container %v: %s with exit code %d: %s", container["name"], cmp.Or(reason, "ended"), code, message), ": ")
	}
	if slices.Contains(harmless, reason) {
		return ""
	}
	message, _, _ := unstructured.NestedString(container, "state", "waiting", "message")
	text := fmt.Sprintf("container %v: %s", container["name"], reason)
	if message != "" {
		text += ": " + message
	}
	if code, found, _ := unstructured.NestedInt64(container, "lastState", "terminated", "exitCode"); found {
		text += fmt.Sprintf(" (last exit code %d)", code)
	}
	return text
}
