package promote_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/shared/service"
)

// lintConfig has two repositories, each with its policies.
func lintConfig() service.Config {
	return service.Config{File: "slipway.yaml", Repositories: []service.Repository{
		{
			URL: "https://git.example.com/acme/config.git", Branch: "main", Roots: []service.Root{{Cluster: "production", Path: "cluster"}},
			Policies: []service.PolicyPath{{Path: "policies", Applications: []string{"**"}}},
		},
		{
			URL: "https://git.example.com/acme/staging.git", Branch: "main", DocumentsFrom: []string{"git.example.com/acme/config"}, Roots: []service.Root{{Cluster: "staging", Path: "cluster"}},
		},
	}}
}

func lintFS(files map[string]string) fstest.MapFS {
	all := fstest.MapFS{}
	for name, text := range files {
		all[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return all
}

func rules(rules ...string) string {
	return "apiVersion: slipway.dev/v1alpha1\nkind: DeploymentPolicy\nmetadata: {name: p}\nspec:\n  rules:\n" + strings.Join(rules, "")
}

func lintRule(applications, more string) string {
	return "  - applications: [\"" + applications + "\"]\n    images: [\"**\"]\n    track: {semver: \"*\"}\n    mode: automatic\n" + more
}

func TestTreesAreLookedAtTogether(t *testing.T) {
	staging := strings.ReplaceAll(application("web", "shop", "apps/web"), "REPO", "https://git.example.com/acme/staging.git")
	web := strings.ReplaceAll(application("web", "shop", "apps/web"), "REPO", "https://git.example.com/acme/config.git")
	lent := staging // its document may lie in either
	after := lintRule("production/**", "    after: {application: \"staging/{namespace}/{name}\"}\n")
	for name, c := range map[string]struct {
		first, second map[string]string // nil is not given
		want          []string          // parts of the findings, in order
	}{
		"all is there": {
			map[string]string{"cluster/web.yaml": web, "apps/web/pod.yaml": pod("ghcr.io/acme/web:1.0.0"), "policies/p.yaml": rules(after)},
			map[string]string{"cluster/web.yaml": staging, "apps/web/pod.yaml": pod("ghcr.io/acme/web:1.0.0")},
			nil,
		},
		"the other tree isn't given": {
			map[string]string{"cluster/web.yaml": web, "apps/web/pod.yaml": pod("ghcr.io/acme/web:1.0.0"), "policies/p.yaml": rules(after)},
			nil,
			[]string{"one/policies/p.yaml:10: warning: production/shop/web waits for staging/shop/web, which is in none of the given work trees"},
		},
		"the other has another name": {
			map[string]string{"cluster/web.yaml": web, "apps/web/pod.yaml": pod("ghcr.io/acme/web:1.0.0"), "policies/p.yaml": rules(after)},
			map[string]string{"cluster/web.yaml": strings.ReplaceAll(staging, "name: web", "name: site"), "apps/web/pod.yaml": pod("ghcr.io/acme/web:1.0.0")},
			[]string{"one/policies/p.yaml:10: error: production/shop/web waits for staging/shop/web, and there is no such application"},
		},
		"the other uses another image": {
			map[string]string{"cluster/web.yaml": web, "apps/web/pod.yaml": pod("ghcr.io/acme/web:1.0.0"), "policies/p.yaml": rules(after)},
			map[string]string{"cluster/web.yaml": staging, "apps/web/pod.yaml": pod("ghcr.io/acme/site:1.0.0")},
			[]string{"error: production/shop/web waits for staging/shop/web, which uses no ghcr.io/acme/web"},
		},
		"what waits for itself": {
			map[string]string{"cluster/web.yaml": web, "apps/web/pod.yaml": pod("ghcr.io/acme/web:1.0.0"), "policies/p.yaml": rules(lintRule("production/**", "    after: {application: \"production/shop/{name}\"}\n"))},
			map[string]string{"cluster/web.yaml": staging, "apps/web/pod.yaml": pod("ghcr.io/acme/web:1.0.0")},
			[]string{"error: production/shop/web is blocked"},
		},
		"the source is the other repository": {
			map[string]string{"cluster/web.yaml": lent, "policies/p.yaml": rules(lintRule("production/**", ""))},
			map[string]string{"cluster/web.yaml": staging, "apps/web/pod.yaml": pod("ghcr.io/acme/web:1.0.0")},
			[]string{"two/cluster/web.yaml:1: warning: production/shop/web and staging/shop/web have the same path apps/web"},
		},
		"the source is the other repository, which isn't given": {
			map[string]string{"cluster/web.yaml": lent, "policies/p.yaml": rules(lintRule("production/**", ""))},
			nil,
			nil,
		},
		"what the other is to have isn't there": {
			map[string]string{"cluster/web.yaml": lent, "policies/p.yaml": rules(lintRule("production/**", ""))},
			map[string]string{"cluster/web.yaml": strings.ReplaceAll(staging, "apps/web", "apps/site"), "apps/site/pod.yaml": pod("ghcr.io/acme/web:1.0.0")},
			[]string{"one/cluster/web.yaml:1: error: production/shop/web is blocked: apps/web: the path is not in the repository"},
		},
		"a lent rule waits for nobody": {
			map[string]string{"cluster/web.yaml": lent, "policies/p.yaml": rules(after)},
			map[string]string{"cluster/web.yaml": strings.ReplaceAll(staging, "name: web", "name: site"), "apps/web/pod.yaml": pod("ghcr.io/acme/web:1.0.0")},
			[]string{"one/policies/p.yaml:10: error: production/shop/web waits for staging/shop/web, and there is no such application", "have the same path"},
		},
		"no policies' path and no root": {
			map[string]string{"README.yaml": "a: 1"},
			map[string]string{"cluster/web.yaml": staging, "apps/web/pod.yaml": pod("ghcr.io/acme/web:1.0.0")},
			[]string{"error: cluster: the path is not in the repository", "error: the policies' path policies is not in the repository"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := lintConfig()
			var trees []promote.Tree
			for i, files := range []map[string]string{c.first, c.second} {
				if files != nil {
					trees = append(trees, promote.Tree{FS: lintFS(files), Name: []string{"one", "two"}[i], Below: ".", Repository: &cfg.Repositories[i]})
				}
			}
			found, err := promote.Lint(t.Context(), cfg, trees)
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != len(c.want) {
				t.Errorf("%v, want %q", found, c.want)
			}
			for i, f := range found {
				if i < len(c.want) && !strings.Contains(f.String(), c.want[i]) {
					t.Errorf("%s, want %q", f, c.want[i])
				}
			}
		})
	}
}

// Whatever is written, it is judged and nothing else; and in one order.
func FuzzLint(f *testing.F) {
	for _, text := range []string{
		rules(lintRule("**", "")), rules("  - {}\n"), application("web", "shop", "apps/web"), "apiVersion: slipway.dev/v1alpha1\nkind: Hold\nspec: {application: a/b/c}\n",
		"apiVersion: slipway.dev/v1alpha1\nkind: DeploymentPolicy\nmetadata: &a {name: '['}\nspec: {rules: [*a]}\n", "slipway.dev: [", "apiVersion: slipway.dev/v1alpha1\n---\n- a\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg := lintConfig()
		files := map[string]string{
			"cluster/web.yaml": strings.ReplaceAll(application("web", "shop", "apps/web"), "REPO", cfg.Repositories[0].URL), "cluster/x.yaml": text, "policies/x.yaml": text,
			".slipway/holds/production/shop/web.yaml": text, "apps/web/kustomization.yaml": text, "apps/web/pod.yaml": pod("ghcr.io/acme/web:1.0.0"),
		}
		var before []promote.Finding
		for range 2 {
			found, err := promote.Lint(t.Context(), cfg, []promote.Tree{{FS: lintFS(files), Name: "one", Below: ".", Repository: &cfg.Repositories[0]}})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				if f.Line < 1 || f.File == "" || f.What == "" || f.Do == "" || strings.Contains(f.String(), "\n") {
					t.Errorf("%q", f.String())
				}
			}
			if before != nil && !slices.Equal(before, found) {
				t.Errorf("%v, then %v", before, found)
			}
			before = found
		}
	})
}
