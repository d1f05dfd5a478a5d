package migrate_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/services/automator"
	"github.com/slipway-cd/slipway/services/slipway/migrate"
	"github.com/slipway-cd/slipway/services/synchronizer"
	"github.com/slipway-cd/slipway/shared/render"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) {
	render.Child()
	os.Exit(m.Run())
}

type reader func(context.Context, migrate.Options) (migrate.Result, error)

var readers = map[string]reader{"flux": migrate.Flux, "argocd": migrate.ArgoCD}

// print is everything of a result.
func print(r migrate.Result) string {
	var b strings.Builder
	for _, f := range r.Files {
		fmt.Fprintf(&b, "-- %s --\n%s", f.Path, f.Data)
	}
	b.WriteString("-- applications --\n")
	for _, m := range r.Moved {
		fmt.Fprintf(&b, "%s -> %s (%s)\n", m.From, m.To, m.File)
	}
	b.WriteString("-- notes --\n")
	for _, n := range r.Notes {
		b.WriteString(n.String() + "\n")
	}
	return b.String()
}

func TestARepositoryBecomesOurs(t *testing.T) {
	t.Parallel()
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := read(t.Context(), migrate.Options{FS: os.DirFS(filepath.Join("testdata", name)), Cluster: "production"})
			if err != nil {
				t.Fatal(err)
			}
			golden, got := filepath.Join("testdata", name+".golden"), print(r)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("it isn't %s (-update writes it):\n%s", golden, got)
			}
			lint(t, r)
		})
	}
}

// lint wants every document that was written to be right.
func lint(t *testing.T, r migrate.Result) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range r.Files {
		name := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(f.Data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := automator.Lint(t.Context(), []string{dir}, "", synchronizer.CheckHealth)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Severity == automator.SeverityError {
			t.Errorf("lint: %s", f)
		}
	}
}

// whole are the planted fields of objects that are told as a whole: of Flux what
// no Application is written for, the root and an Alert; and an AppProject while
// there are no Projects.
var whole = map[string][]int{"flux": {6, 9, 24}, "argocd": {5}}

// Whatever field stands in a document, and wherever, it is taken over or told.
func TestNoFieldIsDroppedInSilence(t *testing.T) {
	t.Parallel()
	for name, read := range readers {
		planted := 0
		root := os.DirFS(filepath.Join("testdata", name))
		files := fstest.MapFS{}
		err := fs.WalkDir(root, ".", func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := fs.ReadFile(root, p)
			if err != nil {
				return err
			}
			text := string(data)
			if strings.Contains(text, "toolkit.fluxcd.io/v") || strings.Contains(text, "apiVersion: argoproj.io") {
				lines := strings.SplitAfter(text, "\n")
				for i, line := range lines {
					key := strings.TrimSpace(line)
					next := ""
					if i+1 < len(lines) {
						next = lines[i+1]
					}
					indent := len(next) - len(strings.TrimLeft(next, " "))
					if strings.HasPrefix(line, "spec:") && key == "spec:" && indent > 0 && !strings.HasPrefix(strings.TrimSpace(next), "-") {
						planted++
						lines[i] += fmt.Sprintf("%splanted%d: {deep: [1]}\n", strings.Repeat(" ", indent), planted)
					}
				}
				text = strings.Join(lines, "")
			}
			files[p] = &fstest.MapFile{Data: []byte(text)}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := read(t.Context(), migrate.Options{FS: files})
		if err != nil {
			t.Fatal(err)
		}
		told := print(r)
		for i := 1; i <= planted; i++ {
			if !strings.Contains(told, fmt.Sprintf("spec.planted%d:", i)) && !slices.Contains(whole[name], i) {
				t.Errorf("%s: planted%d is not told:\n%s", name, i, told)
			}
		}
		if planted < 5 {
			t.Errorf("%s: only %d fields were planted", name, planted)
		}
	}
}

// Flux makes a kustomization for a folder that has none, with those of the folders below.
func TestAFolderThatFluxWouldKustomizeIsBuiltAlike(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a, namespace: b}\nspec: {path: apps, serviceAccountName: c, sourceRef: {kind: GitRepository, name: r}}\n"
	for file, want := range map[string]bool{"apps/web/kustomization.yaml": true, "apps/deep/er/Kustomization": true, "apps/web/a.yaml": false, "apps/kustomization.yaml": false} {
		files := fstest.MapFS{
			"ks.yaml": {Data: []byte(head)}, file: {Data: []byte("resources: []\n")},
			"apps/web/b.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n")},
		}
		r, err := migrate.Flux(t.Context(), migrate.Options{FS: files, Repository: "https://git.example.com/a/b.git"})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(print(r), "kustomize:\n      autodetect: true\n"); got != want || len(r.Notes) > 0 {
			t.Errorf("with %s it gives:\n%s", file, print(r))
		}
	}
}

func TestWhatCantBeReadIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, want string }{
		"no documents":       {"a: b\n", "nothing can be migrated: . has no document of Flux"},
		"no source":          {"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a, namespace: b}\nspec: {path: x, sourceRef: {kind: GitRepository, name: none}}\n", "a.yaml:4: wrong: Kustomization b/a: spec.sourceRef: GitRepository b/none isn't in the repository: say which it is with --repository URL"},
		"a bucket":           {"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a, namespace: b}\nspec: {path: x, sourceRef: {kind: Bucket, name: none}}\n", "a source of kind Bucket has no counterpart"},
		"a wrong type":       {"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a, namespace: b}\nspec:\n  path: x\n  prune: [1]\n  sourceRef: {kind: GitRepository, name: none}\n", "spec.prune: is not a single value"},
		"a tag":              {"apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: r, namespace: b}\nspec:\n  url: https://git.example.com/a/b\n  ref: {tag: v1}\n---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a, namespace: b}\nspec: {path: x, sourceRef: {kind: GitRepository, name: r}}\n", "    tag: v1\n"},
		"a bad duration":     {"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a, namespace: b}\nspec:\n  path: x\n  interval: soon\n  sourceRef: {kind: GitRepository, name: none}\n", "soon"},
		"bad YAML":           {"# toolkit.fluxcd.io\nspec: {\n", "a.yaml:"},
		"an alias of itself": {"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: &m {name: a, namespace: b, labels: *m}\nspec: {}\n", "a.yaml:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := migrate.Options{FS: fstest.MapFS{"a.yaml": {Data: []byte(c.file)}}}
			if strings.Contains(c.want, "soon") || strings.Contains(c.want, "single value") {
				o.Repository = "https://git.example.com/a/b.git"
			}
			r, err := migrate.Flux(t.Context(), o)
			if err != nil && !errors.Is(err, migrate.ErrInput) {
				t.Fatal(err)
			}
			if told := print(r) + fmt.Sprint(err); !strings.Contains(told, c.want) {
				t.Errorf("it tells:\n%s\nwant %q", told, c.want)
			}
		})
	}
}

func TestWhereNobodySaysWhichRepositoryItIsItsOriginIsTaken(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"a.yaml":         {Data: []byte("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a, namespace: flux-system}\nspec: {interval: 1h, path: ./apps/a, prune: true, serviceAccountName: x, sourceRef: {kind: GitRepository, name: flux-system}}\n"), Mode: 0o644},
		"b.yaml":         {Data: []byte("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: b, namespace: flux-system}\nspec: {interval: 1h, path: ./apps/a, prune: true, serviceAccountName: x, sourceRef: {kind: GitRepository, name: flux-system}}\n"), Mode: 0o644},
		"apps/a/cm.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"), Mode: 0o644},
	}
	for _, tt := range []struct {
		options            migrate.Options
		repository, branch string
		told               int
	}{
		{migrate.Options{}, "", "", 0},
		{migrate.Options{Origin: "git@git.example.com:acme/home.git", Branch: "trunk"}, "ssh://git@git.example.com/acme/home.git", "trunk", 1},
		{migrate.Options{Origin: "git@git.example.com:acme/home.git", Repository: "https://git.example.com/acme/other"}, "https://git.example.com/acme/other", "main", 0},
	} {
		tt.options.FS = files
		r, err := migrate.Flux(t.Context(), tt.options)
		if err != nil {
			t.Fatal(err)
		}
		all := print(r)
		if has := strings.Contains(all, "repository: "+tt.repository+"\n"); tt.repository != "" && (!has || !strings.Contains(all, "branch: "+tt.branch+"\n")) || tt.repository == "" && len(r.Files) > 0 {
			t.Errorf("%+v:\n%s", tt.options, all)
		}
		if told := strings.Count(all, "is taken, the clone's origin"); told != tt.told {
			t.Errorf("%+v: told %d times", tt.options, told)
		}
	}
}

func TestEachHelmReleaseBecomesOneApplication(t *testing.T) {
	t.Parallel()
	release := func(name string) *fstest.MapFile {
		return &fstest.MapFile{Mode: 0o644, Data: []byte("apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: " + name + ", namespace: logs}\nspec: {interval: 1h, serviceAccountName: x, chart: {spec: {chart: ./charts/" + name + ", sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}}\n")}
	}
	r, err := migrate.Flux(t.Context(), migrate.Options{Repository: "https://git.example.com/acme/home", FS: fstest.MapFS{
		"cluster/ks.yaml": {Mode: 0o644, Data: []byte("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: logs, namespace: logs}\nspec: {interval: 1h, path: ./apps, prune: true, serviceAccountName: x, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}\n")},
		// One name is the beginning of another, one the Kustomization's, and the folder has kustomizations below.
		"apps/a/collector.yaml": release("logs-collector"), "apps/a/logs.yaml": release("logs"), "apps/a/kustomization.yaml": {Mode: 0o644, Data: []byte("resources: [collector.yaml, logs.yaml, cm.yaml]\n")},
		"apps/a/cm.yaml": {Mode: 0o644, Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range r.Moved {
		got = append(got, m.To+" in "+m.File)
	}
	slices.Sort(got)
	want := []string{"logs/logs in cluster/ks-logs.yaml", "logs/logs-collector in cluster/ks-logs-collector.yaml", "logs/logs-manifests in cluster/ks.yaml"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\n%s", got, print(r))
	}
}

func TestPostRenderersBecomeOne(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: a, namespace: b}\nspec:\n  serviceAccountName: x\n  chart: {spec: {chart: ./c, sourceRef: {kind: GitRepository, name: r}}}\n  postRenderers:\n"
	const again, sooner = "another of that name stands before it", "its patches come before the images"
	for name, tt := range map[string]struct {
		renderers string
		want      string
		told      string // beside that of hooks; else nothing is
	}{
		"nothing":                   {"  - {}\n", "", "-"},
		"a later tag":               {"  - kustomize: {images: [{name: a, newTag: \"1\"}]}\n  - kustomize: {images: [{name: a, newTag: \"2\"}]}\n", "    kustomize:\n      images:\n      - name: a\n        newTag: \"2\"\n    path", ""},
		"a later digest":            {"  - kustomize: {images: [{name: a, newTag: \"1\"}]}\n  - kustomize: {images: [{name: a, digest: d}]}\n", "      - digest: d\n        name: a\n    path", ""},
		"a later name":              {"  - kustomize: {images: [{name: a, newTag: \"1\"}]}\n  - kustomize: {images: [{name: a, newName: b}]}\n", "      - name: a\n        newName: b\n        newTag: \"1\"\n    path", ""},
		"what is renamed is gone":   {"  - kustomize: {images: [{name: a, newName: b}]}\n  - kustomize: {images: [{name: a, newTag: \"2\"}, {name: b, newTag: \"3\"}]}\n", "      - name: a\n        newName: b\n      - name: b\n        newTag: \"3\"\n    path", ""},
		"a rename between":          {"  - kustomize: {images: [{name: a, newTag: \"1\"}, {name: b, newName: a}, {name: a, newTag: \"2\"}]}\n", "      - name: a\n        newTag: \"2\"\n      - name: b\n        newName: a\n    path", again},
		"patches of both":           {"  - kustomize: {patches: [{patch: one}]}\n  - kustomize: {patches: [{patch: two}], images: [{name: a, newTag: \"1\"}]}\n", "      patches:\n      - patch: one\n      - patch: two\n    path", ""},
		"a patch behind images":     {"  - kustomize: {images: [{name: a, newTag: \"1\"}]}\n  - kustomize: {patches: [{patch: replicas}]}\n", "      - patch: replicas\n    path", ""},
		"a patch of an image":       {"  - kustomize: {images: [{name: a, newTag: \"1\"}]}\n  - kustomize: {patches: [{patch: image}]}\n", "      - patch: image\n    path", sooner},
		"a patch that is an object": {"  - kustomize: {patchesStrategicMerge: [{a: {b: \"1\", c: 2}}]}\n", "      - patch: |\n          a:\n            b: \"1\"\n            c: 2\n    path", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := migrate.Flux(t.Context(), migrate.Options{Repository: "https://git.example.com/a/b.git", FS: fstest.MapFS{"a.yaml": {Data: []byte(head + tt.renderers), Mode: 0o644}, "c/Chart.yaml": {Data: []byte("name: c\n"), Mode: 0o644}}})
			if err != nil {
				t.Fatal(err)
			}
			all := print(r)
			if !strings.Contains(all, tt.want) || strings.Contains(all, again) != (tt.told == again) || strings.Contains(all, sooner) != (tt.told == sooner) || strings.Contains(all, "hooks go through") != (tt.told != "-") {
				t.Errorf("it tells:\n%s\nwant %q and %q", all, tt.want, tt.told)
			}
		})
	}
}

// Who migrates one cluster names its overlay: what that takes in lies outside of it.
func TestAnOverlayIsReadWithItsBase(t *testing.T) {
	t.Parallel()
	r, err := migrate.ArgoCD(t.Context(), migrate.Options{FS: os.DirFS("testdata/argocd"), Below: "layers/overlays/production", Cluster: "production"})
	if err != nil {
		t.Fatal(err)
	}
	var moved []string
	for _, m := range r.Moved {
		moved = append(moved, m.To+" "+m.File)
	}
	slices.Sort(moved)
	if want := []string{
		"argocd/deck-upper layers/overlays/production/set.yaml",
		"argocd/extra layers/overlays/production/extra.yaml",
		"argocd/shelf layers/overlays/production/shelf.yaml",
	}; !slices.Equal(moved, want) {
		t.Errorf("it gives %q, not %q", moved, want)
	}
	if told := print(r); !strings.Contains(told, "tag: v1.2.3") || strings.Contains(told, ": wrong: ") || !strings.Contains(told, "layers/base/shelf.yaml:9: different: Application argocd/shelf: spec.revisionHistoryLimit") {
		t.Errorf("it tells:\n%s", told)
	}
	lint(t, r)
}
