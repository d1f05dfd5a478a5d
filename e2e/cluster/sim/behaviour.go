package sim

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Annotation, on a pod, says how its containers behave. It may change while the pod
// lives, and the pod follows.
//
//	crash           they end with 1 again and again
//	never-ready     they run, and no probe ever succeeds
//	ready-after=5s  they run, and their probes succeed after that time
//	exit=1          they end once, with that code
const Annotation = "e2e.slipway.dev/behaviour"

const (
	jobTakes   = 50 * time.Millisecond // how long a job's containers run
	firstCrash = time.Second           // backs off to maxCrash, doubling
	maxCrash   = 30 * time.Second
)

// behaviour is what the containers of a pod do.
type behaviour struct {
	neverReady bool
	readyAfter time.Duration
	exits      bool
	code       int32
	runs       time.Duration // how long before it exits
}

// behaves reads the annotation; what can't be read counts as none, and is logged.
func behaves(pod *corev1.Pod) behaviour {
	text := strings.TrimSpace(pod.Annotations[Annotation])
	verb, value, _ := strings.Cut(text, "=")
	var err error
	switch verb {
	case "":
		if owner := metav1.GetControllerOf(pod); owner != nil && owner.Kind == "Job" {
			return behaviour{exits: true, runs: jobTakes}
		}
		return behaviour{}
	case "crash":
		return behaviour{exits: true, code: 1}
	case "never-ready":
		return behaviour{neverReady: true}
	case "ready-after":
		var d time.Duration
		if d, err = time.ParseDuration(value); err == nil {
			return behaviour{readyAfter: d}
		}
	case "exit":
		var code int
		if code, err = strconv.Atoi(value); err == nil {
			return behaviour{exits: true, code: int32(code), runs: jobTakes}
		}
	default:
		err = fmt.Errorf("no such behaviour")
	}
	fmt.Fprintf(os.Stderr, "sim: pod %s/%s: %s %q: %v\n", pod.Namespace, pod.Name, Annotation, text, err)
	return behaviour{}
}

// restarts tells whether containers that ended with this code are started again.
func restarts(pod *corev1.Pod, code int32) bool {
	switch pod.Spec.RestartPolicy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	}
	return true
}

// crashDelay is how long a container that ended n times waits for its next start.
func crashDelay(n int32) time.Duration {
	return min(firstCrash<<min(max(n-1, 0), 10), maxCrash)
}
