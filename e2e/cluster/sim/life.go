package sim

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	firstPull = 200 * time.Millisecond // backs off to maxPull, doubling
	maxPull   = 2 * time.Second
)

// life is what a kubelet remembers of a pod. Only one worker holds it at a time.
type life struct {
	accepted time.Time
	images   map[string]string // by name, what was pulled
	missing  map[string]string // by name, why not
	pulls    int
	nextPull time.Time

	started  time.Time // of the present run; zero while none
	restarts int32
	backoff  time.Time // no new run before
	last     *corev1.ContainerStateTerminated
	ready    bool
	phase    corev1.PodPhase

	sent     *corev1.PodStatus
	released bool
}

// newLife takes over a pod: a new one, or one that ran already when the cluster was
// stopped.
func newLife(pod *corev1.Pod, now time.Time) *life {
	l := &life{accepted: now, images: map[string]string{}, phase: corev1.PodPending}
	if pod.Status.StartTime != nil {
		l.accepted = pod.Status.StartTime.Time
	}
	for i, status := range pod.Status.ContainerStatuses {
		l.restarts = max(l.restarts, status.RestartCount)
		if i < len(pod.Spec.Containers) && status.ImageID != "" && status.State.Running != nil {
			l.images[pod.Spec.Containers[i].Image] = status.ImageID
			l.started = status.State.Running.StartedAt.Time
		}
	}
	if !l.started.IsZero() {
		for _, c := range pod.Spec.InitContainers {
			l.images[c.Image] = "restored"
		}
		for _, status := range pod.Status.InitContainerStatuses {
			l.images[status.Image] = status.ImageID
		}
	}
	return l
}

// pull asks for the images that are not there yet. It returns how long to wait
// before it asks again, and 0 when all are there.
func (l *life) pull(ctx context.Context, pod *corev1.Pod, images *Registries) time.Duration {
	wanted := wantedImages(pod, l.images)
	if len(wanted) == 0 {
		return 0
	}
	if wait := time.Until(l.nextPull); wait > 0 {
		return wait
	}
	l.missing = map[string]string{}
	for _, image := range wanted {
		id, err := images.Resolve(ctx, image)
		if err != nil {
			l.missing[image] = err.Error()
			continue
		}
		l.images[image] = id
	}
	if len(l.missing) == 0 {
		// A new image is a new run.
		l.pulls, l.started = 0, time.Time{}
		return 0
	}
	wait := min(firstPull<<min(l.pulls, 10), maxPull)
	l.pulls++
	l.nextPull = time.Now().Add(wait)
	return wait
}

func wantedImages(pod *corev1.Pod, have map[string]string) []string {
	var wanted []string
	seen := map[string]bool{}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range containers {
			if _, ok := have[c.Image]; !ok && !seen[c.Image] {
				seen[c.Image] = true
				wanted = append(wanted, c.Image)
			}
		}
	}
	return wanted
}

// advance moves the containers to where they are now and returns when that changes.
func (l *life) advance(pod *corev1.Pod, b behaviour, now time.Time) time.Duration {
	l.phase = corev1.PodRunning
	if !l.backoff.IsZero() && b.exits {
		if wait := l.backoff.Sub(now); wait > 0 {
			return wait
		}
	}
	l.backoff = time.Time{}
	if l.started.IsZero() {
		l.started = now
	}
	ran := now.Sub(l.started)
	if !b.exits {
		l.ready = !b.neverReady && ran >= b.readyAfter
		if !b.neverReady && !l.ready {
			return b.readyAfter - ran
		}
		return 0
	}
	if ran < b.runs {
		l.ready = true
		return b.runs - ran
	}
	return l.exit(pod, b.code, now)
}

func (l *life) exit(pod *corev1.Pod, code int32, now time.Time) time.Duration {
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	l.last = &corev1.ContainerStateTerminated{
		ExitCode: code, Reason: reason,
		StartedAt: seconds(l.started), FinishedAt: seconds(now),
	}
	l.started, l.ready = time.Time{}, false
	if restarts(pod, code) {
		l.restarts++
		wait := crashDelay(l.restarts)
		l.backoff = now.Add(wait)
		return wait
	}
	l.phase = corev1.PodSucceeded
	if code != 0 {
		l.phase = corev1.PodFailed
	}
	return 0
}

// seconds is a time as the API keeps it.
func seconds(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }
