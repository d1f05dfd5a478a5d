package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/shared/freeport"
)

// TestAClusterComesFromGitAlone begins a cluster, loses it, and begins another
// from the repository: it holds the same objects.
func TestAClusterComesFromGitAlone(t *testing.T) {
	ctx := t.Context()
	if err := parts.Build(ctx, nil); err != nil {
		t.Fatal(err)
	}
	bin, dir := programs(t), t.TempDir()
	w, err := local.Start(ctx, local.Options{Dir: dir, Bin: bin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	if err := w.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Push(ctx, "slipway/synchronizer", "1"); err != nil {
		t.Fatal(err)
	}
	b := bootstrapper{t: t, w: w, program: filepath.Join(bin, "slipway")}
	image := w.Image("slipway/synchronizer", "1")

	b.fails(2, "is not a folder inside the repository", "--path", "../x")
	b.fails(1, "reach the cluster", "--path", "clusters/local", "--kubeconfig", b.unreachable())
	b.fails(2, "make the branch with a first commit", "--path", "clusters/local", "--branch", "none")
	if plan := b.run(0, "--path", "clusters/local", "--dry-run"); !strings.Contains(plan, "kind: CustomResourceDefinition") || !strings.Contains(plan, "kind: Deployment") {
		t.Errorf("the plan is:\n%s", plan)
	}
	head := b.head()
	first := b.run(0, "--path", "clusters/local", "--image", image)
	if !strings.Contains(first, "committed clusters/local/slipway-system/root.yaml") || head == b.head() {
		t.Fatalf("nothing was committed:\n%s", first)
	}
	b.settled()
	before, head := b.objects(), b.head()
	if !strings.Contains(before, "deployment.apps/synchronizer") || !strings.Contains(before, "slipway-system root") {
		t.Fatalf("the cluster has:\n%s", before)
	}

	// A second time, nothing changes.
	uid := b.kubectl("get", "deployment", "synchronizer", "-n", "slipway-system", "-o", "jsonpath={.metadata.uid} {.metadata.generation}")
	if again := b.run(0, "--path", "clusters/local"); !strings.Contains(again, "nothing is committed") {
		t.Errorf("a second time:\n%s", again)
	}
	if now := b.kubectl("get", "deployment", "synchronizer", "-n", "slipway-system", "-o", "jsonpath={.metadata.uid} {.metadata.generation}"); now != uid || b.head() != head {
		t.Errorf("a second time changes the cluster from %s to %s, and Git from %s to %s", uid, now, head, b.head())
	}
	b.fails(3, "is the root of cluster local", "--path", "clusters/local", "--cluster", "other")

	// The cluster is lost, with what the services knew; Git is not.
	b.replaceCluster()
	b.run(0, "--path", "clusters/local")
	b.settled()
	if after := b.objects(); after != before {
		t.Errorf("the cluster had\n%s\nand has\n%s", before, after)
	}
	if b.head() != head {
		t.Error("the second cluster changed the repository")
	}
}

type bootstrapper struct {
	t       *testing.T
	w       *local.World
	program string
}

func (b bootstrapper) run(code int, args ...string) string {
	b.t.Helper()
	args = append([]string{"bootstrap", "--repository", b.w.RepoURL, "--config", b.w.Config}, args...)
	cmd := exec.CommandContext(b.t.Context(), b.program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+b.w.Kubeconfig)
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		b.t.Fatalf("%v: exit %d, want %d: %v\n%s", args, got, code, err, out)
	}
	return string(out)
}

func (b bootstrapper) fails(code int, why string, args ...string) {
	b.t.Helper()
	if out := b.run(code, args...); !strings.Contains(out, why) {
		b.t.Errorf("%v says\n%s\nwant %q", args, out, why)
	}
}

func (b bootstrapper) kubectl(args ...string) string {
	b.t.Helper()
	out, err := b.w.Kubectl(b.t.Context(), "", args...)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b bootstrapper) head() string {
	b.t.Helper()
	out, err := exec.CommandContext(b.t.Context(), "git", "ls-remote", b.authorized(), "refs/heads/main").Output()
	if err != nil {
		b.t.Fatal(err)
	}
	return string(out)
}

// authorized is the repository's address with the credentials of the config.
func (b bootstrapper) authorized() string {
	b.t.Helper()
	config, err := os.ReadFile(b.w.Config)
	if err != nil {
		b.t.Fatal(err)
	}
	m := regexp.MustCompile(`credentials: \{user: (\S+), token: \{file: (\S+)\}\}`).FindSubmatch(config)
	if m == nil {
		b.t.Fatal("the config has no credentials of the repository")
	}
	token, err := os.ReadFile(string(m[2]))
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Replace(b.w.RepoURL, "://", "://"+string(m[1])+":"+strings.TrimSpace(string(token))+"@", 1)
}

// unreachable is a kubeconfig of a cluster that isn't there.
func (b bootstrapper) unreachable() string {
	b.t.Helper()
	text, err := os.ReadFile(b.w.Kubeconfig)
	if err != nil {
		b.t.Fatal(err)
	}
	addr, err := freeport.Address()
	if err != nil {
		b.t.Fatal(err)
	}
	file := filepath.Join(b.t.TempDir(), "kubeconfig")
	write(b.t, file, regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(string(text), addr))
	return file
}

// settled waits until the root and all applications are ready.
func (b bootstrapper) settled() {
	b.t.Helper()
	if err := b.w.AllReady(b.t.Context(), 3, nil); err != nil {
		b.t.Fatalf("%v\n%s", err, b.w.Process("slipway").Tail(20))
	}
	b.kubectl("wait", "applications.slipway.dev/root", "-n", "slipway-system", "--for=condition=Ready", "--timeout=90s")
}

// objects are those that applications brought, by name.
func (b bootstrapper) objects() string {
	b.t.Helper()
	return b.kubectl("get", "namespaces,deployments,services,serviceaccounts,configmaps,clusterroles,clusterrolebindings,rolebindings", "-A", "-o", "name") +
		"\n" + b.kubectl("get", "applications.slipway.dev", "-A", "-o", `jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\n"}{end}`)
}

// replaceCluster starts an empty cluster in place of the world's, and the
// services without what they knew.
func (b bootstrapper) replaceCluster() {
	b.t.Helper()
	ctx := context.Background()
	p := b.w.Process("slipway")
	if err := p.Stop(); err != nil {
		b.t.Fatal(err)
	}
	b.w.Cluster.Kill()
	cluster, err := parts.StartCluster(ctx, parts.ClusterOptions{Dir: b.t.TempDir()})
	if err != nil {
		b.t.Fatal(err)
	}
	config, err := os.ReadFile(b.w.Config)
	if err != nil {
		b.t.Fatal(err)
	}
	text := strings.ReplaceAll(string(config), b.w.Kubeconfig, cluster.Kubeconfig)
	text = regexp.MustCompile(`(?m)^data: .*$`).ReplaceAllString(text, "data: "+b.t.TempDir())
	write(b.t, b.w.Config, text)
	b.w.Cluster, b.w.Kubeconfig = cluster, cluster.Kubeconfig
	if err := p.Start(); err != nil {
		b.t.Fatal(err)
	}
	if err := b.w.Ready(ctx); err != nil {
		b.t.Fatal(err)
	}
}
