package migrate_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/services/slipway/migrate"
)

// tree is a repository of files by their names.
func tree(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return fsys
}

// Pipelines push what is in Git as an artifact, from some folder on: the Application
// is of that folder, where there is no doubt which it is.
func TestAnArtifactIsOfTheFolderThatItWasBuiltFrom(t *testing.T) {
	t.Parallel()
	const oci = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: hulls, namespace: flux-system}\nspec: {interval: 5m, url: oci://registry.example.com/hulls, ref: {tag: latest}, verify: {provider: cosign}}\n"
	const deck = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: deck}\n"
	for name, c := range map[string]struct {
		at, repository string
		folders        []string
		want           string
	}{
		"the repository itself":    {"./hull/deck", "https://git.example.com/acme/home", []string{"hull/deck"}, "path: hull/deck\n"},
		"a folder of it":           {"./hull/deck", "https://git.example.com/acme/home", []string{"yard/hull/deck", "yard/hull/deck2"}, "path: yard/hull/deck\n"},
		"two that it may be":       {"./deck", "https://git.example.com/acme/home", []string{"yard/deck", "dock/deck"}, ""},
		"none that it may be":      {"./deck", "https://git.example.com/acme/home", []string{"yard/foredeck"}, ""},
		"all of the artifact":      {"", "https://git.example.com/acme/home", []string{"yard"}, ""},
		"nobody knows whose it is": {"./deck", "", []string{"deck"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"clusters/oci.yaml": oci, "clusters/ks.yaml": fmt.Sprintf("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: deck, namespace: flux-system}\nspec: {interval: 1h, path: %q, prune: true, wait: true, serviceAccountName: x, sourceRef: {kind: OCIRepository, name: hulls}}\n", c.at)}
			for _, folder := range c.folders {
				files[folder+"/deck.yaml"] = deck
			}
			r, err := migrate.Flux(t.Context(), migrate.Options{FS: tree(files), Repository: c.repository})
			if err != nil {
				t.Fatal(err)
			}
			all := print(r)
			if c.want == "" {
				if len(r.Files) > 0 || !strings.Contains(all, "missing: Kustomization flux-system/deck: spec.sourceRef: what is in OCIRepository flux-system/hulls isn't known from here") {
					t.Errorf("it is:\n%s", all)
				}
				return
			}
			if !strings.Contains(all, c.want) || !strings.Contains(all, "repository: "+c.repository+"\n") || !strings.Contains(all, "taken to be built from") || !strings.Contains(all, "missing: OCIRepository flux-system/hulls: spec.verify") {
				t.Errorf("it is:\n%s\nwant %s", all, c.want)
			}
			lint(t, r)
		})
	}
}

// Where a folder can't be rendered, its HelmReleases still go to the namespace that its
// kustomizations and its Kustomization set.
func TestAHelmReleaseIsInItsNamespaceThoughItsFolderCanNotBeRendered(t *testing.T) {
	t.Parallel()
	const release = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: gate}\nspec: {interval: 1h, serviceAccountName: x, chart: {spec: {chart: ./charts/gate, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}}\n"
	for target, want := range map[string]string{"harbour": "harbour/gate", "": "media/gate"} {
		r, err := migrate.Flux(t.Context(), migrate.Options{Repository: "https://git.example.com/acme/home", FS: tree(map[string]string{
			"clusters/ks.yaml":              fmt.Sprintf("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: gates, namespace: flux-system}\nspec: {interval: 1h, path: ./apps/gates, targetNamespace: %q, prune: true, wait: true, serviceAccountName: x, sourceRef: {kind: GitRepository, name: flux-system}}\n", target),
			"apps/gates/kustomization.yaml": "namespace: media\nresources: [gate.yaml, https://example.com/crds.yaml]\n",
			"apps/gates/gate.yaml":          release,
			"charts/gate/Chart.yaml":        "apiVersion: v2\nname: gate\nversion: 1.0.0\n",
		})})
		if err != nil {
			t.Fatal(err)
		}
		all := print(r)
		if !strings.Contains(all, "-> "+want+" (clusters/ks-gate.yaml)\n") || !strings.Contains(all, "it can't be rendered") {
			t.Errorf("target %q:\n%s\nwant %s", target, all, want)
		}
	}
}

// A path of another repository means nothing in this one, also where a fork or a mirror
// is migrated that its own documents call by another address.
func TestAPathOfAnotherRepositoryIsNotLookedUpHere(t *testing.T) {
	t.Parallel()
	const git = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: %s, namespace: flux-system}\nspec: {interval: 1h, url: %q, ref: {branch: main}}\n"
	const ks = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: %s, namespace: flux-system}\nspec: {interval: 1h, path: %q, prune: true, wait: true, serviceAccountName: x, sourceRef: {kind: GitRepository, name: %s}}\n"
	files := tree(map[string]string{
		"clusters/flux-system.yaml": fmt.Sprintf(git, "flux-system", "ssh://git@git.example.com/acme/home.git") + "---\n" + fmt.Sprintf(ks, "flux-system", "./clusters", "flux-system"),
		"clusters/shop.yaml":        fmt.Sprintf(ks, "shop", "./apps/shop", "flux-system"),
		"clusters/tools.yaml":       fmt.Sprintf(git, "tools", "https://git.example.com/acme/tools") + "---\n" + fmt.Sprintf(ks, "all-tools", "./", "tools") + "---\n" + fmt.Sprintf(ks, "one-tool", "./apps/shop", "tools") + "---\n" + fmt.Sprintf(ks, "more-tools", "./more", "tools"),
		"apps/shop/shop.yaml":       "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n",
	})
	for _, repository := range []string{"", "https://git.example.com/acme/home", "https://mirror.example.com/fork/home"} {
		r, err := migrate.Flux(t.Context(), migrate.Options{FS: files, Repository: repository})
		if err != nil {
			t.Fatal(err)
		}
		all := print(r)
		for _, want := range []string{
			"-> flux-system/shop (", "-> flux-system/all-tools (", "-> flux-system/one-tool (", "-> flux-system/more-tools (",
			"Kustomization flux-system/flux-system: spec.path: it applies itself: the root",
		} {
			if !strings.Contains(all, want) {
				t.Errorf("%q has no %q:\n%s", repository, want, all)
			}
		}
		if strings.Contains(all, "wrong: ") || strings.Contains(all, "it holds") || strings.Count(all, "the root:") != 1 {
			t.Errorf("%q:\n%s", repository, all)
		}
	}
}

// What a GitRepository leaves out is left out of each path of it.
func TestWhatAGitRepositoryLeavesOut(t *testing.T) {
	t.Parallel()
	const folder = "a.yaml deploy/b.yaml deploy/crds/c.yaml deploy/crds/d.yaml deploy/rbac/e.yaml deploy/deep/er/f.yaml"
	for _, c := range []struct{ ignore, path, want string }{
		{"/*\n!/deploy\n", "./deploy", "deploy/b.yaml deploy/crds/c.yaml deploy/crds/d.yaml deploy/rbac/e.yaml deploy/deep/er/f.yaml"},
		{"/*\n!/deploy\n", "./deploy/crds", "deploy/crds/c.yaml deploy/crds/d.yaml"},
		{"# exclude all\n/*\n# but\n!/deploy/crds\n!/deploy/rbac/e.yaml\n", "./deploy", "deploy/crds/c.yaml deploy/crds/d.yaml deploy/rbac/e.yaml"},
		{"/*\n!deploy/crds/c.yaml\n!/deploy/deep/er/", "./", "deploy/crds/c.yaml deploy/deep/er/f.yaml"},
		{"/*\n!/deploy/b.yaml", "./deploy", "deploy/b.yaml"},
		{"/*\n!/docs\n", "./deploy", "wrong: GitRepository flux-system/ship: spec.ignore: it leaves out all of deploy, which is applied"},
		{"*.md\n/docs\n", "./deploy/crds", "missing: GitRepository flux-system/ship: spec.ignore: has no counterpart"},
		{"/*\n!/deploy/*.yaml\n", "./deploy/crds", "missing: GitRepository flux-system/ship: spec.ignore: has no counterpart"},
	} {
		files := map[string]string{"cluster/ks.yaml": fmt.Sprintf("apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: ship, namespace: flux-system}\nspec: {interval: 1h, url: https://git.example.com/acme/ship, ref: {branch: main}, ignore: %q}\n---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: ship, namespace: flux-system}\nspec: {interval: 1h, path: %q, prune: true, wait: true, serviceAccountName: x, sourceRef: {kind: GitRepository, name: ship}}\n", c.ignore, c.path)}
		r, err := migrate.Flux(t.Context(), migrate.Options{FS: tree(files), Repository: "https://git.example.com/acme/home"})
		if err != nil || len(r.Files) != 1 {
			t.Fatalf("%q: %v\n%s", c.ignore, err, print(r))
		}
		if strings.Contains(c.want, "GitRepository") {
			if !strings.Contains(print(r), c.want) {
				t.Errorf("%q of %s:\n%s\nwant %s", c.ignore, c.path, print(r), c.want)
			}
			continue
		}
		if got, want := reads(t, r, "", folder), strings.Fields(c.want); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%q of %s reads %q, want %q\n%s", c.ignore, c.path, got, want, print(r))
		}
	}
}

// Of several of one name the chart is that beside its release, however many clusters make
// it, and wherever their Kustomizations lie; with what these patch and replace.
func TestAReleaseHasTheChartThatLiesBesideIt(t *testing.T) {
	t.Parallel()
	const ks = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: gate, namespace: flux-system}\nspec: {interval: 1h, path: ./apps/%[1]s/gate, targetNamespace: %[1]s, prune: true, wait: true, serviceAccountName: x, sourceRef: {kind: GitRepository, name: flux-system}, postBuild: {substitute: {GATE: 4.0.0}}}\n"
	const release = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: gate}\nspec: {interval: 1h, serviceAccountName: x, chartRef: {kind: OCIRepository, name: gate}}\n"
	const oci = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: gate}\nspec: {interval: 1h, url: oci://ghcr.io/acme/charts/gate, ref: {tag: %q, digest: %q}}\n"
	files := map[string]string{}
	for place, version := range map[string]string{"east": "1.0.0", "west": "2.0.0", "north": "0.0.0", "south": "${GATE}"} {
		files["clusters/"+place+".yaml"] = fmt.Sprintf(ks, place)
		files["apps/"+place+"/gate/release.yaml"] = release
		files["apps/"+place+"/gate/chart.yaml"] = fmt.Sprintf(oci, version, "sha256:"+strings.Repeat("a", 64))
	}
	files["apps/north/gate/kustomization.yaml"] = "resources: [release.yaml, chart.yaml]\npatches: [{target: {kind: OCIRepository}, patch: '- {op: replace, path: /spec/ref/tag, value: 3.0.0}'}]\n"
	r, err := migrate.Flux(t.Context(), migrate.Options{FS: tree(files), Repository: "https://git.example.com/acme/home"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range r.Files {
		_, version, _ := strings.Cut(f.Data, "      version: ")
		version, _, _ = strings.Cut(version, "\n")
		got[f.Path] = version
	}
	if want := map[string]string{"clusters/east.yaml": "1.0.0", "clusters/west.yaml": "2.0.0", "clusters/north.yaml": "3.0.0", "clusters/south.yaml": "4.0.0"}; !maps.Equal(got, want) {
		t.Errorf("the versions are %q, want %q\n%s", got, want, print(r))
	}
	if strings.Contains(print(r), "missing: ") {
		t.Error(print(r))
	}
}
