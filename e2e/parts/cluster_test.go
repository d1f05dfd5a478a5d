package parts_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/e2e/parts"
)

const host = "registry.example.com" // the registry's public name

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata:
      labels: {app: %[1]s}
      annotations: {e2e.slipway.dev/behaviour: %[2]q}
    spec: {containers: [{name: main, image: "%[3]s"}]}
`

const job = `apiVersion: batch/v1
kind: Job
metadata: {name: %[1]s}
spec:
  backoffLimit: 0
  template:
    metadata:
      labels: {app: %[1]s}
      annotations: {e2e.slipway.dev/behaviour: %[2]q}
    spec: {restartPolicy: Never, containers: [{name: main, image: "%[3]s"}]}
`

// bench is a cluster and the registry that its pods' images come from.
type bench struct {
	t        *testing.T
	cluster  *parts.Cluster
	registry *parts.Registry
}

func newBench(t *testing.T, dir string) bench {
	t.Helper()
	registry, err := parts.StartRegistry(t.Context(), parts.RegistryOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ends(t, registry.Stop)
	cluster, err := parts.StartCluster(t.Context(), parts.ClusterOptions{Dir: dir, RegistryAliases: map[string]string{host: registry.Addr}})
	if err != nil {
		t.Fatal(err)
	}
	return bench{t: t, cluster: cluster, registry: registry}
}

// with is the same bench for a subtest.
func (b bench) with(t *testing.T) bench {
	t.Helper()
	b.t = t
	return b
}

// push pushes an image and returns its public name.
func (b bench) push(repo string) (image, digest string) {
	b.t.Helper()
	digest, err := parts.PushImage(b.t.Context(), b.registry.Addr, repo, "1.0.0", parts.ImageOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	return host + "/" + repo + ":1.0.0", digest
}

func (b bench) apply(format string, args ...any) {
	b.t.Helper()
	if err := b.cluster.Apply(b.t.Context(), fmt.Sprintf(format, args...)); err != nil {
		b.t.Fatal(err)
	}
}

// sees waits until kubectl get prints what is wanted.
func (b bench) sees(want, what, path string) {
	b.t.Helper()
	err := parts.Eventually(b.t.Context(), soon, func() error {
		got, err := b.cluster.Kubectl(b.t.Context(), append(strings.Fields("get "+what), "-o", "jsonpath="+path)...)
		if err == nil && got != want {
			err = fmt.Errorf("%s of %s is %q, not %q", path, what, got, want)
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// Of a pod's first container, and of the pod.
const (
	waitingFor = "{.items[*].status.containerStatuses[0].state.waiting.reason}"
	podPhase   = "{.items[*].status.phase}"
	imageID    = "{.items[*].status.containerStatuses[0].imageID}"
	podReady   = `{.items[*].status.conditions[?(@.type=="Ready")].status}`
	exitCode   = "{.items[*].status.containerStatuses[0].state.terminated.exitCode}"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBench(t, dir)
	ends(t, b.cluster.Stop)
	if version, err := b.cluster.Kubectl(t.Context(), "version"); err != nil || strings.Count(version, "Version: v1.36.") != 2 {
		t.Errorf("kubectl version: %v\n%s", err, version)
	}
	image, digest := b.push("shop/any")
	for name, check := range podChecks(image, digest) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(b.with(t))
		})
	}
}

// podChecks are what pods of an image that is there, and one that is late, go through.
func podChecks(image, digest string) map[string]func(b bench) {
	return map[string]func(b bench){
		"a pod waits for its image": func(b bench) {
			b.apply(deployment, "late", "", host+"/shop/late:1.0.0")
			b.sees("ErrImagePull", "pods -l app=late", waitingFor)
			_, digest := b.push("shop/late")
			b.sees("1", "deployment late", "{.status.readyReplicas}")
			b.sees(host+"/shop/late@"+digest, "pods -l app=late", imageID)
		},
		"crash": func(b bench) {
			b.apply(deployment, "crash", "crash", image)
			b.sees("CrashLoopBackOff", "pods -l app=crash", waitingFor)
			b.sees("2", "pods -l app=crash", "{.items[*].status.containerStatuses[0].restartCount}")
		},
		"never ready": func(b bench) {
			b.apply(deployment, "never", "never-ready", image)
			b.sees("Running", "pods -l app=never", podPhase)
			b.sees("False", "pods -l app=never", podReady)
			b.annotate("never", "e2e.slipway.dev/behaviour-")
			b.sees("True", "pods -l app=never", podReady)
			b.annotate("never", "e2e.slipway.dev/behaviour=crash")
			b.sees("CrashLoopBackOff", "pods -l app=never", waitingFor)
		},
		"ready after": func(b bench) {
			b.apply(deployment, "after", "ready-after=4s", image)
			b.sees("Running False", "pods -l app=after", podPhase+" "+podReady)
			b.sees("True", "pods -l app=after", podReady)
			b.sees(host+"/shop/any@"+digest, "pods -l app=after", imageID)
		},
		"exit": func(b bench) {
			b.apply(job, "fails", "exit=3", image)
			b.sees("3", "pods -l app=fails", exitCode)
			b.sees("1", "job fails", "{.status.failed}")
		},
		"a job completes": func(b bench) {
			b.apply(job, "works", "", image)
			b.sees("1", "job works", "{.status.succeeded}")
			b.sees("Succeeded", "pods -l app=works", podPhase)
		},
		"deleted pods go": func(b bench) {
			b.apply(deployment, "gone", "", image)
			b.sees("1", "deployment gone", "{.status.readyReplicas}")
			if _, err := b.cluster.Kubectl(b.t.Context(), "delete", "deployment", "gone"); err != nil {
				b.t.Fatal(err)
			}
			b.sees("", "pods -l app=gone", "{.items[*].metadata.name}")
		},
	}
}

func (b bench) annotate(app, annotation string) {
	b.t.Helper()
	if _, err := b.cluster.Kubectl(b.t.Context(), "annotate", "--overwrite", "pods", "-l", "app="+app, annotation); err != nil {
		b.t.Fatal(err)
	}
}

func TestClusterKeepsItsStateOverARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBench(t, dir)
	image, _ := b.push("shop/any")
	b.apply(deployment, "kept", "", image)
	b.sees("1", "deployment kept", "{.status.readyReplicas}")
	before := *b.cluster
	b.cluster.Kill()
	again, err := parts.StartCluster(t.Context(), parts.ClusterOptions{Dir: dir, RegistryAliases: map[string]string{host: b.registry.Addr}})
	if err != nil {
		t.Fatal(err)
	}
	ends(t, again.Stop)
	if again.Server != before.Server {
		t.Errorf("serves on %s, before on %s", again.Server, before.Server)
	}
	b.sees("1", "deployment kept", "{.status.readyReplicas}")
	b.apply(deployment, "new", "", image)
	b.sees("1", "deployment new", "{.status.readyReplicas}")
}
