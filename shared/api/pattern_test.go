package api_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"production/shop/*", "production/shop/web", true},
		{"production/shop/*", "production/shop/web/x", false},
		{"production/*/web", "production/shop/web", true},
		{"production/shop-*/web", "production/shop-eu/web", true},
		{"production/shop-*/web", "production/shop/web", false},
		{"staging/**", "staging/shop/web", true},
		{"staging/**", "staging", true},
		{"staging/**", "stagingx/shop", false},
		{"**", "a/b/c", true},
		{"**/web", "web", true},
		{"**/web", "a/b/web", true},
		{"**/web", "a/b/cobweb", false},
		{"ghcr.io/**/web", "ghcr.io/web", true},
		{"ghcr.io/**/web", "ghcr.io/acme/team/web", true},
		{"ghcr.io/acme/*", "ghcrxio/acme/web", false},
		{"ghcr.io/acme/web+", "ghcr.io/acme/webb", false},
		{"ghcr.io/Acme/*", "ghcr.io/acme/web", false},
		{"a/*", "a/", true},
		{"*", "a/b", false},
	} {
		p, err := api.ParsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(c.name); got != c.want {
			t.Errorf("%s matches %s: %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
	for _, bad := range []string{"", "a**", "a/**b/c"} {
		if _, err := api.ParsePattern(bad); err == nil {
			t.Errorf("%q is taken as a pattern", bad)
		}
	}
}

func TestPoliciesAreReadStrictly(t *testing.T) {
	const head = "apiVersion: slipway.dev/v1alpha1\nkind: DeploymentPolicy\nmetadata: {name: shop}\nspec:\n  rules:\n"
	const rule = "  - {applications: [\"**\"], images: [\"**\"], mode: automatic, track: {semver: \">=1\"}}\n"
	for name, c := range map[string]struct{ text, want string }{
		"right":              {head + rule, ""},
		"track as a mapping": {head + strings.Replace(rule, `">=1"`, `{range: ">=1", prereleases: true, ignore: [x]}`, 1), ""},
		"unknown field":      {head + strings.Replace(rule, "mode", "mood", 1), "f.yaml:6: spec.rules[0].mood: unknown field"},
		"unknown in a track": {head + strings.Replace(rule, `">=1"`, `{range: ">=1", rnage: x}`, 1), `f.yaml:6: spec.rules[0].track.semver: unknown field "rnage"`},
		"a field twice":      {head + strings.Replace(rule, "mode: automatic", "mode: automatic, mode: never", 1), "f.yaml"},
		"a wrong type":       {head + strings.Replace(rule, `["**"], images`, `"**", images`, 1), "f.yaml:6: spec.rules[0].applications: must be a list"},
		"a number":           {head + strings.Replace(rule, "automatic", "1", 1), `f.yaml:6: spec.rules[0].mode: "1" must be a string`},
		"no mode":            {head + strings.Replace(rule, "mode: automatic, ", "", 1), `mode "" is none`},
		"no track":           {head + strings.Replace(rule, `track: {semver: ">=1"}`, "track: {}", 1), "exactly one of"},
		"a wrong pattern":    {head + strings.Replace(rule, `["**"], mode`, `["a**"], mode`, 1), "must be a whole segment"},
		"a wrong expression": {head + strings.Replace(rule, `">=1"`, `{range: ">=1", match: "("}`, 1), `expression "("`},
		"no rules":           {head, "spec.rules is empty"},
		"another version":    {strings.Replace(head, "v1alpha1", "v2", 1) + rule, `apiVersion "slipway.dev/v2" is not known`},
		"another kind":       {strings.Replace(head, "DeploymentPolicy", "Deployment", 1) + rule, `kind "Deployment" is not known`},
		"no YAML":            {"a: [\n", "f.yaml: line"},
		"the second of two":  {head + rule + "---\n" + head + strings.Replace(rule, "mode", "mood", 1), "f.yaml:13: spec.rules[0].mood"},
	} {
		t.Run(name, func(t *testing.T) {
			docs, err := api.Decode("f.yaml", []byte(c.text))
			if c.want == "" {
				if err != nil || len(docs) != 1 {
					t.Fatalf("%d documents, %v", len(docs), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
		})
	}
	docs, err := api.Decode("f.yaml", []byte("apiVersion: v1\nkind: ConfigMap\n---\n- a list\n---\n"))
	if err != nil || len(docs) != 0 {
		t.Fatalf("documents of others: %d, %v", len(docs), err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("apiVersion: slipway.dev/v1alpha1\nkind: DeploymentPolicy\nmetadata: {name: x}\nspec: {rules: [{track: {semver: {range: x}}}]}\n"))
	f.Add([]byte("apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: &a {name: x}\nspec: *a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := api.Decode("f.yaml", data)
		for _, d := range docs {
			if d.Object == nil || d.Line < 1 {
				t.Fatalf("%+v, %v", d, err)
			}
		}
	})
}
