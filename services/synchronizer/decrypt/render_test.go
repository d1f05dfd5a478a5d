package decrypt_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/shared/render"
)

func files(pairs ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1]), Mode: 0o644}
	}
	return fsys
}

const secretManifest = "apiVersion: v1\nkind: Secret\nmetadata:\n    name: web\nstringData:\n    password: hunter2-correct\n"

// shapes are applications with encrypted files: what is encrypted of them, by
// file.
var shapes = map[string]map[string]string{
	"plain": {"app/a.yaml": secretManifest, "app/b.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n    name: b\n"},
	"kustomize": {
		"app/kustomization.yaml": "namePrefix: a-\nresources: [a.yaml]\npatches: [{path: patch.yaml}]\nsecretGenerator:\n- {name: gen, envs: [gen.env], files: [key.pem, named=other.txt]}\n" +
			"configMapGenerator:\n- {name: conf, files: [sealed.txt]}\n",
		"app/a.yaml": secretManifest, "app/gen.env": "PASSWORD=hunter2-env\n", "app/key.pem": "hunter2-file\n", "app/other.txt": "hunter2-other\n",
		"app/patch.yaml": "apiVersion: v1\nkind: Secret\nmetadata:\n    name: web\nstringData:\n    more: hunter2-patch\n",
	},
	"helm": {
		"app/Chart.yaml": "apiVersion: v2\nname: a\nversion: 1.0.0\n", "app/values.yaml": "password: hunter2-default\nreplicas: 2\nenabled: true\n", "app/more.yaml": "password: hunter2-more\n",
		"app/templates/a.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {password: {{ .Values.password }}}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: {{ int .Values.replicas }}, paused: {{ not .Values.enabled }}}\n",
	},
}

// encryptedIn are the files of a shape that are encrypted.
var encryptedIn = map[string][]string{
	"plain": {"app/a.yaml"}, "kustomize": {"app/a.yaml", "app/gen.env", "app/key.pem", "app/other.txt", "app/patch.yaml"}, "helm": {"app/values.yaml", "app/more.yaml"},
}

func request(fsys fstest.MapFS, shape string) render.Request {
	r := render.Request{FS: fsys, Path: "app"}
	if shape == "helm" {
		r.Helm.ValuesFiles = []string{"more.yaml"}
	}
	return r
}

func TestEncryptedFilesRenderAsTheirPlainText(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	for shape, texts := range shapes {
		plain, sealed := fstest.MapFS{}, fstest.MapFS{}
		sealedText := w.encrypt("sealed.txt", "for the program itself")
		for name, text := range texts {
			plain[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
			sealed[name] = plain[name]
		}
		for _, name := range encryptedIn[shape] {
			base := name[len("app/"):]
			sealed[name] = &fstest.MapFile{Data: []byte(w.encrypt(base, texts[name], w.flags(base)...)), Mode: 0o644}
		}
		for _, fsys := range []fstest.MapFS{plain, sealed} {
			fsys["app/sealed.txt"] = &fstest.MapFile{Data: []byte(sealedText), Mode: 0o644}
		}
		want, err := render.Render(t.Context(), request(plain, shape))
		if err != nil {
			t.Fatalf("%s: %v", shape, err)
		}
		r := request(sealed, shape)
		r.Decrypter = w.ageKeys()
		got, err := render.Render(t.Context(), r)
		if err != nil {
			t.Fatalf("%s: %v", shape, err)
		}
		for i, o := range got.Objects {
			if i >= len(want.Objects) || string(o.Raw) != string(want.Objects[i].Raw) {
				t.Errorf("%s:\n%s\nwant\n%s", shape, o.Raw, want.Objects[min(i, len(want.Objects)-1)].Raw)
			}
		}
		if hidden := got.Masks.Hide("it is hunter2-correct, hunter2-env and hunter2-more"); strings.Count(hidden, "hunter2") != 3-strings.Count(hidden, "(a secret value)") || hidden == "it is hunter2-correct, hunter2-env and hunter2-more" {
			t.Errorf("%s: %s", shape, hidden)
		}

		// Without keys it is a fault, or left as it is.
		r.Decrypter = nil
		_, err = render.Render(t.Context(), r)
		var fault *render.Error
		if !errors.As(err, &fault) || fault.Reason != render.ReasonEncrypted || !strings.HasPrefix(fault.File, "app/") || !strings.Contains(fault.Help, "spec.decryption.secret") {
			t.Errorf("%s without a key: %v", shape, err)
		}
		r.Sealed = true
		if sealed, err := render.Render(t.Context(), r); err != nil || len(sealed.Objects) != len(want.Objects) {
			t.Errorf("%s, sealed: %d objects, %v", shape, len(sealed.Objects), err)
		}

		// The wrong key.
		r.Sealed, r.Decrypter = false, keys(t, map[string][]byte{"a.agekey": []byte(w.more.String())})
		_, err = render.Render(t.Context(), r)
		if !errors.As(err, &fault) || fault.Reason != render.ReasonEncrypted || !strings.Contains(err.Error(), w.age.Recipient().String()) {
			t.Errorf("%s with another key: %v", shape, err)
		}
	}
}

func TestDocumentsThatWereEncryptedApartLieInOneFile(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	regex := []string{"--age", w.age.Recipient().String(), "--encrypted-regex", "^stringData$"}
	a := w.encrypt("a.yaml", secretManifest, regex...)
	b := w.encrypt("b.yaml", strings.ReplaceAll(secretManifest, "name: web", "name: other"), regex...)
	fsys := files("app/a.yaml", "# together\n"+a+"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c} # plain\n---\n"+b)
	got, err := render.Render(t.Context(), render.Request{FS: fsys, Path: "app", Decrypter: w.ageKeys()})
	if err != nil || len(got.Objects) != 3 {
		t.Fatalf("%d objects, %v", len(got.Objects), err)
	}
	for i, want := range []string{"password: hunter2-correct", "{name: c} # plain", "password: hunter2-correct"} {
		if raw := string(got.Objects[i].Raw); !strings.Contains(raw, want) || strings.Contains(raw, "ENC[") {
			t.Errorf("object %d:\n%s", i, raw)
		}
	}
}

func TestValuesOfSecretsThatAreEncryptedFilesAreOpened(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	encoded := func(name, text string) string {
		return base64.StdEncoding.EncodeToString([]byte(w.encrypt(name, text, w.flags(name)...)))
	}
	text := "apiVersion: v1\nkind: Secret\nmetadata:\n  name: web\ndata:\n  token: " + encoded("token.txt", "hunter2-token") + "\n  app.yaml: " + encoded("app.yaml", "password: hunter2-yaml\n") +
		"\n  app.env: " + encoded("app.env", "PASSWORD=hunter2-env\n") + "\n  plain: aHVudGVyMg==\n  broken: '*'\n"
	chart := "apiVersion: v1\nkind: Secret\nmetadata: {name: web}\ndata: {token: {{ .Files.Get \"token.txt\" | b64enc }}}\n"
	for name, c := range map[string]struct {
		fsys fstest.MapFS
		want map[string]string
	}{
		"plain":     {files("app/a.yaml", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n---\n"+text), map[string]string{"token": "hunter2-token", "app.yaml": "password: hunter2-yaml\n", "app.env": "PASSWORD=hunter2-env\n", "plain": "hunter2"}},
		"kustomize": {files("app/kustomization.yaml", "namePrefix: a-\nresources: [a.yaml]\n", "app/a.yaml", text), map[string]string{"token": "hunter2-token", "app.env": "PASSWORD=hunter2-env\n", "plain": "hunter2"}},
		"helm": {
			files("app/Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\n", "app/token.txt", w.encrypt("token.txt", "hunter2-token", w.flags("token.txt")...), "app/templates/a.yaml", chart),
			map[string]string{"token": "hunter2-token"},
		},
	} {
		got, err := render.Render(t.Context(), render.Request{FS: c.fsys, Path: "app", Decrypter: w.ageKeys()})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		secret := got.Objects[slices.IndexFunc(got.Objects, func(o render.Object) bool { return o.Kind == "Secret" })]
		data := secret.Map["data"].(map[string]any)
		for key, want := range c.want {
			value, err := base64.StdEncoding.DecodeString(data[key].(string))
			if err != nil || string(value) != want {
				t.Errorf("%s: %s is %q, not %q: %v", name, key, value, want, err)
			}
			if !strings.Contains(string(secret.Raw), data[key].(string)) {
				t.Errorf("%s: what is printed isn't what is applied:\n%s", name, secret.Raw)
			}
		}
		if told := got.Masks.Hide("hunter2-token " + base64.StdEncoding.EncodeToString([]byte("hunter2-token"))); strings.Contains(told, "hunter2") || strings.Contains(told, "aHVudGVy") {
			t.Errorf("%s tells %q", name, told)
		}

		as, err := render.Render(t.Context(), render.Request{FS: c.fsys, Path: "app"})
		if err != nil || len(as.Objects) != len(got.Objects) {
			t.Errorf("%s without keys: %d objects, %v", name, len(as.Objects), err)
		}
		_, err = render.Render(t.Context(), render.Request{FS: c.fsys, Path: "app", Decrypter: keys(t, map[string][]byte{"a.agekey": []byte(w.more.String())})})
		var fault *render.Error
		if !errors.As(err, &fault) || fault.Reason != render.ReasonEncrypted || !strings.Contains(err.Error(), "[token]") && !strings.Contains(err.Error(), "[app.env]") {
			t.Errorf("%s with another key: %v", name, err)
		}
	}
}

func TestErrorsTellNothingOfWhatWasDecrypted(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	for name, fsys := range map[string]fstest.MapFS{
		"YAML":         files("app/a.yaml", w.encrypt("a.yaml", "apiVersion: v1\nkind: Secret\nmetadata:\n    name: hunter2-correct\n    labels: hunter2-correct\n"), "app/b.yaml", w.encrypt("b.yaml", "apiVersion: v1\nkind: Secret\nmetadata:\n    name: hunter2-correct\n")),
		"a patch":      files("app/kustomization.yaml", "resources: [a.yaml]\npatches: [{path: p.json, target: {kind: Secret}}]\n", "app/a.yaml", secretManifest, "app/p.json", w.encrypt("p.json", `{"op": "hunter2-correct horse", "path": "/x"}`)),
		"env":          files("app/kustomization.yaml", "secretGenerator: [{name: a, envs: [a.env]}]\n", "app/a.env", w.encrypt("a", "hunter2=\xff correct horse\n")),
		"a values":     files("app/Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\n", "app/values.yaml", w.encrypt("values.yaml", "password: hunter2-correct\n"), "app/templates/a.yaml", "{{ fail .Values.password }}"),
		"values lines": files("app/Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\n", "app/values.yaml", w.encrypt("values.yaml", "password: |\n    begin hunter2-correct\n    hunter2 end\n"), "app/templates/a.yaml", "{{ fail .Values.password }}"),
		"a number":     files("app/Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\n", "app/values.yaml", w.encrypt("values.yaml", "password: hunter2-correct\n"), "app/templates/a.yaml", "{{ .Values.password.x }}{{ atoi .Values.password | div 0 }}"),
	} {
		_, err := render.Render(t.Context(), render.Request{FS: fsys, Path: "app", Decrypter: w.ageKeys()})
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "104 117 110") {
			t.Errorf("%s: %v", name, err)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if strings.Contains(e.Error(), "hunter2") {
				t.Errorf("%s: its cause is %v", name, e)
			}
		}
	}
}

func TestWhatIsEncryptedWhereNoFileIsDecryptedIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	sealed := w.encrypt("a.yaml", secretManifest, "--age", w.age.Recipient().String(), "--encrypted-regex", "^stringData$")
	for name, fsys := range map[string]fstest.MapFS{
		"a template":    files("app/Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\n", "app/templates/a.yaml", sealed),
		"a ConfigMap":   files("app/kustomization.yaml", "configMapGenerator: [{name: a, files: [a.yaml]}]\nsecretGenerator: [{name: b, files: [a.yaml]}]\n", "app/a.yaml", sealed),
		"of a resource": files("app/kustomization.yaml", "resources: [a.yaml, ../base]\n", "app/a.yaml", sealed, "base/kustomization.yaml", "configMapGenerator: [{name: a, files: [a.yaml]}]\n", "base/a.yaml", sealed),
	} {
		got, err := render.Render(t.Context(), render.Request{FS: fsys, Path: "app", Decrypter: w.ageKeys()})
		if name == "of a resource" {
			for _, o := range got.Objects {
				if o.Kind == "ConfigMap" && strings.Contains(string(o.Raw), "hunter2") {
					t.Errorf("%s: decrypted into\n%s", name, o.Raw)
				}
			}
			continue
		}
		var fault *render.Error
		if !errors.As(err, &fault) || fault.Reason != render.ReasonEncrypted && fault.Reason != render.ReasonUnsupported {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A patch that is encrypted from its kind on can't be applied without a key.
func TestASealedPatchIsLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	patch := w.encrypt("whole.yaml", "apiVersion: v1\nkind: Secret\nmetadata:\n    name: web\nstringData:\n    more: hunter2\n")
	fsys := files("app/kustomization.yaml", "resources: [a.yaml]\npatches:\n- path: patch.yaml\n- patch: '- {op: add, path: /metadata/labels, value: {a: b}}'\n  target: {kind: Secret}\npatchesStrategicMerge: [patch.yaml]\n",
		"app/a.yaml", w.encrypt("a.yaml", secretManifest, w.flags("a.yaml")...), "app/patch.yaml", patch)
	got, err := render.Render(t.Context(), render.Request{FS: fsys, Path: "app", Sealed: true})
	if err != nil || len(got.Objects) != 1 || !strings.Contains(string(got.Objects[0].Raw), "a: b") {
		t.Fatalf("%+v, %v", got.Objects, err)
	}
	got, err = render.Render(t.Context(), render.Request{FS: fsys, Path: "app", Decrypter: w.ageKeys()})
	if err != nil || len(got.Objects) != 1 || !strings.Contains(string(got.Objects[0].Raw), "more: hunter2") {
		t.Fatalf("%+v, %v", got.Objects, err)
	}
}
