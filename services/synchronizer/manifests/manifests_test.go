package manifests_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/services/synchronizer/manifests"
	"github.com/slipway-cd/slipway/shared/service"
)

func documents(t *testing.T, o manifests.Options) map[string]map[string]any {
	t.Helper()
	text, err := manifests.Synchronizer(o)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]any{}
	for d := yaml.NewDecoder(bytes.NewReader([]byte(text))); ; {
		var doc map[string]any
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		name, _ := doc["metadata"].(map[string]any)["name"].(string)
		all[doc["kind"].(string)+" "+name] = doc
	}
}

func TestTheConfigIsOneThatTheSynchronizerReads(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]manifests.Options{
		"plain":       {},
		"credentials": {Credentials: true, User: `odd "user": #`},
		"odd path":    {Path: "clusters/a: b"},
	} {
		o.Namespace, o.Cluster, o.Repository, o.Branch = "other-system", "north", "https://git.example.com/acme/config.git", "main"
		o.Image, o.BusURL = "registry.example.com/synchronizer:1", "nats://nats:4222"
		if o.Path == "" {
			o.Path = "clusters/north"
		}
		config, _ := documents(t, o)["ConfigMap synchronizer"]["data"].(map[string]any)["slipway.yaml"].(string)
		file := filepath.Join(t.TempDir(), "slipway.yaml")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := service.LoadRepositories(file)
		if err != nil {
			t.Fatalf("%s: %v:\n%s", name, err, config)
		}
		r := c.Repositories[0]
		if text, _ := manifests.Synchronizer(o); strings.Count(text, "image:") != 1 || !strings.Contains(text, `image: "registry.example.com/synchronizer:1"`) {
			t.Errorf("%s: the image is not the one that was asked for:\n%s", name, text)
		}
		if c.Cluster != "north" || r.Roots[0].Path != o.Path || r.Credentials.User != o.User || (r.Credentials.Token != nil) != o.Credentials || c.Synchronizer.Trusted[0] != "other-system" {
			t.Errorf("%s: it is read as %+v", name, c)
		}
	}
}

// What runs may do as little as a pod can.
func TestThePodIsRestricted(t *testing.T) {
	t.Parallel()
	text, err := yaml.Marshal(documents(t, manifests.Options{Namespace: "n", Cluster: "c", Image: "i"})["Deployment synchronizer"])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"runAsNonRoot: true", "readOnlyRootFilesystem: true", "allowPrivilegeEscalation: false", "- ALL", "RuntimeDefault", "image: i"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("it lacks %s:\n%s", want, text)
		}
	}
}

// The files name a namespace, which kustomize and bootstrap put another for.
func TestTheNamespaceIsTheOneAskedFor(t *testing.T) {
	t.Parallel()
	text, err := manifests.Synchronizer(manifests.Options{Namespace: "other-system", Cluster: "c", Image: "i"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "slipway-system") || strings.Count(text, "namespace: other-system") != 5 {
		t.Errorf("a namespace is not the one asked for:\n%s", text)
	}
}
