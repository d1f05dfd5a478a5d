package automator

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/service/servicetest"
)

// TestREADMEsTemplateIsTaken reads the README's example as the automator does.
func TestREADMEsTemplateIsTaken(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(automator:\n  commit:.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("the README has no example of automator.commit")
	}
	var cfg Config
	if err := yaml.Unmarshal(block[1], &cfg); err != nil {
		t.Fatal(err)
	}
	if cfg.Automator.Commit.Message == "" {
		t.Fatal("the README's example has no template")
	}
	cfg.Automator.Commit.Author = "Slipway <slipway@example.com>"
	if err := check(cfg); err != nil {
		t.Error(err)
	}
}

// TestREADMEsRegistriesAreTaken reads the README's example of registries.
func TestREADMEsRegistriesAreTaken(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(registries:.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("the README has no example of registries")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ghcr": "x", "docker": "{}", "slipway.yaml": "bus: {embedded: {}}\n" + strings.ReplaceAll(string(block[1]), "/run/secrets", dir),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := service.Load(filepath.Join(dir, "slipway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := registryHosts(cfg)
	if err != nil || len(hosts) != 3 || hosts[0].Source == nil || hosts[1].Source == nil || len(hosts[2].Mirrors) != 2 || hosts[2].Mirrors[0].DockerConfig == "" {
		t.Fatalf("%+v, %v", hosts, err)
	}
	// A secret that is rotated counts without a restart.
	for _, secret := range []string{"x", "y"} {
		if err := os.WriteFile(filepath.Join(dir, "ghcr"), []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		got, until, err := hosts[0].Source(t.Context())
		if err != nil || got.Username != "slipway" || got.Password != secret || time.Until(until) > reread {
			t.Errorf("%+v until %s, %v; want %s", got, until, err, secret)
		}
	}
}

// TestREADMEsPolicyIsTaken reads the README's example of keyless signatures.
func TestREADMEsPolicyIsTaken(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(    verify:.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("the README has no example of verify")
	}
	policy := `apiVersion: slipway.dev/v1alpha1
kind: DeploymentPolicy
metadata: {name: shop}
spec:
  rules:
  - applications: ["**"]
    images: ["**"]
    track: {semver: ">=1"}
    mode: automatic
` + string(block[1])
	docs, err := api.Decode("shop.yaml", []byte(policy))
	if err != nil {
		t.Fatal(err)
	}
	who := docs[0].Object.(*api.DeploymentPolicy).Spec.Rules[0].Verify.Cosign.Keyless.Identities
	if len(who) != 2 || !who[1].Matches("https://gitlab.com", "https://gitlab.com/acme/web//.gitlab-ci.yml@refs/heads/main") {
		t.Errorf("%v", who)
	}
}

// TestREADMEsPeopleAreTaken loads the README's example as a service does.
func TestREADMEsPeopleAreTaken(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(automator:\n  people:.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("the README has no example of automator.people")
	}
	run := t.TempDir()
	servicetest.Write(t, filepath.Join(run, "maria"), "a token of some length")
	servicetest.Write(t, filepath.Join(run, "login-ca.pem"), servicetest.NewCA(t).PEM())
	file := filepath.Join(run, "slipway.yaml")
	servicetest.Write(t, file, "bus: {embedded: {}}\n"+strings.ReplaceAll(string(block[1]), "/run/secrets", run))
	cfg, err := service.Load(file)
	if err != nil || len(cfg.Automator.People) != 1 || len(cfg.Automator.OIDC) != 1 {
		t.Errorf("%+v, %v", cfg.Automator, err)
	}
}

func TestBadConfigIsRefused(t *testing.T) {
	for says, cfg := range map[string]Config{
		"registries[0].credentials.ambient: ecr is for ": {Registries: []service.Registry{{Host: "ghcr.io", Credentials: service.Credentials{Ambient: "ecr"}}}},
		"registries[0].credentials: read secret":         {Registries: []service.Registry{{Host: "ghcr.io", Credentials: service.Credentials{Password: &service.Secret{File: "/nowhere"}}}}},
		"registries[0].mirrors[0].credentials.ambient: acr is for ": {Registries: []service.Registry{{
			Host: "ghcr.io", Mirrors: []service.Mirror{{Endpoint: "https://mirror.internal/x", Credentials: service.Credentials{Ambient: "acr"}}},
		}}},
		"automator.commit.message: ": {Automator: service.Automator{Commit: service.Commit{Message: "{{.Tag}}"}}},
		"repositories[0].policies[0].applications: ": {Repositories: []service.Repository{{
			Policies: []service.PolicyPath{{Path: "policies", Applications: []string{""}}},
		}}},
	} {
		if err := check(cfg); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}
