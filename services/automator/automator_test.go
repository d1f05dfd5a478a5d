package automator

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/shared/service"
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

func TestBadConfigIsRefused(t *testing.T) {
	for says, cfg := range map[string]Config{
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
