package manifest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
	"github.com/slipway-cd/slipway/shared/render"
)

const digest = "sha256:9f2c000000000000000000000000000000000000000000000000000000000000"

func image(t testing.TB, s string) events.Image {
	t.Helper()
	i, err := events.ParseImage(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func pod(line string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: web\n" + line
}

func TestOnlyTheBytesOfTheReferenceChange(t *testing.T) {
	for name, c := range map[string]struct{ to, before, after string }{
		"plain":              {"ghcr.io/acme/web:2", pod("    image: ghcr.io/acme/web:1 # why\n"), pod("    image: ghcr.io/acme/web:2 # why\n")},
		"digest is added":    {"ghcr.io/acme/web:2@" + digest, pod("    image: ghcr.io/acme/web:1\n"), pod("    image: ghcr.io/acme/web:2@" + digest + "\n")},
		"old digest goes":    {"ghcr.io/acme/web:2", pod("    image: ghcr.io/acme/web:1@" + digest + "\n"), pod("    image: ghcr.io/acme/web:2\n")},
		"no tag yet":         {"ghcr.io/acme/web:2", pod("    image: ghcr.io/acme/web\n"), pod("    image: ghcr.io/acme/web:2\n")},
		"port in the host":   {"localhost:5000/web:2", pod("    image: localhost:5000/web:1\n"), pod("    image: localhost:5000/web:2\n")},
		"short name":         {"docker.io/library/nginx:2", pod("    image: nginx:1\n"), pod("    image: nginx:2\n")},
		"double quotes":      {"ghcr.io/acme/web:2", pod("    image: \"ghcr.io/acme/web:1\"\n"), pod("    image: \"ghcr.io/acme/web:2\"\n")},
		"single quotes":      {"ghcr.io/acme/web:2", pod("    image:    'ghcr.io/acme/web:1'   \n"), pod("    image:    'ghcr.io/acme/web:2'   \n")},
		"block":              {"ghcr.io/acme/web:2", pod("    image: >-\n      ghcr.io/acme/web:1\n    x: y\n"), pod("    image: >-\n      ghcr.io/acme/web:2\n    x: y\n")},
		"on the next line":   {"ghcr.io/acme/web:2", pod("    image:\n      ghcr.io/acme/web:1\n"), pod("    image:\n      ghcr.io/acme/web:2\n")},
		"CRLF":               {"ghcr.io/acme/web:2", strings.ReplaceAll(pod("    image: ghcr.io/acme/web:1\n"), "\n", "\r\n"), strings.ReplaceAll(pod("    image: ghcr.io/acme/web:2\n"), "\n", "\r\n")},
		"BOM":                {"ghcr.io/acme/web:2", "\ufeff" + pod("    image: ghcr.io/acme/web:1\n"), "\ufeff" + pod("    image: ghcr.io/acme/web:2\n")},
		"no line at the end": {"ghcr.io/acme/web:2", pod("    image: ghcr.io/acme/web:1"), pod("    image: ghcr.io/acme/web:2")},
		"Latin-1 comment":    {"ghcr.io/acme/web:2", "# gr\xfc\xdfe\n" + pod("    image: ghcr.io/acme/web:1 # \xe9\n"), "# gr\xfc\xdfe\n" + pod("    image: ghcr.io/acme/web:2 # \xe9\n")},
		"umlauts before":     {"ghcr.io/acme/web:2", pod("  - {\"ü\": \"ß\", image: ghcr.io/acme/web:1}\n"), pod("  - {\"ü\": \"ß\", image: ghcr.io/acme/web:2}\n")},
		"anchor":             {"ghcr.io/acme/web:2", pod("    image: &i ghcr.io/acme/web:1\n  initContainers:\n  - image: *i\n"), pod("    image: &i ghcr.io/acme/web:2\n  initContainers:\n  - image: *i\n")},
		"documents":          {"ghcr.io/acme/web:2", "---\n" + pod("    image: ghcr.io/acme/web:1\n") + "...\n---\n# c\n" + pod("    image: ghcr.io/acme/web:0\n"), "---\n" + pod("    image: ghcr.io/acme/web:2\n") + "...\n---\n# c\n" + pod("    image: ghcr.io/acme/web:2\n")},
		"JSON":               {"ghcr.io/acme/web:2", `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"ghcr.io/acme/web:1"}]}}`, `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"ghcr.io/acme/web:2"}]}}`},
		"image volume":       {"ghcr.io/acme/web:2", pod("    x: y\n  volumes:\n  - image:\n      reference: ghcr.io/acme/web:1\n"), pod("    x: y\n  volumes:\n  - image:\n      reference: ghcr.io/acme/web:2\n")},
		"another image":      {"ghcr.io/acme/web:2", pod("    image: ghcr.io/acme/web-api:1\n"), ""},
		"a config map":       {"ghcr.io/acme/web:2", "apiVersion: v1\nkind: ConfigMap\ndata:\n  image: ghcr.io/acme/web:1\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, changed, err := manifest.Edit("web.yaml", []byte(c.before), []events.Image{image(t, c.to)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := c.after
			if want == "" {
				want = c.before
			}
			if string(got) != want || (len(changed) > 0) != (c.after != "") {
				t.Fatalf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestWhatIsNotSafeIsRefusedWithFileAndLine(t *testing.T) {
	for name, before := range map[string]string{
		"escapes":             pod("    image: \"ghcr.io/\\u0061cme/web:1\"\n"),
		"lone carriage":       pod("    image: ghcr.io/acme/web:1\r# c\n"),
		"an alias that isn't": pod("    image: *none # ghcr.io/acme/web:1\n"),
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := manifest.Edit("apps/web.yaml", []byte(before), []events.Image{image(t, "ghcr.io/acme/web:2")}, nil)
			if err == nil || !strings.Contains(err.Error(), "apps/web.yaml") || string(got) != before {
				t.Fatalf("edit: %v, want a refusal that names the file", err)
			}
		})
	}
}

func TestKustomizationEntries(t *testing.T) {
	to := "ghcr.io/acme/web:1.10@" + digest
	for name, c := range map[string]struct{ to, before, after string }{
		"tag and digest":        {to, "images:\n- name: ghcr.io/acme/web\n  newTag: v1 # c\n", "images:\n- name: ghcr.io/acme/web\n  newTag: \"1.10\" # c\n  digest: " + digest + "\n"},
		"quoted tag":            {to, "images:\n  - name: web\n    newName: ghcr.io/acme/web\n    newTag: '1.9'\n", "images:\n  - name: web\n    newName: ghcr.io/acme/web\n    newTag: '1.10'\n    digest: " + digest + "\n"},
		"digest goes":           {"ghcr.io/acme/web:2.0.1", "images:\n- name: ghcr.io/acme/web\n  newTag: 1.0.0\n  digest: " + digest + "\nx: y\n", "images:\n- name: ghcr.io/acme/web\n  newTag: 2.0.1\nx: y\n"},
		"digest goes from flow": {"ghcr.io/acme/web:2.0.1", "images: [{digest: " + digest + ", name: ghcr.io/acme/web, newTag: \"1\"}]\n", "images: [{digest: '', name: ghcr.io/acme/web, newTag: \"2.0.1\"}]\n"},
		"a flow field goes":     {"ghcr.io/acme/web:2.0.1", "images: [{name: ghcr.io/acme/web, newTag: \"1\", digest: '" + digest + "' }]\n", "images: [{name: ghcr.io/acme/web, newTag: \"2.0.1\" }]\n"},
		"its comment stays":     {"ghcr.io/acme/web:2.0.1", "images:\n- digest: \"" + digest + "\"\n  name: ghcr.io/acme/web\n- name: x\n  newName: ghcr.io/acme/web\n  newTag: a\n  digest: " + digest + " # c\n", "images:\n- digest: \"\"\n  name: ghcr.io/acme/web\n  newTag: 2.0.1\n- name: x\n  newName: ghcr.io/acme/web\n  newTag: 2.0.1\n  digest: '' # c\n"},
		"a tag for a digest":    {"ghcr.io/acme/web:2.0.1", "images:\r\n- name: ghcr.io/acme/web\r\n  digest: " + digest, "images:\r\n- name: ghcr.io/acme/web\r\n  newTag: 2.0.1"},
		"a digest for a tag":    {"ghcr.io/acme/web@" + digest, "images:\n- name: ghcr.io/acme/web\n  newTag: a\nx: y\n", "images:\n- name: ghcr.io/acme/web\n  digest: " + digest + "\nx: y\n"},
		"JSON":                  {to, "{\"images\": [{\"name\": \"ghcr.io/acme/web\", \"newTag\": \"1\"}]}", "{\"images\": [{\"name\": \"ghcr.io/acme/web\", \"newTag\": \"1.10\", \"digest\": \"" + digest + "\"}]}"},
		"flow":                  {to, "images: [{name: ghcr.io/acme/web, newTag: \"1\"}]\n", "images: [{name: ghcr.io/acme/web, newTag: \"1.10\", digest: " + digest + "}]\n"},
		"nothing but a newName": {"ghcr.io/acme/web:2.0.1", "images:\n- name: web\n  newName: ghcr.io/acme/web\n", "images:\n- name: web\n  newName: ghcr.io/acme/web\n  newTag: 2.0.1\n"},
		"no line at the end":    {"ghcr.io/acme/web:2.0.1", "images:\n- name: ghcr.io/acme/web\n  newTag: 1.0.0\n  digest: " + digest, "images:\n- name: ghcr.io/acme/web\n  newTag: 2.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := manifest.Edit("prod/kustomization.yaml", []byte(c.before), []events.Image{image(t, c.to)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.after {
				t.Fatalf("got:\n%s\nwant:\n%s", got, c.after)
			}
		})
	}
}

func shop(extra map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{
		"base/kustomization.yaml": {Data: []byte("resources: [deployment.yaml]\n")},
		"base/deployment.yaml":    {Data: []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers:\n      - {name: web, image: ghcr.io/acme/web:1.0.0}\n")},
		"prod/kustomization.yaml": {Data: []byte("# production\nresources:\n- ../base\nnamePrefix: p-\n")},
	}
	for name, data := range extra {
		fsys[name] = &fstest.MapFile{Data: []byte(data)}
	}
	return fsys
}

func TestAnOverlayThatInheritsAnImageGetsAnEntry(t *testing.T) {
	target := []events.Image{image(t, "ghcr.io/acme/web:2.0.0@"+digest)}
	f := manifest.Folder{FS: shop(nil), Path: "prod"}
	r, err := f.Set(t.Context(), target)
	if err != nil || len(r.Problems) > 0 {
		t.Fatal(err, r.Problems)
	}
	want := "# production\nresources:\n- ../base\nnamePrefix: p-\nimages:\n- name: ghcr.io/acme/web\n  newTag: 2.0.0\n  digest: " + digest + "\n"
	if len(r.Files) != 1 || string(r.Files["prod/kustomization.yaml"]) != want {
		t.Fatalf("got %q, want %q in prod/kustomization.yaml alone", r.Files, want)
	}
	again, err := manifest.Folder{FS: manifest.Overlay(f.FS, r.Files), Path: "prod"}.Set(t.Context(), target)
	if err != nil || len(again.Files) != 0 {
		t.Fatalf("editing twice changed %q, %v", again.Files, err)
	}
}

func TestABaseInsideOfTheFolderIsEditedItself(t *testing.T) {
	r, err := manifest.Folder{FS: shop(nil), Path: "."}.Set(t.Context(), []events.Image{image(t, "ghcr.io/acme/web:2.0.0")})
	if err != nil || len(r.Problems) > 0 {
		t.Fatal(err, r.Problems)
	}
	if len(r.Files) != 1 || !strings.Contains(string(r.Files["base/deployment.yaml"]), "image: ghcr.io/acme/web:2.0.0}") {
		t.Fatalf("changed %q, want base/deployment.yaml alone", r.Files)
	}
}

func TestAnOverlaysOtherEntriesStay(t *testing.T) {
	f := shop(map[string]string{"prod/kustomization.yaml": "resources: [../base]\nimages:\n  - name: ghcr.io/acme/other\n    newTag: 3.0.0 # keep\nnamePrefix: p-\n"})
	r, err := manifest.Folder{FS: f, Path: "prod"}.Set(t.Context(), []events.Image{image(t, "ghcr.io/acme/web:2.0.0")})
	if err != nil || len(r.Problems) > 0 {
		t.Fatal(err, r.Problems)
	}
	want := "resources: [../base]\nimages:\n  - name: ghcr.io/acme/other\n    newTag: 3.0.0 # keep\n  - name: ghcr.io/acme/web\n    newTag: 2.0.0\nnamePrefix: p-\n"
	if got := string(r.Files["prod/kustomization.yaml"]); got != want {
		t.Fatalf("got:\n%s\nwant:\n%s", got, want)
	}
}

// Where all references to an image in a file are equal and tagged, set and
// set back gives the same bytes, and setting twice is setting once.
func TestSetAndSetBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quote := rapid.SampledFrom([]string{"", "\"", "'"}).Draw(t, "quote")
		eol := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "eol")
		old := rapid.SampledFrom([]string{":1.0", ":v1@" + digest}).Draw(t, "old")
		indent := strings.Repeat(" ", rapid.IntRange(0, 4).Draw(t, "indent"))
		var b strings.Builder
		for i := range rapid.IntRange(1, 3).Draw(t, "documents") {
			fmt.Fprintf(&b, "%s\nkind: Pod\napiVersion: v1\nspec:\n%scontainers:\n", rapid.SampledFrom([]string{"---", "--- # c\n\n#\tx"}).Draw(t, "separator"), indent+" ")
			for range rapid.IntRange(1, 3).Draw(t, "containers") {
				fmt.Fprintf(&b, "%s-  image: %sghcr.io/acme/web%s%s%s\n%s   name: c%d\n", indent+" ", quote, old, quote,
					rapid.SampledFrom([]string{"", " # ü comment", "  "}).Draw(t, "tail"), indent+" ", i)
			}
		}
		before := strings.ReplaceAll(b.String(), "\n", eol)
		if rapid.Bool().Draw(t, "cut") {
			before = strings.TrimSuffix(before, eol)
		}
		set := func(data, ref string) string {
			i, err := events.ParseImage("ghcr.io/acme/web"+ref, nil)
			if err != nil {
				t.Fatal(err)
			}
			out, _, err := manifest.Edit("a.yaml", []byte(data), []events.Image{i}, nil)
			if err != nil {
				t.Fatalf("%v in:\n%s", err, data)
			}
			return string(out)
		}
		once := set(before, ":2.10")
		if once == before || set(once, ":2.10") != once {
			t.Fatal("setting twice is not setting once")
		}
		if back := set(once, old); back != before {
			t.Fatalf("set back gave:\n%q\nwant:\n%q", back, before)
		}
	})
}

func FuzzEdit(f *testing.F) {
	f.Add(pod("    image: ghcr.io/acme/web:1 # c\n"), false)
	f.Add("images:\n- name: ghcr.io/acme/web\n  newTag: v1\n", true)
	target := []events.Image{image(f, "ghcr.io/acme/web:2@"+digest)}
	f.Fuzz(func(t *testing.T, data string, kustomization bool) {
		name := "a.yaml"
		if kustomization {
			name = "kustomization.yaml"
		}
		once, _, err := manifest.Edit(name, []byte(data), target, nil)
		if err != nil {
			return
		}
		twice, changed, err := manifest.Edit(name, once, target, nil)
		if err != nil || len(changed) > 0 || string(twice) != string(once) {
			t.Fatalf("editing twice is not editing once: %v, %v", changed, err)
		}
	})
}

func TestProveSeesWhatElseChanged(t *testing.T) {
	objects := func(image, replicas string) []render.Object {
		r, err := render.Render(t.Context(), render.Request{FS: fstest.MapFS{"a.yaml": {Data: []byte(
			"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: " + replicas + ", image: " + image + "}\n")}}, Path: "."})
		if err != nil {
			t.Fatal(err)
		}
		return r.Objects
	}
	target := []events.Image{image(t, "ghcr.io/acme/web:2")}
	before := objects("ghcr.io/acme/web:1", "1")
	if err := manifest.Prove(before, objects("ghcr.io/acme/web:2", "1"), target, nil); err != nil {
		t.Errorf("the wanted change: %v", err)
	}
	for name, after := range map[string][]render.Object{
		"another field": objects("ghcr.io/acme/web:2", "2"),
		"another image": objects("ghcr.io/acme/api:2", "1"),
		"no change":     objects("ghcr.io/acme/web:1", "1"),
		"no object":     nil,
	} {
		if err := manifest.Prove(before, after, target, nil); !errors.Is(err, manifest.ErrUnsafe) {
			t.Errorf("%s: %v, want ErrUnsafe", name, err)
		}
	}
}
