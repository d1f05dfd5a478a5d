package sim

import (
	"fmt"
	"hash/fnv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// waiting is the status of a pod whose images are not all there.
func (l *life) waiting(pod *corev1.Pod) corev1.PodStatus {
	state := func(c corev1.Container) corev1.ContainerState {
		reason, message := "ContainerCreating", ""
		if why, ok := l.missing[c.Image]; ok {
			reason, message = "ErrImagePull", why
		}
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	status := l.base(pod, corev1.PodPending, len(pod.Spec.InitContainers) == 0, false)
	for _, c := range pod.Spec.InitContainers {
		status.InitContainerStatuses = append(status.InitContainerStatuses, l.container(c, state(c), false))
	}
	for _, c := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, l.container(c, state(c), false))
	}
	return status
}

// status is the status of a pod whose images are there.
func (l *life) status(pod *corev1.Pod) corev1.PodStatus {
	var state corev1.ContainerState
	switch {
	case l.phase == corev1.PodSucceeded || l.phase == corev1.PodFailed:
		state.Terminated = l.last
	case l.started.IsZero():
		state.Waiting = &corev1.ContainerStateWaiting{
			Reason:  "CrashLoopBackOff",
			Message: fmt.Sprintf("back-off %s restarting failed container", crashDelay(l.restarts)),
		}
	default:
		state.Running = &corev1.ContainerStateRunning{StartedAt: seconds(l.started)}
	}
	status := l.base(pod, l.phase, true, l.ready)
	for _, c := range pod.Spec.InitContainers {
		done := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: "Completed", StartedAt: seconds(l.accepted), FinishedAt: seconds(l.accepted),
		}}
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways && state.Terminated == nil {
			done = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: seconds(l.accepted)}}
		}
		status.InitContainerStatuses = append(status.InitContainerStatuses, l.container(c, done, true))
	}
	for _, c := range pod.Spec.Containers {
		s := l.container(c, state, l.ready)
		s.RestartCount = l.restarts
		if l.last != nil && state.Terminated == nil {
			s.LastTerminationState.Terminated = l.last
		}
		status.ContainerStatuses = append(status.ContainerStatuses, s)
	}
	return status
}

// killed is the status of a pod that was deleted while it ran.
func (l *life) killed(pod *corev1.Pod, now time.Time) corev1.PodStatus {
	l.phase, l.ready = corev1.PodFailed, false
	l.last = &corev1.ContainerStateTerminated{
		ExitCode: 137, Reason: "Error", StartedAt: seconds(l.accepted), FinishedAt: seconds(now),
	}
	return l.status(pod)
}

func (l *life) container(c corev1.Container, state corev1.ContainerState, ready bool) corev1.ContainerStatus {
	started := state.Running != nil
	return corev1.ContainerStatus{
		Name: c.Name, Image: c.Image, ImageID: l.images[c.Image],
		State: state, Started: &started, Ready: ready,
	}
}

// base is the part of a status that says something of the pod as a whole.
func (l *life) base(pod *corev1.Pod, phase corev1.PodPhase, initialized, ready bool) corev1.PodStatus {
	accepted := seconds(l.accepted)
	status := corev1.PodStatus{
		ObservedGeneration: pod.Generation,
		Phase:              phase,
		StartTime:          &accepted,
	}
	if phase == corev1.PodRunning {
		status.PodIP = podIP(pod)
		status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	}
	reason := ""
	if !ready {
		reason = "ContainersNotReady"
		if phase == corev1.PodSucceeded {
			reason = "PodCompleted"
		}
	}
	gates := ready
	for _, gate := range pod.Spec.ReadinessGates {
		gates = gates && isTrue(pod.Status.Conditions, gate.ConditionType)
	}
	gatesReason := reason
	if ready && !gates {
		gatesReason = "ReadinessGatesNotReady"
	}
	status.Conditions = []corev1.PodCondition{
		l.condition(pod, corev1.PodReadyToStartContainers, phase != corev1.PodPending, ""),
		l.condition(pod, corev1.PodInitialized, initialized, ""),
		l.condition(pod, corev1.ContainersReady, ready, reason),
		l.condition(pod, corev1.PodReady, gates, gatesReason),
	}
	return status
}

func (l *life) condition(pod *corev1.Pod, kind corev1.PodConditionType, holds bool, reason string) corev1.PodCondition {
	c := corev1.PodCondition{
		Type: kind, Status: corev1.ConditionFalse, Reason: reason,
		ObservedGeneration: pod.Generation, LastTransitionTime: seconds(time.Now()),
	}
	if holds {
		c.Status = corev1.ConditionTrue
	}
	before := pod.Status.Conditions
	if l.sent != nil {
		before = l.sent.Conditions
	}
	for _, old := range before {
		if old.Type == kind && old.Status == c.Status {
			c.LastTransitionTime = metav1.NewTime(old.LastTransitionTime.Time)
		}
	}
	return c
}

func isTrue(conditions []corev1.PodCondition, kind corev1.PodConditionType) bool {
	for _, c := range conditions {
		if c.Type == kind {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// podIP is the same each time that it is asked for a pod.
func podIP(pod *corev1.Pod) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(pod.UID))
	n := h.Sum32()
	return fmt.Sprintf("10.%d.%d.%d", 128+n>>16&127, n>>8&255, 1+n&255%254)
}
