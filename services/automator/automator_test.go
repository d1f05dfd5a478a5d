package automator

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

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
	if err := check(cfg); err != nil {
		t.Error(err)
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
		"automator.commit.message: ": {Automator: service.Automator{Commit: service.Commit{Message: "{{.Tag}}"}}},
		"repositories[0].policies[0].applications: ": {Repositories: []service.Repository{{
			Policies: []service.PolicyPath{{Path: "policies", Applications: []string{""}}},
		}}},
	} {
		if err := check(cfg); err == nil || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}
