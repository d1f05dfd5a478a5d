package manifest_test

import (
	"errors"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// sealedFile is a file that the real sops made.
func sealedFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(path.Join("testdata", "sealed", name))
	if err != nil {
		t.Fatal(err)
	}
	if render.FormatOf(name, data) == "" {
		t.Fatalf("%s is not encrypted", name)
	}
	return string(data)
}

const sealedPod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - image: ghcr.io/acme/web:1.0.0\n"

// Who has no keys edits what lies beside encrypted files, and leaves them as
// they are.
func TestImagesBesideEncryptedFilesAreEdited(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		files map[string]string
		helm  render.Release
		edits string
	}{
		"plain":     {map[string]string{"app/pod.yaml": sealedPod, "app/secret.yaml": sealedFile(t, "secret.yaml")}, render.Release{}, "app/pod.yaml"},
		"kustomize": {map[string]string{"app/kustomization.yaml": "resources: [../base, secret.yaml]\nsecretGenerator: [{name: a, envs: [web.env]}]\n", "app/secret.yaml": sealedFile(t, "secret.yaml"), "app/web.env": sealedFile(t, "web.env"), "base/kustomization.yaml": "resources: [pod.yaml]\n", "base/pod.yaml": sealedPod}, render.Release{}, "app/kustomization.yaml"},
		"helm": {map[string]string{
			"app/Chart.yaml": "apiVersion: v2\nname: a\nversion: 1.0.0\n", "app/values.yaml": "image: ghcr.io/acme/web:1.0.0\n", "app/secrets.yaml": sealedFile(t, "values.yaml"),
			"app/templates/a.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  priority: {{ int .Values.priority }}\n  password: {{ .Values.password }}\n  containers:\n  - image: {{ .Values.image }}\n",
		}, render.Release{ValuesFiles: []string{"secrets.yaml"}}, "app/values.yaml"},
	} {
		files, err := manifest.Folder{FS: tree(tt.files), Path: "app", Helm: tt.helm}.Promote(t.Context(), []events.Image{image(t, "ghcr.io/acme/web:2.0.0")})
		if err != nil || len(files) != 1 || !strings.Contains(string(files[tt.edits]), "2.0.0") {
			t.Errorf("%s: %q, %v", name, files, err)
		}
	}
}

func TestAnImageWithinAnEncryptedFileIsNotEdited(t *testing.T) {
	t.Parallel()
	files := map[string]string{"app/a.yaml": sealedFile(t, "pod.yaml")}
	_, err := manifest.Folder{FS: tree(files), Path: "app"}.Promote(t.Context(), []events.Image{image(t, "ghcr.io/acme/web:2.0.0")})
	if !errors.Is(err, manifest.ErrUnsafe) || !strings.Contains(err.Error(), "app/a.yaml:") || !strings.Contains(err.Error(), "SOPS has sealed") {
		t.Errorf("%v", err)
	}
	files = map[string]string{
		"app/Chart.yaml": "apiVersion: v2\nname: a\nversion: 1.0.0\n", "app/values.yaml": sealedFile(t, "imagevalues.yaml"),
		"app/templates/a.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - image: {{ .Values.image }}\n",
	}
	_, err = manifest.Folder{FS: tree(files), Path: "app"}.Promote(t.Context(), []events.Image{image(t, "ghcr.io/acme/web:2.0.0")})
	if !errors.Is(err, manifest.ErrUnsafe) || !strings.Contains(err.Error(), "app/values.yaml:") || !strings.Contains(err.Error(), "SOPS has sealed") {
		t.Errorf("%v", err)
	}
}

func TestAnImageThatTheApplicationSetsIsNotEdited(t *testing.T) {
	t.Parallel()
	files := map[string]string{"app/pod.yaml": sealedPod}
	target := []events.Image{image(t, "ghcr.io/acme/web:2.0.0")}
	for name, tt := range map[string]struct {
		set  api.KustomizeSource
		want string
	}{
		"its tag":        {api.KustomizeSource{Images: []api.KustomizeImage{{Name: "ghcr.io/acme/web", NewTag: "1.5.0"}}}, "spec.source.kustomize.images[0] (ghcr.io/acme/web)"},
		"its new name":   {api.KustomizeSource{Images: []api.KustomizeImage{{Name: "web", NewTag: "1"}, {Name: "app", NewName: "ghcr.io/acme/web", Digest: "sha256:" + strings.Repeat("a", 64)}}}, "images[1] (ghcr.io/acme/web)"},
		"another":        {api.KustomizeSource{Images: []api.KustomizeImage{{Name: "ghcr.io/acme/api", NewTag: "1.5.0"}}, NamePrefix: "a-"}, ""},
		"it in a patch":  {api.KustomizeSource{Patches: []api.KustomizePatch{{Patch: `- {op: replace, path: /spec/containers/0/image, value: "ghcr.io/acme/web:1.5.0"}`, Target: &api.KustomizeTarget{Kind: "Pod"}}}}, "would stay at"},
		"its name alone": {api.KustomizeSource{Images: []api.KustomizeImage{{Name: "ghcr.io/acme/web", NewName: "mirror.example.com/web"}}}, "-"},
	} {
		edited, err := manifest.Folder{FS: tree(files), Path: "app", Kustomize: &tt.set}.Promote(t.Context(), target)
		switch {
		case tt.want == "" && (err != nil || !strings.Contains(string(edited["app/pod.yaml"]), "2.0.0")):
			t.Errorf("%s: %q, %v", name, edited, err)
		case len(tt.want) > 1 && (!errors.Is(err, manifest.ErrUnsafe) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v", name, err)
		}
	}
}
