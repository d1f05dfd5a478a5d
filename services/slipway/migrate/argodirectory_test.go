package migrate_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/slipway/migrate"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// What is written reads the files of a folder that Argo CD reads
// (reposerver's findManifests): by their paths below it, where a star also stands for
// slashes.
func TestAFolderIsReadAsArgoCDReadsIt(t *testing.T) {
	t.Parallel()
	const folder = "a.yaml a.json b.yaml sub/a.yaml sub/b.yaml sub/deep/a.yaml subway.yaml notes/test-x.yaml"
	for directory, want := range map[string]string{
		`{}`:                                                  "a.yaml a.json b.yaml subway.yaml",
		`{recurse: true}`:                                     folder,
		`{recurse: true, include: a.yaml}`:                    "a.yaml",
		`{recurse: true, include: "*a.yaml"}`:                 "a.yaml sub/a.yaml sub/deep/a.yaml",
		`{recurse: true, include: "sub*.yaml"}`:               "sub/a.yaml sub/b.yaml sub/deep/a.yaml subway.yaml",
		`{recurse: true, include: "sub/*"}`:                   "sub/a.yaml sub/b.yaml sub/deep/a.yaml",
		`{recurse: true, include: "{a.*,sub/deep/*}"}`:        "a.yaml a.json sub/deep/a.yaml",
		`{recurse: true, include: "*/a.yaml"}`:                "sub/a.yaml sub/deep/a.yaml",
		`{recurse: true, exclude: "*a.yaml"}`:                 "a.json b.yaml sub/b.yaml subway.yaml notes/test-x.yaml",
		`{recurse: true, exclude: "sub/*"}`:                   "a.yaml a.json b.yaml subway.yaml notes/test-x.yaml",
		`{recurse: true, exclude: "{a.yaml,notes/*}"}`:        "a.json b.yaml sub/a.yaml sub/b.yaml sub/deep/a.yaml subway.yaml",
		`{recurse: true, include: "*.yaml", exclude: "sub*"}`: "a.yaml b.yaml notes/test-x.yaml",
		`{include: "*a.yaml"}`:                                "a.yaml",
		`{exclude: b.yaml}`:                                   "a.yaml a.json subway.yaml",
	} {
		files := map[string]string{"apps/web.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web, namespace: argocd}\nspec:\n  project: default\n  source: {repoURL: https://git.example.com/acme/home, path: web, targetRevision: main, directory: " + directory + "}\n  destination: {server: https://kubernetes.default.svc, namespace: web}\n  syncPolicy: {automated: {prune: true, selfHeal: true}}\n"}
		maps.Copy(files, manifests("web/", folder))
		r, err := migrate.ArgoCD(t.Context(), migrate.Options{FS: tree(files), Repository: "https://git.example.com/acme/home"})
		if err != nil || len(r.Files) != 1 {
			t.Fatalf("%s: %v\n%s", directory, err, print(r))
		}
		got := reads(t, r, "web/", folder)
		if !slices.Equal(got, slices.Sorted(slices.Values(strings.Fields(want)))) {
			t.Errorf("%s reads %q, want %q\n%s", directory, got, want, print(r))
		}
	}
}

// manifests are files with an object each, by their names below a folder.
func manifests(below, names string) map[string]string {
	files := map[string]string{}
	for name := range strings.FieldsSeq(names) {
		files[below+name] = `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "` + strings.NewReplacer("/", "-", ".", "-").Replace(name) + `"}}`
	}
	return files
}

// reads are the names of the files that the one Application that was written reads of
// such a folder.
func reads(t *testing.T, r migrate.Result, below, names string) []string {
	t.Helper()
	documents, err := api.Decode(r.Files[0].Path, []byte(r.Files[0].Data))
	if err != nil {
		t.Fatal(err)
	}
	result, err := render.Render(t.Context(), render.Application(tree(manifests(below, names)), documents[0].Object.(*api.Application)))
	if err != nil {
		t.Errorf("%v\n%s", err, print(r))
	}
	got := map[string]bool{}
	for _, o := range result.Objects {
		got[strings.TrimPrefix(o.File, below)] = true
	}
	return slices.Sorted(maps.Keys(got))
}
