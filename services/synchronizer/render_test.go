package synchronizer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/synchronizer"
)

func TestRenderOffline(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write(".git/HEAD", "ref: refs/heads/main\n")
	write("base/cm.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n")
	write("base/kustomization.yaml", "resources: [cm.yaml]\n")
	write("app/kustomization.yaml", "namePrefix: x-\nresources: [../base]\n")
	write("plain/b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b} # as it is\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}")
	file := write("clusters/app.yaml", "apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: app, namespace: shop}\nspec:\n  source: {repository: https://h/a/b, branch: main, path: app}\n")
	for name, tt := range map[string]struct {
		options synchronizer.RenderOptions
		want    string
	}{
		"an Application by its file": {synchronizer.RenderOptions{Application: file}, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x-a\n"},
		"a folder": {
			synchronizer.RenderOptions{Path: filepath.Join(root, "plain")},
			"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b} # as it is\n",
		},
	} {
		var out strings.Builder
		if err := synchronizer.Render(t.Context(), tt.options, &out); err != nil || out.String() != tt.want {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
	wrong := write("clusters/wrong.yaml", "apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: app, namespace: shop}\nspec:\n  source: {repository: https://h/a/b, branch: main, path: app}\n  health: [{kind: A, group: x.io, healthy: state.ready}]\n")
	if err := synchronizer.Render(t.Context(), synchronizer.RenderOptions{Application: wrong}, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), "wrong.yaml: spec.health[0].healthy: ") {
		t.Errorf("a wrong rule: %v", err)
	}
	for _, bad := range []synchronizer.RenderOptions{{}, {Path: "a", Application: "b"}, {Path: filepath.Join(root, "none")}} {
		if synchronizer.Render(t.Context(), bad, &strings.Builder{}) == nil {
			t.Errorf("%+v is no error", bad)
		}
	}
}
