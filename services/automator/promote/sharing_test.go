package promote_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/promote"
)

// sharers are two applications of one chart, each with its own values file; the
// tag is in the chart's own unless a file says it.
func sharers(europe, asia, rules string) map[string]string {
	app := func(name string) string {
		return "apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: " + name + ", namespace: shop}\nspec:\n  source:\n    repository: REPO\n    branch: main\n    path: charts/web\n" +
			"    helm: {valuesFiles: [" + name + ".yaml]}\n"
	}
	return map[string]string{
		"cluster/europe.yaml": app("europe"), "cluster/asia.yaml": app("asia"), "cluster/web.yaml": "kind: ConfigMap\napiVersion: v1\nmetadata: {name: x, namespace: x}\n",
		"charts/web/Chart.yaml":         "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"charts/web/values.yaml":        "image:\n  repository: ghcr.io/acme/web\n  tag: 1.0.0\n",
		"charts/web/templates/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: \"{{ .Release.Name }}\"}\nspec:\n  containers:\n  - image: \"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"\n",
		"charts/web/europe.yaml":        europe, "charts/web/asia.yaml": asia,
		"policies/shop.yaml": "apiVersion: slipway.dev/v1alpha1\nkind: DeploymentPolicy\nmetadata: {name: shop}\nspec:\n  rules:\n" + rules,
	}
}

func ruleOf(app, rest string) string {
	return "  - {applications: [production/shop/" + app + "], images: [\"ghcr.io/acme/*\"], track: {semver: \">=1 <2\"}, " + rest + "}\n"
}

const own = "image:\n  tag: 1.0.0\n"

// changed are the files of the last commit.
func (b *bench) changed() string {
	b.git.Pull()
	return strings.Join(strings.Fields(b.git.Git("show", "--name-only", "--format=", "HEAD")), " ")
}

func TestApplicationsThatShareAFileAreToldApart(t *testing.T) {
	for name, c := range map[string]struct {
		europe, asia, rules string
		changed             string // by the commit, empty for none
		says                string
	}{
		"each has its own file": {own, own, ruleOf("europe", "mode: automatic") + ruleOf("asia", "mode: never"), "charts/web/europe.yaml", ""},
		"both move":             {"a: 1\n", "a: 1\n", ruleOf("*", "mode: automatic"), "charts/web/values.yaml", ""},
		"one may not move": {
			"a: 1\n", "a: 1\n", ruleOf("europe", "mode: automatic") + ruleOf("asia", "mode: never"), "",
			"blocked: charts/web/values.yaml is what production/shop/asia is rendered of, too, and it is not decided that its ghcr.io/acme/web moves: give each of them a file of its own",
		},
		"one has no rule":     {"a: 1\n", "a: 1\n", ruleOf("europe", "mode: automatic"), "", "blocked: charts/web/values.yaml is what production/shop/asia is rendered of"},
		"the other overrides": {"a: 1\n", own, ruleOf("europe", "mode: automatic"), "charts/web/values.yaml", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, sharers(c.europe, c.asia, c.rules))
			b.pushed("1.1.0", digestA)
			must(t, b.work("ghcr.io/acme/web:1.1.0"))
			got := ""
			if b.commits() != "1" {
				got = b.changed()
			}
			if got != c.changed {
				t.Errorf("changed %q, want %q: %q", got, c.changed, b.decisions())
			}
			if c.says != "" && !strings.Contains(strings.Join(b.decisions(), "\n"), c.says) {
				t.Errorf("told %q", b.decisions())
			}
		})
	}
}

// Two applications of one folder, each of which leaves the other's files out, are two.
func TestApplicationsOfOneFolderMoveAloneWhereTheyLeaveEachOtherOut(t *testing.T) {
	app := func(name, ignore string) string {
		return "apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: " + name + ", namespace: shop}\nspec:\n  source: {repository: REPO, branch: main, path: web, ignore: [" + ignore + "]}\n"
	}
	pod := func(name string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec:\n  containers:\n  - image: ghcr.io/acme/web:1.0.0\n"
	}
	b := start(t, map[string]string{
		"cluster/europe.yaml": app("europe", "asia.yaml"), "cluster/asia.yaml": app("asia", "europe.yaml"),
		"web/europe.yaml": pod("europe"), "web/asia.yaml": pod("asia"),
		"policies/shop.yaml": "apiVersion: slipway.dev/v1alpha1\nkind: DeploymentPolicy\nmetadata: {name: shop}\nspec:\n  rules:\n" + ruleOf("europe", "mode: automatic") + ruleOf("asia", "mode: never"),
	})
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if got := b.changed(); got != "web/europe.yaml" {
		t.Errorf("changed %q: %q", got, b.decisions())
	}
}

// What one approval keeps back waits for it, and both move together.
func TestWhatIsSharedMovesWhenAllMayMove(t *testing.T) {
	b := start(t, sharers("a: 1\n", "a: 1\n", ruleOf("europe", "mode: automatic")+ruleOf("asia", "mode: manual")))
	b.at(time.Now())
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if b.commits() != "1" {
		t.Fatalf("it moved: %q", b.decisions())
	}
	p, ok := b.votes.Of("production/shop/asia", "ghcr.io/acme/web")
	if !ok {
		t.Fatal("nothing is proposed")
	}
	b.approve(p.ID)
	must(t, b.work("again production/shop/asia ghcr.io/acme/web"))
	merged := b.told(events.ChangeMergedType)
	if b.commits() != "2" || len(merged) != 2 {
		t.Errorf("%s commits, told %d changes: %q", b.commits(), len(merged), b.decisions())
	}
	// A rollback of one would take the other along.
	must(t, b.ask(promote.Request{Kind: promote.Rollback, Application: "production/shop/europe"}))
	if got := b.last(); !strings.HasPrefix(got, "blocked: ") || !strings.Contains(got, "production/shop/asia") || b.commits() != "2" {
		t.Errorf("told %q", got)
	}
}

func TestAnImageOfASharedBaseIsOverlaid(t *testing.T) {
	files := map[string]string{
		"apps/base/pod.yaml": pod("ghcr.io/acme/web:1.0.0"), "apps/base/kustomization.yaml": "resources: [pod.yaml]\n",
		"apps/web/pod.yaml": "", "cluster/api.yaml": application("api", "shop", "apps/api"),
	}
	delete(files, "apps/web/pod.yaml")
	maps.Copy(files, map[string]string{
		"apps/web/kustomization.yaml": "resources: [../base]\n", "apps/api/kustomization.yaml": "resources: [../base]\n",
		"apps/web/pod.yaml": "# nothing\n",
	})
	b := start(t, files)
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if got := b.changed(); got != "apps/api/kustomization.yaml apps/web/kustomization.yaml" {
		t.Errorf("changed %s: %q", got, b.decisions())
	}
}
