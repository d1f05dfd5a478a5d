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
