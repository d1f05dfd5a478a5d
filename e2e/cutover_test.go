package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/shared/api/crd"
)

const fluxDefinition = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: kustomizations.kustomize.toolkit.fluxcd.io}
spec:
  group: kustomize.toolkit.fluxcd.io
  scope: Namespaced
  names: {kind: Kustomization, plural: kustomizations}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

// TestAKilledCutOverGoesOn kills the command at ever later moments, until it has
// come to its end: then theirs is gone, both of ours that share what it was go on,
// and the objects are those that were there before.
func TestAKilledCutOverGoesOn(t *testing.T) {
	ctx := t.Context()
	if err := parts.Build(ctx, nil); err != nil {
		t.Fatal(err)
	}
	bin, repo := programs(t), t.TempDir()
	cluster, err := parts.StartCluster(ctx, parts.ClusterOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Kill)
	apply := func(text string) {
		t.Helper()
		if err := parts.Eventually(ctx, time.Minute, func() error { return cluster.Apply(ctx, text) }); err != nil {
			t.Fatal(err)
		}
	}
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := cluster.Kubectl(ctx, args...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	apply(string(crd.Applications) + "---\n" + fluxDefinition)
	var apps []string
	for n, name := range []string{"many", "more"} {
		app, objects := filepath.Join(repo, name+".yaml"), filepath.Join(repo, name, "objects.yaml")
		must(t, os.MkdirAll(filepath.Dir(objects), 0o700))
		write(t, app, `apiVersion: slipway.dev/v1alpha1
kind: Application
metadata: {name: `+name+`, namespace: default}
spec: {source: {repository: "https://git.example.com/a/b.git", branch: main, path: `+name+`}}
`)
		var text strings.Builder
		for i := range 10 {
			fmt.Fprintf(&text, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: many-%d, namespace: default, labels: {many: \"\"}}\ndata: {a: b}\n", 10*n+i)
		}
		// In the cluster they have Flux's mark, which goes once the fields are ours.
		write(t, objects, strings.ReplaceAll(text.String(), `many: ""`, `many: "", kustomize.toolkit.fluxcd.io/name: many`))
		kubectl("apply", "--server-side", "--field-manager", "kustomize-controller", "-f", objects)
		write(t, objects, text.String())
		apps = append(apps, "-f", app)
	}
	apply(`apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: many, namespace: default, finalizers: [finalizers.fluxcd.io]}
spec: {path: ./path, prune: true}
`)
	const uids = `jsonpath={.items[*].metadata.uid}`
	before := kubectl("get", "configmaps", "-l", "many", "-o", uids)
	killed := 0
	for patience := 60 * time.Millisecond; ; patience += 35 * time.Millisecond {
		within, cancel := context.WithTimeout(ctx, patience) // then it is killed
		cmd := exec.CommandContext(within, filepath.Join(bin, "slipway"), "migrate", "flux", "cutover", "default/many", "--own-rights")
		cmd.Args = append(cmd.Args, apps...)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig)
		out, err := cmd.CombinedOutput()
		late := within.Err() != nil
		cancel()
		if err == nil {
			break
		}
		if !late {
			t.Fatalf("after %d kills: %v:\n%s", killed, err, out)
		}
		killed++
	}
	t.Logf("killed %d times", killed)
	if killed == 0 {
		t.Error("it was never killed")
	}
	if after := kubectl("get", "configmaps", "-l", "many", "-o", uids); after != before {
		t.Errorf("the objects were\n%s\nand are\n%s", before, after)
	}
	if left := kubectl("get", "kustomizations.kustomize.toolkit.fluxcd.io", "-o", "name"); left != "" {
		t.Errorf("theirs is still there: %s", left)
	}
	if ours := kubectl("get", "applications.slipway.dev", "many", "more", "-o", "yaml"); strings.Contains(ours, "suspend") {
		t.Errorf("ours are suspended:\n%s", ours)
	}
	if managers := kubectl("get", "configmaps", "-l", "many", "-o", "jsonpath={.items[*].metadata.managedFields[*].manager}", "--show-managed-fields"); strings.Contains(managers, "kustomize-controller") || strings.Count(managers, "slipway") != 20 {
		t.Errorf("the fields are those of %s", managers)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
