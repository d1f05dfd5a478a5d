package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/compose"
	"github.com/slipway-cd/slipway/e2e/deploy"
	"github.com/slipway-cd/slipway/e2e/parts"
)

// overlays are all that there are, with components that go with them.
var overlays = []struct {
	name       string
	components []string
	workloads  map[string]int // pods of each
}{
	{"single", nil, map[string]int{"slipway": 1}},
	{"production", []string{"cert-manager"}, map[string]int{"registry-receiver": 2, "git-receiver": 2, "automator": 2, "synchronizer": 2, "nats": 3}},
	{"leaf", nil, map[string]int{"synchronizer": 1, "nats": 2}},
	{"hpa", nil, map[string]int{"registry-receiver": 1, "git-receiver": 1, "automator": 1, "synchronizer": 1, "nats": 3}},
	{"keda", nil, map[string]int{"registry-receiver": 1, "git-receiver": 1, "automator": 1, "synchronizer": 1, "nats": 3}},
}

func cluster(t *testing.T) *parts.Cluster {
	t.Helper()
	c, err := parts.StartCluster(t.Context(), parts.ClusterOptions{Dir: t.TempDir(), Nodes: 3})
	must(t, err)
	t.Cleanup(c.Kill)
	text, err := os.ReadFile("testdata/definitions.yaml")
	must(t, err)
	must(t, c.Apply(t.Context(), string(text)))
	_, err = c.Kubectl(t.Context(), "wait", "crds", "--all", "--for=condition=Established", "--timeout=30s")
	must(t, err)
	return c
}

// TestOverlaysApply applies each overlay, in a namespace of its own, where pods
// are held to the restricted standard.
func TestOverlaysApply(t *testing.T) {
	c := cluster(t)
	known, err := os.ReadDir(filepath.Join(root(t), deploy.Folder, "overlays"))
	must(t, err)
	if len(known) != len(overlays) {
		t.Errorf("%d overlays are tested of %d", len(overlays), len(known))
	}
	for _, o := range overlays {
		t.Run(o.name, func(t *testing.T) {
			namespace := "slipway-" + o.name
			objects, err := deploy.Overlay(t.Context(), root(t), o.name, namespace, o.components...)
			must(t, err)
			apply(t, c, objects, namespace)
			must(t, parts.EventuallyEvery(t.Context(), 200*time.Millisecond, 30*time.Second, func() error { return runs(t.Context(), c, namespace, o.workloads) }))
		})
	}
	t.Run("monitoring", func(t *testing.T) {
		objects, err := deploy.Path(t.Context(), root(t), "deploy/monitoring", "slipway-production")
		must(t, err)
		apply(t, c, objects, "slipway-production")
	})
	t.Run("a pod that may more is refused", func(t *testing.T) { refusesPods(t, c) })
	t.Run("what the namespace lets through", func(t *testing.T) { isolated(t) })
}

// apply applies as a server-side dry run, then for real, with unknown fields
// refused.
func apply(t *testing.T, c *parts.Cluster, objects deploy.Objects, namespace string) {
	t.Helper()
	for _, object := range objects {
		if object.Kind == "Namespace" { // without it a dry run has no place for the others
			must(t, c.Apply(t.Context(), string(object.Raw)))
		}
		if object.Namespace != "" && object.Namespace != namespace {
			t.Errorf("%s is in another namespace than the overlay's", object)
		}
	}
	file := filepath.Join(t.TempDir(), "all.yaml")
	must(t, os.WriteFile(file, []byte(objects.Stream()), 0o600))
	for _, how := range []string{"--dry-run=server", "--dry-run=none"} {
		out, err := c.Kubectl(t.Context(), "apply", "--server-side", "--force-conflicts", "--validate=strict", how, "-f", file)
		if err != nil {
			t.Fatalf("%s: %v\n%s", how, err, out)
		}
	}
}

// runs says whether the API server took the pods of the workloads.
func runs(ctx context.Context, c *parts.Cluster, namespace string, workloads map[string]int) error {
	out, err := c.Kubectl(ctx, "get", "pods", "-n", namespace, "-o", `jsonpath={range .items[*]}{.metadata.labels.app\.kubernetes\.io/name}{"\n"}{end}`)
	if err != nil {
		return err
	}
	found := map[string]int{}
	for name := range strings.FieldsSeq(out) {
		found[name]++
	}
	for name, want := range workloads {
		if found[name] >= want { // an autoscaler makes more
			continue
		}
		events, _ := c.Kubectl(ctx, "get", "events", "-n", namespace, "--field-selector", "reason=FailedCreate")
		return fmt.Errorf("%s has the pods %v, want %v\n%s", namespace, found, workloads, events)
	}
	return nil
}

// refusesPods shows that the standard is in force where our own pods passed.
func refusesPods(t *testing.T, c *parts.Cluster) {
	t.Helper()
	for name, spec := range map[string]string{
		"as root":          `{"containers":[{"name":"x","image":"x"}]}`,
		"on the node":      `{"hostNetwork":true,"containers":[{"name":"x","image":"x"}]}`,
		"with privileges":  `{"containers":[{"name":"x","image":"x","securityContext":{"privileged":true}}]}`,
		"with host folder": `{"volumes":[{"name":"h","hostPath":{"path":"/"}}],"containers":[{"name":"x","image":"x"}]}`,
	} {
		for _, o := range overlays {
			err := c.Apply(t.Context(), fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"bad","namespace":"slipway-%s"},"spec":%s}`, o.name, spec))
			if err == nil || !strings.Contains(err.Error(), `violates PodSecurity "restricted`) {
				t.Errorf("a pod %s in %s: %v", name, o.name, err)
			}
		}
	}
}

// isolated holds that all pods have a policy that says what they may, and that
// nothing is open but what is meant to be.
func isolated(t *testing.T) {
	t.Helper()
	objects, err := deploy.Overlay(t.Context(), root(t), "production", "slipway-system")
	must(t, err)
	open := map[string][]string{} // by policy, the ports that anybody reaches
	for _, object := range objects {
		if object.Kind != "NetworkPolicy" {
			continue
		}
		var policy struct {
			Spec struct {
				Ingress []struct {
					From  []any
					Ports []struct{ Port any }
				}
			}
		}
		data, err := json.Marshal(object.Map)
		must(t, err)
		must(t, json.Unmarshal(data, &policy))
		for _, rule := range policy.Spec.Ingress {
			for _, port := range rule.Ports {
				if len(rule.From) == 0 {
					open[object.Name] = append(open[object.Name], fmt.Sprint(port.Port))
				}
			}
		}
	}
	want := map[string][]string{"registry-receiver": {"hooks"}, "git-receiver": {"hooks"}}
	if fmt.Sprint(open) != fmt.Sprint(want) {
		t.Errorf("open to anybody are %v, want %v", open, want)
	}
}

// TestNoServiceHoldsAnothersSecret holds that each pod mounts its own alone.
func TestNoServiceHoldsAnothersSecret(t *testing.T) {
	t.Parallel()
	objects, err := deploy.Overlay(t.Context(), root(t), "production", "slipway-system")
	must(t, err)
	want := map[string][]string{
		"registry-receiver": {"registry-receiver-bus", "registry-receiver-hooks"},
		"git-receiver":      {"git-receiver-bus", "git-receiver-hooks"},
		"automator":         {"automator-bus", "automator-git", "automator-people", "automator-registry"},
		"synchronizer":      {"slipway-git", "synchronizer-bus"},
		"nats":              {"nats-tls"},
	}
	for _, object := range objects {
		if object.Kind != "Deployment" && object.Kind != "StatefulSet" {
			continue
		}
		got := fields(object.Map, "secretName")
		slices.Sort(got)
		if !slices.Equal(got, want[object.Name]) {
			t.Errorf("%s mounts the Secrets %v, want %v", object.Name, got, want[object.Name])
		}
		token := fields(object.Map, "serviceAccountName")
		if len(token) != 1 || token[0] != object.Name {
			t.Errorf("%s runs as account %v", object.Name, token)
		}
	}
}

// TestImagesAreThoseThatAreBuilt holds that what runs is built here, or pinned to
// the version of the module that the tests run.
func TestImagesAreThoseThatAreBuilt(t *testing.T) {
	t.Parallel()
	gomod, err := os.ReadFile(filepath.Join(root(t), "e2e/nats/go.mod"))
	must(t, err)
	for _, o := range overlays {
		objects, err := deploy.Overlay(t.Context(), root(t), o.name, "slipway-system")
		must(t, err)
		var all []string
		for _, object := range objects {
			all = append(all, fields(object.Map, "image")...)
		}
		if len(all) == 0 {
			t.Errorf("%s runs nothing", o.name)
		}
		for _, image := range all {
			if version, nats := strings.CutPrefix(image, "nats:"); nats {
				if !strings.Contains(string(gomod), "nats-server/v2 v"+strings.TrimSuffix(version, "-alpine")+" ") {
					t.Errorf("%s has %s, the tests another", o.name, image)
				}
				continue
			}
			name, tagged := strings.CutSuffix(strings.TrimPrefix(image, "ghcr.io/slipway-cd/"), ":latest")
			if !tagged || !slices.Contains(compose.Services, name) {
				t.Errorf("%s has %s, which nobody builds", o.name, image)
			}
		}
	}
}
