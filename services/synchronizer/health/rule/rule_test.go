package rule_test

import (
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/services/synchronizer/health/rule"
	"github.com/slipway-cd/slipway/shared/api"
)

func TestCompile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rule api.HealthRule
		want string
	}{
		"right":          {api.HealthRule{Kind: "A", Group: "x.io", Healthy: "status.ready", Failed: "has(status.error)", Message: "status.error"}, ""},
		"optional":       {api.HealthRule{Kind: "A", Group: "x.io", Healthy: "status.?phase.orValue('') == 'Ready'"}, ""},
		"condition":      {api.HealthRule{Kind: "A", Group: "x.io", Healthy: "object.condition('Ready').status == 'True'"}, ""},
		"other number":   {api.HealthRule{Kind: "A", Group: "x.io", Healthy: "status.ready >= spec.replicas * 0.5"}, ""},
		"syntax":         {api.HealthRule{Kind: "A", Group: "x.io", Healthy: "status.ready ="}, "spec.health[0].healthy: ERROR: <input>:1:14: Syntax error"},
		"unknown name":   {api.HealthRule{Kind: "A", Group: "x.io", Healthy: "true", Failed: "state.failed"}, "spec.health[0].failed: ERROR: <input>:1:1: undeclared reference to 'state'"},
		"types":          {api.HealthRule{Kind: "A", Group: "x.io", Healthy: "1 + 'a' == status.x"}, "no matching overload"},
		"gives a number": {api.HealthRule{Kind: "A", Group: "x.io", Healthy: "1 + 1"}, "spec.health[0].healthy: it gives int, not bool"},
		"no text":        {api.HealthRule{Kind: "A", Group: "x.io", Healthy: "true", Message: "status.x == 1"}, "spec.health[0].message: it gives bool, not string"},
		"built-in":       {api.HealthRule{Kind: "Deployment", Group: "apps", Healthy: "true"}, `spec.health[0]: Deployment of group "apps" is a kind of Kubernetes or Slipway`},
		"ours":           {api.HealthRule{Kind: "Application", Group: "slipway.dev", Healthy: "true"}, "whose health is known"},
		"empty":          {api.HealthRule{Kind: "A", Group: "x.io"}, "spec.health[0].healthy: "},
		"deep":           {api.HealthRule{Kind: "A", Group: "x.io", Healthy: strings.Repeat("(", 2000) + "true" + strings.Repeat(")", 2000)}, "spec.health[0].healthy: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules, err := rule.Compile([]api.HealthRule{tt.rule})
			switch {
			case tt.want == "" && (err != nil || rules.For(schema.GroupVersionKind{Group: "x.io", Version: "v7", Kind: "A"}) == nil):
				t.Errorf("%v, %v", rules, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%v does not say %q", err, tt.want)
			}
		})
	}
}

// TestREADMEsRule holds the README's example to what is compiled.
func TestREADMEsRule(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../README.md")
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
	if _, err := rule.Compile(rules); err != nil {
		t.Error(err)
	}
}
