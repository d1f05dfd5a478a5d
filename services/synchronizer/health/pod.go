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

// failedPod says of a pod that has ended badly why. To kstatus it is current, since
// it has ended; nobody who wrote it down would say so.
func failedPod(pod *unstructured.Unstructured) (message string, failed bool) {
	phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
	if phase != "Failed" || pod.GetDeletionTimestamp() != nil {
		return "", false
	}
	reason, _, _ := unstructured.NestedString(pod.Object, "status", "reason")
	text, _, _ := unstructured.NestedString(pod.Object, "status", "message")
	parts := []string{"it has failed", reason, text, containersTrouble(pod)}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ": "), true
}

// podTrouble is what a pod says of why it isn't running; "" when nothing is
// wrong.
func podTrouble(pod *unstructured.Unstructured) string {
	if t := containersTrouble(pod); t != "" {
		return fmt.Sprintf("pod %s: %s", pod.GetName(), t)
	}
	if c := conditionOf(pod, "PodScheduled"); c["status"] == "False" {
		return fmt.Sprintf("pod %s: %v: %v", pod.GetName(), c["reason"], c["message"])
	}
	return ""
}

// containersTrouble is what the first of a pod's containers says that has trouble.
func containersTrouble(pod *unstructured.Unstructured) string {
	for _, field := range []string{"initContainerStatuses", "containerStatuses"} {
		list, _, _ := unstructured.NestedSlice(pod.Object, "status", field)
		for _, item := range list {
			container, ok := item.(map[string]any)
			if !ok {
				continue
			}
			if t := containerTrouble(container); t != "" {
				return t
			}
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
