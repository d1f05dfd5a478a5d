package health_test

import (
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/api"
)

// TestREADMEsRule holds the README's example to what is compiled.
func TestREADMEsRule(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(data), "```yaml\nspec:\n  health:\n")
	example, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("the README has no example of spec.health")
	}
	var rules []api.HealthRule
	if err := yaml.UnmarshalStrict([]byte(example), &rules); err != nil || len(rules) != 1 {
		t.Fatalf("%d rules, %v", len(rules), err)
	}
	if _, err := health.Compile(rules); err != nil {
		t.Error(err)
	}
}
