package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/deploy"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

var secretFile = regexp.MustCompile(`/run/secrets/[a-z-]+/[a-z.-]+`)

// TestConfigsAreReadByTheServices loads what each pod would, with the Secrets that
// its Deployment mounts.
func TestConfigsAreReadByTheServices(t *testing.T) {
	t.Parallel()
	ca := servicetest.NewCA(t)
	for overlay, names := range map[string][]string{
		"single": {"slipway"}, "leaf": {"synchronizer"},
		"production": {"registry-receiver", "git-receiver", "automator", "synchronizer"},
	} {
		objects, err := deploy.Overlay(t.Context(), root(t), overlay, "slipway-system")
		must(t, err)
		for _, name := range names {
			text, err := objects.Data(name, "slipway.yaml")
			must(t, err)
			deployment, err := objects.Find("Deployment", name)
			must(t, err)
			mounts := strings.Join(fields(deployment.Map, "mountPath"), "\n")
			dir := t.TempDir()
			for _, file := range secretFile.FindAllString(text, -1) {
				if !strings.Contains(mounts+"\n", filepath.Dir(file)+"\n") {
					t.Errorf("%s of %s reads %s, which it doesn't mount", name, overlay, file)
				}
				must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o755))
				servicetest.Write(t, filepath.Join(dir, file), content(t, ca, filepath.Base(file)))
			}
			if strings.Contains(text, "tls.key") {
				cert, key := ca.Issue(t, name, time.Hour)
				servicetest.Write(t, filepath.Join(dir, "run/secrets/bus/tls.crt"), cert)
				servicetest.Write(t, filepath.Join(dir, "run/secrets/bus/tls.key"), key)
			}
			file := filepath.Join(dir, "slipway.yaml")
			servicetest.Write(t, file, strings.ReplaceAll(text, "/run/secrets/", dir+"/run/secrets/"))
			if _, err := service.Load(file); err != nil {
				t.Errorf("%s of %s: %v", name, overlay, err)
			}
		}
	}
}

func content(t *testing.T, ca *servicetest.CA, name string) string {
	t.Helper()
	switch name {
	case "ca.crt":
		return ca.PEM()
	case "config.json":
		return `{"auths":{}}`
	}
	return "a-secret-of-enough-length"
}

// TestTheExampleOfTheReadmeRenders has a user's folder as the README shows it, beside
// ours.
func TestTheExampleOfTheReadmeRenders(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root(t), deploy.Folder, "README.md"))
	must(t, err)
	_, example, found := strings.Cut(string(text), "```yaml\n# kustomization.yaml\n")
	example, _, ended := strings.Cut(example, "```")
	if !found || !ended {
		t.Fatal("the README has no kustomization.yaml")
	}
	files := map[string]string{"kustomization.yaml": strings.NewReplacer("github.com/slipway-cd/slipway/", "../", "?ref=main", "").Replace(example)}
	names := []string{"registry-receiver", "git-receiver", "automator", "synchronizer"}
	for _, name := range names {
		files[name+".yaml"] = "# mine: " + name + "\n"
	}
	objects, err := deploy.Own(t.Context(), root(t), files)
	must(t, err)
	for _, name := range names {
		if config, err := objects.Data(name, "slipway.yaml"); err != nil || config != files[name+".yaml"] {
			t.Errorf("the config of %s is %q, %v", name, config, err)
		}
	}
	receiver, err := objects.Find("Deployment", "registry-receiver")
	must(t, err)
	if images := fields(receiver.Map, "image"); len(images) != 1 || images[0] != "registry.example.com/slipway/registry-receiver:1.0.0" {
		t.Errorf("its images are %v", images)
	}
	if _, err := objects.Find("Certificate", "nats"); err != nil {
		t.Error(err)
	}
}
