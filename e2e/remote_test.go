package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/services/synchronizer"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
)

// TestAnotherCluster applies to a cluster that a kubeconfig names.
func TestAnotherCluster(t *testing.T) {
	t.Parallel()
	b := newSyncBed(t)
	other, err := parts.StartCluster(t.Context(), parts.ClusterOptions{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(other.Kill)
	kubeconfig, err := os.ReadFile(other.Kubeconfig)
	must(t, err)
	must(t, other.Apply(t.Context(), "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"))
	elsewhere := func(value string) func() error {
		return func() error {
			got, err := other.Kubectl(t.Context(), "get", "configmap", "-n", "shop", "away", "--ignore-not-found", "-o", "jsonpath={.data.value}")
			if err == nil && got != value {
				err = fmt.Errorf("elsewhere away is %q, want %q", got, value)
			}
			return err
		}
	}
	first := b.push(t, "first", map[string]string{"apps/away/cm.yaml": settings("away", "1"), "apps/near/cm.yaml": settings("near", "1")})
	b.start(t)
	const to = "  destination: {kubeconfigSecret: other}\n"
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		return b.cluster.Apply(t.Context(), "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n"+
			application("shop", "away", b.url, "apps/away", to)+application("shop", "near", b.url, "apps/near", ""))
	}))
	b.says(t, "shop", "away", api.ConditionReconciling, "KubeconfigMissing", "needs Secret shop/other, which is not there")

	// What would run a program here is refused, and so is what is none.
	const evil = `apiVersion: v1
kind: Config
current-context: it
contexts: [{name: it, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/true, interactiveMode: Never}}}]
`
	must(t, b.cluster.Apply(t.Context(), secretText("shop", "other", map[string]string{"value": evil})))
	b.says(t, "shop", "away", api.ConditionReconciling, "KubeconfigMissing", "exec is refused")
	must(t, b.cluster.Apply(t.Context(), secretText("shop", "other", map[string]string{"config": "x"})))
	b.says(t, "shop", "away", api.ConditionReconciling, "KubeconfigMissing", "put it under the key value")

	must(t, b.cluster.Apply(t.Context(), secretText("shop", "other", map[string]string{"value": string(kubeconfig)})))
	b.becomes(t, "shop", "away", "True", first)
	must(t, elsewhere("1")())
	if b.exists(t, "shop", "configmap", "away") {
		t.Error("it is here, too")
	}

	// A diff is one with that cluster, where the Secret can be read.
	file := filepath.Join(b.work, "away.yaml")
	must(t, os.WriteFile(file, []byte(strings.TrimSuffix(application("shop", "away", b.url, "apps/away", to), "---\n")), 0o600))
	config, err := kube.Load(kube.Options{Kubeconfig: b.cluster.Kubeconfig})
	must(t, err)
	clients, err := kube.New(config)
	must(t, err)
	compared := func(want, note string) {
		t.Helper()
		notes := ""
		changes, err := synchronizer.Diff(t.Context(), clients, synchronizer.DiffOptions{
			RenderOptions: synchronizer.RenderOptions{Application: file}, Trusted: []string{"shop"}, Note: func(n string) { notes += n },
		})
		if err != nil || len(changes) != 1 || string(changes[0].Action) != want || !strings.Contains(notes, note) {
			t.Errorf("it differs by %+v, %v, with the note %q", changes, err, notes)
		}
	}
	compared("unchanged", "")
	must(t, os.WriteFile(file, []byte(strings.TrimSuffix(application("shop", "away", b.url, "apps/away", "  destination: {kubeconfigSecret: none}\n"), "---\n")), 0o600))
	compared("created", "not with its own: spec.destination.kubeconfigSecret needs Secret shop/none")
	must(t, os.Remove(file))

	// It is put right there, and hears of commits; after a restart, too.
	_, err = other.Kubectl(t.Context(), "patch", "configmap", "-n", "shop", "away", "--type", "merge", "-p", `{"data":{"value":"drifted"}}`)
	must(t, err)
	must(t, parts.Eventually(t.Context(), syncPatience, elsewhere("1")))
	b.stop()
	b.start(t)
	_, err = other.Kubectl(t.Context(), "delete", "configmap", "-n", "shop", "away")
	must(t, err)
	must(t, parts.Eventually(t.Context(), syncPatience, elsewhere("1")))
	second := b.push(t, "second", map[string]string{"apps/away/cm.yaml": settings("away", "2")})
	b.tell(t, second)
	b.becomes(t, "shop", "away", "True", second)
	must(t, elsewhere("2")())

	// A Project says to which clusters.
	must(t, b.cluster.Apply(t.Context(), "apiVersion: slipway.dev/v1alpha1\nkind: Project\nmetadata: {name: shop}\nspec:\n  namespaces: [shop]\n  repositories: [\"**\"]\n  destinations: [{cluster: test, namespaces: [shop]}]\n"))
	b.says(t, "shop", "away", api.ConditionStalled, "ProjectForbids", "Project shop doesn't allow the cluster 127.0.0.1:")
	_, err = b.cluster.Kubectl(t.Context(), "delete", "projects.slipway.dev", "shop")
	must(t, err)
	b.becomes(t, "shop", "away", "True", second)

	// What is deleted here goes there.
	_, err = b.cluster.Kubectl(t.Context(), "delete", "applications.slipway.dev", "-n", "shop", "away")
	must(t, err)
	must(t, elsewhere("")())

	// One that is away delays nobody: many of its applications, one of ours.
	const many = 16
	files, documents := map[string]string{"apps/near/cm.yaml": settings("near", "2")}, ""
	for i := range many {
		name := fmt.Sprintf("gone-%d", i)
		files["apps/"+name+"/cm.yaml"] = settings(name, "1")
		documents += application("shop", name, b.url, "apps/"+name, to)
	}
	other.Kill()
	third := b.push(t, "third", files)
	must(t, b.cluster.Apply(t.Context(), documents))
	b.tell(t, third)
	b.becomes(t, "shop", "near", "True", third)
	if n := b.count(hasOutcome("success", third)); n != 1 {
		t.Errorf("%d applications are healthy, of which one can be", n)
	}
}

// TestAnotherDestination changes the cluster to which an application goes: what it
// has in the one before is deleted there, and nowhere else, once it is healthy in
// the new one.
func TestAnotherDestination(t *testing.T) {
	t.Parallel()
	b := newSyncBed(t)
	other, err := parts.StartCluster(t.Context(), parts.ClusterOptions{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(other.Kill)
	theirs, err := os.ReadFile(other.Kubeconfig)
	must(t, err)
	ours, err := os.ReadFile(b.cluster.Kubeconfig)
	must(t, err)
	const shop = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n"
	must(t, other.Apply(t.Context(), shop))
	uid := func(c *parts.Cluster) string {
		t.Helper()
		out, err := c.Kubectl(t.Context(), "get", "configmap", "-n", "shop", "away", "--ignore-not-found", "-o", "jsonpath={.metadata.uid}")
		must(t, err)
		return out
	}
	// at waits until the object is in one of the clusters and not in the other.
	at := func(here, there *parts.Cluster) {
		t.Helper()
		must(t, parts.Eventually(t.Context(), syncPatience, func() error {
			if uid(here) == "" || uid(there) != "" {
				return fmt.Errorf("it is %q where it goes and %q where it went", uid(here), uid(there))
			}
			return nil
		}))
	}
	goes := func(secret, more string) {
		t.Helper()
		destination := ""
		if secret != "" {
			destination = "  destination: {kubeconfigSecret: " + secret + "}\n"
		}
		must(t, b.cluster.Apply(t.Context(), application("shop", "away", b.url, "apps/away", destination+more)))
	}
	leads := func(secret string, kubeconfig []byte) {
		t.Helper()
		must(t, b.cluster.Apply(t.Context(), secretText("shop", secret, map[string]string{"value": string(kubeconfig)})))
	}
	first := b.push(t, "first", map[string]string{"apps/away/cm.yaml": settings("away", "1")})
	b.start(t)
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		return b.cluster.Apply(t.Context(), shop+application("shop", "away", b.url, "apps/away", ""))
	}))
	b.becomes(t, "shop", "away", "True", first)
	leads("other", theirs)
	goes("other", "")
	at(other, b.cluster)
	b.becomes(t, "shop", "away", "True", first)
	goes("", "")
	at(b.cluster, other)
	b.becomes(t, "shop", "away", "True", first)

	// The same cluster by another way is no other: what is there stays.
	before := uid(b.cluster)
	leads("home", ours)
	goes("home", "")
	second := b.push(t, "second", map[string]string{"apps/away/cm.yaml": settings("away", "2")})
	b.tell(t, second)
	b.becomes(t, "shop", "away", "True", second)
	b.is(t, "shop", "away", "2")
	if now := uid(b.cluster); now != before {
		t.Errorf("it was made anew: %q, and before %q", now, before)
	}

	// A Secret that leads elsewhere by itself leaves no way back: it is asked.
	goes("other", "")
	at(other, b.cluster)
	b.becomes(t, "shop", "away", "True", second)
	leads("other", ours)
	b.says(t, "shop", "away", api.ConditionStalled, "DestinationChanged", "its 1 objects in 127.0.0.1:", "the Secret other leads to 127.0.0.1:", "sync.prune to false")
	if uid(other) == "" || uid(b.cluster) != "" {
		t.Error("something was changed without an answer")
	}
	leads("other", theirs)
	b.becomes(t, "shop", "away", "True", second)

	// So is it where the Secret has gone, and where too much would be deleted.
	_, err = b.cluster.Kubectl(t.Context(), "delete", "secret", "-n", "shop", "other")
	must(t, err)
	goes("home", "")
	b.says(t, "shop", "away", api.ConditionStalled, "DestinationChanged", "needs Secret shop/other, which is not there")
	leads("other", theirs)
	at(b.cluster, other)
	goes("other", "  sync: {maxPrune: 50%}\n")
	b.says(t, "shop", "away", api.ConditionStalled, "TooManyDeletions", "delete all of its 1 objects there")

	// The answer may be that they stay.
	goes("other", "  sync: {prune: false}\n")
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		if uid(other) == "" {
			return fmt.Errorf("it isn't there yet")
		}
		return nil
	}))
	b.becomes(t, "shop", "away", "True", second)
	if uid(b.cluster) == "" {
		t.Error("what shall stay is gone")
	}

	// A former cluster that is away for good is given up by the same word.
	third := b.push(t, "third", map[string]string{"apps/away/cm.yaml": settings("away", "3")})
	gone, err := parts.StartCluster(t.Context(), parts.ClusterOptions{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(gone.Kill)
	must(t, gone.Apply(t.Context(), shop))
	kubeconfig, err := os.ReadFile(gone.Kubeconfig)
	must(t, err)
	leads("gone", kubeconfig)
	must(t, b.cluster.Apply(t.Context(), application("shop", "lost", b.url, "apps/away", "  destination: {kubeconfigSecret: gone}\n")))
	b.becomes(t, "shop", "lost", "True", third)
	gone.Kill()
	must(t, b.cluster.Apply(t.Context(), "apiVersion: v1\nkind: Namespace\nmetadata: {name: lost}\n---\n"+
		application("shop", "lost", b.url, "apps/away", "  destination: {namespace: lost}\n")))
	b.says(t, "shop", "lost", api.ConditionReady, "PruneFailed", "could not prune in a former cluster", "set sync.prune to false")
	must(t, b.cluster.Apply(t.Context(), application("shop", "lost", b.url, "apps/away", "  destination: {namespace: lost}\n  sync: {prune: false}\n")))
	b.becomes(t, "shop", "lost", "True", third)

	// An Application that goes while its objects are to be pruned elsewhere takes
	// them along.
	leads("home", ours)
	b.stop()
	goes("home", "")
	_, err = b.cluster.Kubectl(t.Context(), "delete", "applications.slipway.dev", "-n", "shop", "away", "--wait=false")
	must(t, err)
	b.start(t)
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		if b.exists(t, "shop", "applications.slipway.dev", "away") || uid(other) != "" {
			return fmt.Errorf("it is still there: %q", uid(other))
		}
		return nil
	}))
}
