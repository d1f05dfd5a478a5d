package render_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/shared/render"
)

const (
	configMap  = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s # a comment\ndata: {n: \"1\"}\n"
	deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 2\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n      - {name: web, image: \"nginx:1.0\"}\n"
)

func cm(name string) string { return fmt.Sprintf(configMap, name) }

// repo makes a file system of pairs of path and content.
func repo(pairs ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		files[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1]), Mode: 0o644}
	}
	return files
}

func names(objects []render.Object) []string {
	var got []string
	for _, o := range objects {
		got = append(got, o.ID.String())
	}
	return got
}

func TestRenderPlain(t *testing.T) {
	t.Parallel()
	files := repo(
		"app/b.yaml", cm("b")+"---\n# only a comment\n--- # next\n"+cm("c"),
		"app/a.yml", deployment,
		"app/sub/ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
		"app/role.json", `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"r"}}`,
		"app/values.yaml", "replicas: 2\n",
		"app/list.yaml", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: item}}\n",
		"app/policy.yaml", "apiVersion: slipway.dev/v1alpha1\nkind: DeploymentPolicy\nmetadata: {name: p}\n---\napiVersion: slipway.dev/v1alpha1\nkind: Hold\nmetadata: {name: h}\n",
		"app/child.yaml", "apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: child, namespace: shop}\n",
		"app/README.md", "not yaml: [",
		"app/.slipwayignore", "/ignored/\n*.draft.yaml\n!keep.draft.yaml\n",
		"app/ignored/broken.yaml", "a: [",
		"app/x.draft.yaml", "a: [",
		"app/keep.draft.yaml", cm("kept"),
		"other/z.yaml", cm("other"),
	)
	files["app/link.yaml"] = &fstest.MapFile{Data: []byte("../other/z.yaml"), Mode: fs.ModeSymlink | 0o777}
	got, err := render.Render(t.Context(), render.Request{FS: files, Path: "app"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Namespace shop", "ClusterRole.rbac.authorization.k8s.io r", "Deployment.apps web", "ConfigMap b", "ConfigMap c",
		"ConfigMap kept", "ConfigMap item", "Application.slipway.dev shop/child",
	}
	if !slices.Equal(names(got.Objects), want) {
		t.Errorf("objects:\n got %q\nwant %q", names(got.Objects), want)
	}
	if !slices.Equal(got.Inputs, []string{"app"}) || got.Kind != render.Plain {
		t.Errorf("inputs %q, kind %q", got.Inputs, got.Kind)
	}
	for _, o := range got.Objects {
		switch o.Name {
		case "b":
			if string(o.Raw) != cm("b") || o.Where() != "app/b.yaml:1" {
				t.Errorf("b: raw %q at %s", o.Raw, o.Where())
			}
		case "c":
			if string(o.Raw) != cm("c") || o.Where() != "app/b.yaml:9" {
				t.Errorf("c: raw %q at %s", o.Raw, o.Where())
			}
		case "web":
			if n, ok := o.Map["spec"].(map[string]any)["replicas"].(int64); !ok || n != 2 {
				t.Errorf("replicas is %T", o.Map["spec"].(map[string]any)["replicas"])
			}
		}
	}
}

func TestTouched(t *testing.T) {
	t.Parallel()
	r := render.Result{Inputs: []string{"app", "base/kustomization.yaml"}}
	for changed, want := range map[string]bool{
		"app/deep/x.yaml": true, "app": true, "apple/x": false, "base/other.yaml": false, "base/kustomization.yaml": true, "x": false,
	} {
		if r.Touched([]string{changed}) != want {
			t.Errorf("Touched(%q) is not %v", changed, want)
		}
	}
	if !(render.Result{Inputs: []string{"."}}).Touched([]string{"x/y"}) {
		t.Error("the root is not touched by a path below it")
	}
}

func TestRenderKustomizeEqualsTheTool(t *testing.T) {
	t.Parallel()
	files := repo(
		"base/kustomization.yaml", "resources: [deployment.yaml, ns.yaml]\nconfigMapGenerator:\n- {name: conf, files: [a.txt], literals: [\"u=https://x\"]}\n",
		"base/deployment.yaml", deployment,
		"base/a.txt", "hello\n",
		"base/ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
		"base/unused.yaml", cm("unused"),
		"overlays/production/kustomization.yaml", "namespace: shop\nresources: [../../base, policy.yaml]\nimages: [{name: nginx, newTag: \"1.1\"}]\npatches:\n- path: patch.yaml\n  target: {kind: Deployment}\n",
		"overlays/production/patch.yaml", "- {op: replace, path: /spec/replicas, value: 5}\n",
		"overlays/production/policy.yaml", "apiVersion: slipway.dev/v1alpha1\nkind: Hold\nmetadata: {name: h}\n",
	)
	got, err := render.Render(t.Context(), render.Request{FS: files, Path: "overlays/production"})
	if err != nil {
		t.Fatal(err)
	}
	want := kustomizeBuild(t, files, "overlays/production")
	var printed [][]byte
	for _, o := range got.Objects {
		printed = append(printed, o.Raw)
	}
	for doc := range bytes.SplitSeq(want, []byte("---\n")) {
		if bytes.Contains(doc, []byte("kind: Hold")) {
			continue
		}
		if !slices.ContainsFunc(printed, func(p []byte) bool { return bytes.Equal(p, doc) }) {
			t.Errorf("missing or not byte-equal:\n%s", doc)
		}
	}
	if len(printed) != 3 {
		t.Errorf("%d objects: %q", len(printed), names(got.Objects))
	}
	for _, in := range []string{"base/deployment.yaml", "base/a.txt", "base/kustomization.yaml", "overlays/production/patch.yaml", "overlays/production/kustomization.yml"} {
		if !slices.Contains(got.Inputs, in) {
			t.Errorf("%s is not among the inputs %q", in, got.Inputs)
		}
	}
	if got.Touched([]string{"base/unused.yaml", "overlays/staging/x"}) {
		t.Errorf("inputs %q are touched by an unused file", got.Inputs)
	}
}

// kustomizeBuild is what the real kustomize prints. It brings bases by git.
func kustomizeBuild(t *testing.T, files fstest.MapFS, dir string, flags ...string) []byte {
	t.Helper()
	tool, err := kustomizeTool()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	write(t, files, root)
	cmd := exec.CommandContext(t.Context(), tool, append([]string{"build", dir}, flags...)...)
	cmd.Dir = root
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0"}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kustomize build: %v: %s", err, complaint.String())
	}
	return out
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	bomb := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\na: &a [x,x,x,x,x,x,x,x,x]\n"
	for i, prev := 0, "a"; i < 9; i++ {
		next := string(rune('b' + i))
		bomb += next + ": &" + next + " [" + strings.Repeat("*"+prev+",", 8) + "*" + prev + "]\n"
		prev = next
	}
	tests := []struct {
		name   string
		files  fstest.MapFS
		path   string
		reason render.Reason
		want   []string // parts of the message
	}{
		{"missing path", repo("x/a.yaml", cm("a")), "y", render.ReasonPath, []string{"y", "not in the repository"}},
		{"path is a file", repo("x/a.yaml", cm("a")), "x/a.yaml", render.ReasonPath, []string{"a file"}},
		{"path leaves", repo("x/a.yaml", cm("a")), "../x", render.ReasonPath, []string{"inside the repository"}},
		{"broken among valid", repo("x/a.yaml", cm("a"), "x/b.yaml", cm("b")+"---\nkey: [1\nother: 2\n"), "x", render.ReasonInvalid, []string{"x/b.yaml:7"}},
		{"key twice", repo("x/a.yaml", "apiVersion: v1\nkind: A\nmetadata:\n  name: a\n  name: b\n"), "x", render.ReasonInvalid, []string{"x/a.yaml:5", "already"}},
		{"no name", repo("x/a.yaml", "\n\napiVersion: v1\nkind: A\n"), "x", render.ReasonInvalid, []string{"x/a.yaml:3", "metadata.name"}},
		{"a slip in apiVersion", repo("x/a.yaml", cm("a")+"---\napVersion: v1\nkind: A\nmetadata: {name: b}\n"), "x", render.ReasonInvalid, []string{"x/a.yaml:7", "A b has no apiVersion"}},
		{"a slip in kind", repo("x/a.yaml", "apiVersion: apps/v1\nkinf: A\nmetadata: {name: b}\n"), "x", render.ReasonInvalid, []string{"x/a.yaml:1", "apps/v1 b has no kind"}},
		{"a slip below a kustomization", repo("x/kustomization.yaml", "resources: [a.yaml]\n", "x/a.yaml", "apVersion: v1\nkind: A\nmetadata: {name: b}\n"), "x", render.ReasonInvalid, []string{"x/kustomization.yaml", "A b has no apiVersion"}},
		{"name is a boolean", repo("x/a.yaml", "apiVersion: v1\nkind: A\nmetadata: {name: n}\n"), "x", render.ReasonInvalid, []string{"x/a.yaml:1", "false", "quotes"}},
		{"duplicate", repo("x/a.yaml", cm("a"), "x/b.yaml", cm("a")), "x", render.ReasonDuplicate, []string{"x/b.yaml:1", "ConfigMap a", "x/a.yaml:1"}},
		{"helm below", repo("x/c/Chart.yaml", "name: x"), "x", render.ReasonUnsupported, []string{"x/c/Chart.yaml", "helm.chart"}},
		{"alias bomb", repo("x/a.yaml", bomb), "x", render.ReasonInvalid, []string{"x/a.yaml", "aliasing"}},
		{"binary", repo("x/a.yaml", "a\x00b"), "x", render.ReasonInvalid, []string{"not text"}},
		{"too large", repo("x/a.yaml", strings.Repeat("# x\n", 2<<20)), "x", render.ReasonTooLarge, []string{"x/a.yaml", "limit"}},
		{"two kustomizations", repo("x/kustomization.yaml", "", "x/Kustomization", ""), "x", render.ReasonInvalid, []string{"also kustomization.yaml"}},
		{"remote resource", repo("x/kustomization.yaml", "# c\nresources:\n- https://user:secret@example.com/a.yaml\n"), "x", render.ReasonUnsupported, []string{"x/kustomization.yaml:3", "remote", "https://example.com/a.yaml"}},
		{"remote by GitHub", repo("x/kustomization.yaml", "resources: [github.com/a/b]\n"), "x", render.ReasonUnsupported, []string{"remote"}},
		{"remote by scp", repo("x/kustomization.yaml", "resources: [\"git@example.com:a/b\"]\n"), "x", render.ReasonUnsupported, []string{"remote"}},
		{"remote in a base", repo("x/kustomization.yaml", "resources: [../b]\n", "b/kustomization.yaml", "resources: [\"ssh://h/a/b\"]\n"), "x", render.ReasonUnsupported, []string{"b/kustomization.yaml:1"}},
		{"remote file", repo("x/kustomization.yaml", "configMapGenerator:\n- name: a\n  files: [\"k=https://h/x\"]\n"), "x", render.ReasonUnsupported, []string{"kustomization.yaml:3"}},
		{"remote patch", repo("x/kustomization.yaml", "patches: [{path: \"HTTP://h/x\"}]\n"), "x", render.ReasonUnsupported, []string{"remote"}},
		{"remote in a transformer", repo("x/kustomization.yaml", "transformers: [t.yaml]\n", "x/t.yaml", "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\npath: https://h/x\n"), "x", render.ReasonUnsupported, []string{"x/t.yaml:4"}},
		{"remote in place", repo("x/kustomization.yaml", "transformers:\n- |-\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: t}\n  path: https://h/x\n"), "x", render.ReasonUnsupported, []string{"x/kustomization.yaml:6"}},
		{"remote in a transformer of any name", repo("x/kustomization.yaml", "transformers: [t.txt]\n", "x/t.txt", "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\npath: https://h/x\n"), "x", render.ReasonUnsupported, []string{"x/t.txt:4"}},
		{"a chart in a kustomization", repo("x/kustomization.yaml", "helmCharts: [{name: a, releaseName: a}]\n"), "x", render.ReasonBuild, []string{"x/kustomization.yaml:1", "x/charts/a"}},
		{"missing base", repo("x/kustomization.yaml", "resources:\n- ../b\n"), "x", render.ReasonBuild, []string{"x/kustomization.yaml:2", "../b"}},
		{"file outside", repo("x/kustomization.yaml", "resources: [../b/a.yaml]\n", "b/a.yaml", cm("a")), "x", render.ReasonBuild, []string{"security"}},
		{"unknown field", repo("x/kustomization.yaml", "resourcez: []\n"), "x", render.ReasonBuild, []string{"resourcez"}},
		{"aliases in a loop", repo("x/kustomization.yaml", "patches: &a [*a]\n"), "x", render.ReasonBuild, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := render.Render(t.Context(), render.Request{FS: tt.files, Path: tt.path})
			var fault *render.Error
			if !errors.As(err, &fault) || fault.Reason != tt.reason {
				t.Fatalf("error %v, want reason %s", err, tt.reason)
			}
			for _, part := range append(tt.want, "") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "/repository") {
				t.Errorf("%q says too much", err)
			}
			if got.Objects != nil || (len(got.Inputs) == 0 && tt.name != "path leaves") {
				t.Errorf("%d objects, inputs %q", len(got.Objects), got.Inputs)
			}
		})
	}
}

func TestMissingPathIsTyped(t *testing.T) {
	t.Parallel()
	_, err := render.Render(t.Context(), render.Request{FS: os.DirFS(t.TempDir()), Path: "no/such"})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
}

func TestRenderStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, file := range []string{"x/a.yaml", "x/kustomization.yaml"} {
		if _, err := render.Render(ctx, render.Request{FS: repo(file, ""), Path: "x"}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func FuzzPlain(f *testing.F) {
	for _, seed := range []string{deployment, cm("a") + "---\n" + cm("b"), "--- {apiVersion: v1}", "a: &a [*a]", "%YAML 1.1\n---\na: b\n...\n", "kind: List\napiVersion: v1\nitems: [1]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := render.Render(t.Context(), render.Request{FS: repo("x/a.yaml", string(data)), Path: "x"})
		if err != nil {
			return
		}
		for _, o := range got.Objects {
			if o.APIVersion == "" || o.Kind == "" || o.Name == "" || len(o.Raw) == 0 || o.Line < 1 {
				t.Errorf("object without identity: %+v", o)
			}
		}
	})
}

func BenchmarkOneOfAThousand(b *testing.B) {
	files := fstest.MapFS{}
	for i := range 1000 {
		dir := fmt.Sprintf("apps/a%04d/", i)
		files[dir+"deployment.yaml"] = &fstest.MapFile{Data: []byte(deployment), Mode: 0o644}
		files[dir+"cm.yaml"] = &fstest.MapFile{Data: []byte(cm("a") + "---\n" + cm("b")), Mode: 0o644}
	}
	sub, err := fs.Sub(files, "apps/a0500") // MapFS itself is linear in its size
	if err != nil {
		b.Fatal(err)
	}
	small := fstest.MapFS{}
	for _, name := range []string{"deployment.yaml", "cm.yaml"} {
		data, err := fs.ReadFile(sub, name)
		if err != nil {
			b.Fatal(err)
		}
		small["apps/a0500/"+name] = &fstest.MapFile{Data: data, Mode: 0o644}
	}
	for b.Loop() {
		if _, err := render.Render(b.Context(), render.Request{FS: small, Path: "apps/a0500"}); err != nil {
			b.Fatal(err)
		}
	}
}
