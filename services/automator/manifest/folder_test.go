package manifest_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
	"github.com/slipway-cd/slipway/shared/api"
)

func tree(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, data := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(data)}
	}
	return fsys
}

// What can't be edited is told with file and line, and keeps nothing else
// back.
func TestOneBadFileKeepsNoOtherBack(t *testing.T) {
	fsys := tree(map[string]string{
		"apps/good.yaml":            pod("    image: ghcr.io/acme/web:v1\n"),
		"apps/template.yaml":        "{{ if .x }}\nimage: ghcr.io/acme/web:v1\n{{ end }}\n",
		"apps/other-template.yaml":  "{{ if .x }}\nimage: ghcr.io/acme/web-api:v1\nname: web\n{{ end }}\n",
		"apps/lfs.json":             "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
		"apps/utf16.yaml":           "\xff\xfea\x00:\x00",
		"apps/mixed.yaml":           "image: ghcr.io/acme/web:${TAG}\nother: {image: quay.io/acme/api:v1}\n",
		"apps/cr.yaml":              "a: b\rimage: ghcr.io/acme/web:v1\n",
		"apps/broken.yaml":          "a: [ghcr.io/acme/nothing\n",
		"apps/module/.git":          "gitdir: ../../.git/modules/module\n",
		"apps/module/deep/pod.yaml": pod("    image: ghcr.io/acme/web:v1\n"),
		"elsewhere.yaml":            pod("    image: ghcr.io/acme/web:v1\n"),
	})
	r, err := manifest.Folder{FS: fsys, Path: "apps"}.Set(t.Context(), []events.Image{image(t, "ghcr.io/acme/web:v2"), image(t, "quay.io/acme/api:v2")})
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(r.Files)); !slices.Equal(got, []string{"apps/good.yaml", "apps/mixed.yaml"}) {
		t.Errorf("changed %q", got)
	}
	if want := "image: ghcr.io/acme/web:${TAG}\nother: {image: quay.io/acme/api:v2}\n"; string(r.Files["apps/mixed.yaml"]) != want {
		t.Errorf("mixed.yaml is %q, want %q", r.Files["apps/mixed.yaml"], want)
	}
	told := errors.Join(r.Problems...).Error()
	for _, want := range []string{"apps/template.yaml:2:", "apps/lfs.json:1:", "apps/utf16.yaml:1:", "apps/mixed.yaml:1:", "apps/cr.yaml:1:", "apps/module/deep/pod.yaml:8:"} {
		if !strings.Contains(told, want) {
			t.Errorf("nothing is told of %s in:\n%s", want, told)
		}
	}
	if len(r.Problems) != 6 {
		t.Errorf("%d problems, want 6:\n%s", len(r.Problems), told)
	}
}

// What an Application leaves out of its path is not edited with it.
func TestWhatIsIgnoredIsLeftAlone(t *testing.T) {
	fsys := tree(map[string]string{
		"apps/web.yaml":         pod("    image: ghcr.io/acme/web:v1\n"),
		"apps/next/web.yaml":    pod("    image: ghcr.io/acme/web:v1\n"),
		"apps/next/broken.yaml": "{{ if .x }}\nimage: ghcr.io/acme/web:v1\n{{ end }}\n",
	})
	r, err := manifest.Folder{FS: fsys, Path: "apps", Ignore: []string{"/*/"}}.Set(t.Context(), []events.Image{image(t, "ghcr.io/acme/web:v2")})
	if err != nil || len(r.Problems) > 0 {
		t.Fatal(err, r.Problems)
	}
	if got := slices.Sorted(maps.Keys(r.Files)); !slices.Equal(got, []string{"apps/web.yaml"}) {
		t.Errorf("changed %q", got)
	}
}

func TestMarkersAndPoliciesInOtherFiles(t *testing.T) {
	r, err := manifest.Folder{FS: tree(map[string]string{
		"a/vars.yaml":   "apiVersion: v1\nkind: ConfigMap\ndata:\n  TAG: v1 # {\"$imagepolicy\": \"flux-system:web:tag\"}\n  API: v1 # {\"$imagepolicy\": \"flux-system:api:tag\"}\n  DB: v1 # {\"$imagepolicy\": \"flux-system:db:tag\"}\n",
		"b/images.yaml": "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {name: web}\nspec: {image: ghcr.io/acme/web}\n---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {name: web}\nspec: {imageRepositoryRef: {name: web}}\n",
		"c/pod.yaml":    pod("    image: ghcr.io/acme/db:v1 # {\"$imagepolicy\": \"flux-system:db\"}\n"),
	}), Path: "."}.Set(t.Context(), []events.Image{image(t, "ghcr.io/acme/web:v2@"+digest), image(t, "ghcr.io/acme/db:v3")})
	if err != nil || len(r.Problems) > 0 {
		t.Fatal(err, r.Problems)
	}
	want := "apiVersion: v1\nkind: ConfigMap\ndata:\n  TAG: v2 # {\"$imagepolicy\": \"flux-system:web:tag\"}\n  API: v1 # {\"$imagepolicy\": \"flux-system:api:tag\"}\n  DB: v3 # {\"$imagepolicy\": \"flux-system:db:tag\"}\n"
	if got := string(r.Files["a/vars.yaml"]); got != want || len(r.Files) != 2 {
		t.Fatalf("changed %q", r.Files)
	}
}

func TestLinksAreNeverFollowed(t *testing.T) {
	dir := t.TempDir()
	secret := pod("    image: ghcr.io/acme/web:v1\n")
	for _, d := range []string{"in", "out"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "out/pod.yaml"), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"in/pod.yaml": "../out/pod.yaml", "in/folder": "../out", "in/kustomization.yaml": "/etc/passwd", "in/loop": "."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := manifest.Folder{FS: os.DirFS(dir), Path: "in"}.Set(t.Context(), []events.Image{image(t, "ghcr.io/acme/web:v2")})
	if err != nil || len(r.Files) > 0 || len(r.Problems) > 0 {
		t.Fatal(r.Files, r.Problems, err)
	}
	if now, err := fs.ReadFile(os.DirFS(dir), "out/pod.yaml"); err != nil || string(now) != secret {
		t.Fatal("what lies behind a link was changed", err)
	}
}

// A kustomization that has nothing to do with the image isn't built, so that
// one that can't be built keeps no other back.
func TestKustomizationsOfOtherImagesAreLeftAlone(t *testing.T) {
	fsys := shop(map[string]string{
		"remote/kustomization.yaml": "resources: [https://example.com/x.yaml]\n",
		"broken/kustomization.yaml": "resources: [missing.yaml]\nnamePrefix: [\n",
		"other/kustomization.yaml":  "resources: [missing.yaml]\n",
	})
	r, err := manifest.Folder{FS: fsys, Path: "."}.Set(t.Context(), []events.Image{image(t, "ghcr.io/acme/web:2.0.0")})
	if err != nil || len(r.Files) != 1 || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Error(), "remote/kustomization.yaml") {
		t.Fatalf("changed %q, problems %v, %v; want base/deployment.yaml, and remote told of", r.Files, r.Problems, err)
	}
}

func TestWhereEntriesAreAdded(t *testing.T) {
	const entry = "- name: ghcr.io/acme/web\n  newTag: 2.0.0\n"
	for name, c := range map[string]struct{ before, after string }{
		"at the end":           {"resources: [../base] # c\n# end\n", "resources: [../base] # c\n# end\nimages:\n" + entry},
		"no line at the end":   {"resources: [../base]", "resources: [../base]\nimages:\n" + strings.TrimSuffix(entry, "\n")},
		"before the marker":    {"---\n# c\nresources: [../base]\n...\n", "---\n# c\nimages:\n" + entry + "resources: [../base]\n...\n"},
		"indented":             {"  resources: [../base]\n", "  resources: [../base]\n  images:\n  - name: ghcr.io/acme/web\n    newTag: 2.0.0\n"},
		"an empty list":        {"images: [] # c\nresources: [../base]\n", "images: [{name: ghcr.io/acme/web, newTag: 2.0.0}] # c\nresources: [../base]\n"},
		"nothing in images":    {"images: # c\nresources: [../base]\n", "images: # c\n" + entry + "resources: [../base]\n"},
		"a flow list":          {"images: [{name: x, newTag: z}]\nresources: [../base]\n", "images: [{name: ghcr.io/acme/web, newTag: 2.0.0}, {name: x, newTag: z}]\nresources: [../base]\n"},
		"JSON":                 {"{\"resources\": [\"../base\"]}\n", "{\"images\": [{\"name\": \"ghcr.io/acme/web\", \"newTag\": \"2.0.0\"}], \"resources\": [\"../base\"]}\n"},
		"CRLF":                 {"resources: [../base]\r\n", "resources: [../base]\r\nimages:\r\n- name: ghcr.io/acme/web\r\n  newTag: 2.0.0\r\n"},
		"after a quoted entry": {"images:\n  - newTag: \"1\" # c\n    name: 'x'\nresources: [../base]\n", "images:\n  - newTag: \"1\" # c\n    name: 'x'\n  - name: ghcr.io/acme/web\n    newTag: 2.0.0\nresources: [../base]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f := manifest.Folder{FS: shop(map[string]string{"prod/kustomization.yaml": c.before}), Path: "prod"}
			r, err := f.Set(t.Context(), []events.Image{image(t, "ghcr.io/acme/web:2.0.0")})
			if err != nil || len(r.Problems) > 0 {
				t.Fatal(err, r.Problems)
			}
			if got := string(r.Files["prod/kustomization.yaml"]); got != c.after {
				t.Fatalf("got:\n%s\nwant:\n%s", got, c.after)
			}
		})
	}
}

// kustomize takes an empty digest for none.
func TestADigestThatIsMadeEmptyIsNone(t *testing.T) {
	f := manifest.Folder{FS: shop(map[string]string{"prod/kustomization.yaml": "resources: [../base]\nimages: [{digest: " + digest + ", name: ghcr.io/acme/web, newTag: a}]\n"}), Path: "prod"}
	files, err := f.Promote(t.Context(), []events.Image{image(t, "ghcr.io/acme/web:2.0.0")})
	if want := "resources: [../base]\nimages: [{digest: '', name: ghcr.io/acme/web, newTag: 2.0.0}]\n"; err != nil || string(files["prod/kustomization.yaml"]) != want {
		t.Fatalf("got %q, %v, want %q", files, err, want)
	}
}

// Folders whose kustomizations are detected are edited as the kustomizations are, and what
// is outside of them as it stands.
func TestDetectedKustomizationsAreEdited(t *testing.T) {
	f := manifest.Folder{FS: shop(map[string]string{
		"apps/web/kustomization.yaml": "resources: [../../base]\n",
		"apps/web/left.yaml":          pod("    image: ghcr.io/acme/web:v1\n"), // no resource
		"apps/pod.yaml":               pod("    image: ghcr.io/acme/web:v1\n"),
	}), Path: "apps", Kustomize: &api.KustomizeSource{Autodetect: true, NamePrefix: "a-"}}
	files, err := f.Promote(t.Context(), []events.Image{image(t, "ghcr.io/acme/web:2.0.0")})
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"apps/web/kustomization.yaml": "resources: [../../base]\nimages:\n- name: ghcr.io/acme/web\n  newTag: 2.0.0\n",
		"apps/pod.yaml":               pod("    image: ghcr.io/acme/web:2.0.0\n"),
	} {
		if got := string(files[file]); got != want {
			t.Errorf("%s is %q, want %q", file, got, want)
		}
	}
}

// What an entry can't reach is told, and the entry isn't written.
func TestAnInheritedReleaseCanNotBeSet(t *testing.T) {
	fsys := shop(map[string]string{"base/deployment.yaml": "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web}\nspec: {values: {image: {repository: ghcr.io/acme/web, tag: v1}}}\n"})
	r, err := manifest.Folder{FS: fsys, Path: "prod"}.Set(t.Context(), []events.Image{image(t, "ghcr.io/acme/web:v2")})
	if err != nil || len(r.Files) > 0 || len(r.Changed) > 0 || len(r.Problems) != 1 || !errors.Is(r.Problems[0], manifest.ErrUnsafe) {
		t.Fatal(r.Files, r.Problems, err)
	}
}

// Every edit of an application is proved by rendering: values and markers in
// plain objects are proved as images are.
func TestPromoteProvesByRendering(t *testing.T) {
	release := "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web}\nspec:\n  values:\n    image:\n      repository: ghcr.io/acme/web\n      tag: v1 # {\"$imagepolicy\": \"flux-system:web:tag\"}\n" +
		"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata:\n  tag: v1 # {\"$imagepolicy\": \"flux-system:web:tag\"}\n"
	argo := "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web}\nspec:\n  source:\n    helm:\n      values: |\n        image: ghcr.io/acme/web:v1\n"
	target := []events.Image{image(t, "ghcr.io/acme/web:v2")}
	for name, files := range map[string]map[string]string{
		"plain":     {"a/release.yaml": release, "a/argo.yaml": argo, "b.yaml": release},
		"kustomize": {"a/release.yaml": strings.Split(release, "---")[0], "a/argo.yaml": argo, "a/kustomization.yaml": "resources: [release.yaml, argo.yaml]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := manifest.Folder{FS: tree(files), Path: "a"}.Promote(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"a/release.yaml", "a/argo.yaml"} {
				want := strings.NewReplacer("tag: v1", "tag: v2", "web:v1", "web:v2").Replace(files[file])
				if string(got[file]) != want {
					t.Errorf("%s is %q, want %q", file, got[file], want)
				}
			}
			if len(got) != 2 {
				t.Errorf("changed %q", got)
			}
		})
	}
	shared := tree(map[string]string{"a/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {version: &v v1}}\nspec: {containers: [{name: web, image: ghcr.io/acme/web:v1}]}\n---\napiVersion: example.com/v1\nkind: Web\nmetadata: {name: x, labels: {v: &w v1}}\nspec: {image: {repository: ghcr.io/acme/web, tag: *w}}\n"})
	if _, err := (manifest.Folder{FS: shared, Path: "a"}).Promote(t.Context(), target); !errors.Is(err, manifest.ErrUnsafe) {
		t.Errorf("a label that shares the tag's anchor: %v, want ErrUnsafe", err)
	}
}
