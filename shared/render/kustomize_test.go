package render_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// overlay is a kustomization of n Deployments over a base, as people write
// them.
func overlay(n int) fstest.MapFS {
	files := repo("production/kustomization.yaml", "namespace: shop\nresources: [../base]\nimages: [{name: nginx, newTag: \"1.1\"}]\npatches:\n- path: patch.yaml\n  target: {kind: Deployment}\n",
		"production/patch.yaml", "- {op: replace, path: /spec/replicas, value: 5}\n")
	var resources strings.Builder
	for i := range n {
		name := fmt.Sprintf("base/d%d.yaml", i)
		files[name] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(deployment, "web", fmt.Sprintf("web%d", i))), Mode: 0o644}
		fmt.Fprintf(&resources, "- d%d.yaml\n", i)
	}
	files["base/kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources:\n" + resources.String() + "configMapGenerator:\n- {name: conf, literals: [a=b]}\n"), Mode: 0o644}
	return files
}

// multiplied doubles an object n times: a few lines that mean 2^n objects.
func multiplied(n, size int) fstest.MapFS {
	padding := "  padding: \"" + strings.Repeat("x", size) + "\"\n"
	cm := func(name string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata:\n" + padding
	}
	files := repo("0/a/kustomization.yaml", "resources: [a.yaml]\n", "0/a/a.yaml", cm("a"), "0/b/kustomization.yaml", "resources: [b.yaml]\n", "0/b/b.yaml", cm("b"))
	for i := 1; i <= n; i++ {
		for _, half := range []string{"a", "b"} {
			files[fmt.Sprintf("%d/%s/kustomization.yaml", i, half)] = &fstest.MapFile{Mode: 0o644, Data: fmt.Appendf(nil,
				"namePrefix: %s-\nresources: [../../%d/a, ../../%d/b]\n", half, i-1, i-1)}
		}
	}
	return files
}

func TestAKustomizationThatMultipliesIsStoppedAloneByItsLimits(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		limits render.Limits
		size   int
		want   string
	}{
		"time":   {render.Limits{Time: 2 * time.Second, Memory: 4 << 30}, 1, "longer than 2s"},
		"memory": {render.Limits{Time: time.Minute, Memory: 200 << 20}, 1 << 20, "more than 200 MiB"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := render.Render(t.Context(), render.Request{FS: multiplied(40, tt.size), Path: "40/a", Limits: tt.limits})
			var fault *render.Error
			if !errors.As(err, &fault) || fault.Reason != render.ReasonLimit || fault.File != "40/a/kustomization.yaml" || !strings.Contains(fault.Message, tt.want) || fault.Help == "" {
				t.Errorf("%v", err)
			}
			got, err := render.Render(t.Context(), render.Request{FS: multiplied(2, 1), Path: "2/a"})
			if err != nil || len(got.Objects) != 4 {
				t.Errorf("beside it: %q, %v", names(got.Objects), err)
			}
		})
	}
}

func BenchmarkKustomize(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			files := overlay(n)
			for b.Loop() {
				if _, err := render.Render(b.Context(), render.Request{FS: files, Path: "production"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestWhatAnApplicationAddsIsAsIfItStoodInTheKustomization compares with what
// kustomize builds of the kustomization that a person would have written.
func TestWhatAnApplicationAddsIsAsIfItStoodInTheKustomization(t *testing.T) {
	t.Parallel()
	component := "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: add, path: /metadata/annotations, value: {component: \"yes\"}}\n"
	own := "resources: [deployment.yaml, cm.yaml]\nnamePrefix: own-\nimages:\n- {name: nginx, newTag: \"1.1\"}\n- {name: other, newTag: \"2\"}\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: replace, path: /spec/replicas, value: 5}\n"
	patch := "- {op: replace, path: /spec/replicas, value: 7}"
	tests := map[string]struct {
		own    string // the kustomization that is there
		fields api.KustomizeSource
		want   string // that of a person
	}{
		"images": {
			own,
			api.KustomizeSource{Images: []api.KustomizeImage{{Name: "nginx", NewName: "ghcr.io/acme/nginx", NewTag: "1.2"}, {Name: "third", Digest: "sha256:" + strings.Repeat("a", 64)}}},
			"resources: [deployment.yaml, cm.yaml]\nnamePrefix: own-\nimages:\n- {name: nginx, newName: ghcr.io/acme/nginx, newTag: \"1.2\"}\n- {name: other, newTag: \"2\"}\n- {name: third, digest: \"sha256:" + strings.Repeat("a", 64) + "\"}\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: replace, path: /spec/replicas, value: 5}\n",
		},
		"patches and components": {
			own,
			api.KustomizeSource{Components: []string{"../component"}, Patches: []api.KustomizePatch{{Patch: patch, Target: &api.KustomizeTarget{Kind: "Deployment", Name: "web"}}, {Path: "merge.yaml"}}},
			strings.Replace(own, "resources:", "components: [../component]\nresources:", 1) + "- target: {kind: Deployment, name: web}\n  patch: |-\n    " + patch + "\n- path: merge.yaml\n",
		},
		"the rest": {
			own,
			api.KustomizeSource{
				NamePrefix: "a-", NameSuffix: "-z", Namespace: "shop", CommonLabels: map[string]string{"team": "x"}, CommonAnnotations: map[string]string{"note": "hint"},
				Labels: []api.KustomizeLabels{{Pairs: map[string]string{"l": "m"}, IncludeTemplates: true}}, Replicas: []api.KustomizeReplica{{Name: "web", Count: 3}},
			},
			strings.Replace(own, "own-", "a-", 1) + "nameSuffix: -z\nnamespace: shop\ncommonLabels: {team: x}\ncommonAnnotations: {note: hint}\nlabels: [{pairs: {l: m}, includeTemplates: true}]\nreplicas: [{name: web, count: 3}]\n",
		},
		"plain": {
			"",
			api.KustomizeSource{NamePrefix: "a-", Images: []api.KustomizeImage{{Name: "nginx", NewTag: "1.2"}}, Patches: []api.KustomizePatch{{Path: "sub/../merge.yaml"}}},
			"resources: [cm.yaml, deployment.yaml, sub/cm.yaml]\nnamePrefix: a-\nimages: [{name: nginx, newTag: \"1.2\"}]\npatches: [{path: merge.yaml}]\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := repo("app/deployment.yaml", deployment, "app/cm.yaml", cm("conf"), "component/kustomization.yaml", component,
				"app/merge.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, labels: {merged: \"yes\"}}\n")
			if tt.own != "" {
				files["app/kustomization.yaml"] = &fstest.MapFile{Data: []byte(tt.own), Mode: 0o644}
			} else {
				files["app/sub/cm.yaml"] = &fstest.MapFile{Data: []byte(cm("sub")), Mode: 0o644}
				files["app/values.yaml"] = &fstest.MapFile{Data: []byte("no: object\n"), Mode: 0o644}
				files["app/.slipwayignore"] = &fstest.MapFile{Data: []byte("merge.yaml\n"), Mode: 0o644}
			}
			got, all := withFields(t, files, "app", &tt.fields)
			files["app/kustomization.yaml"] = &fstest.MapFile{Data: []byte(tt.want), Mode: 0o644}
			if want := string(kustomizeBuild(t, files, "app")); all != want {
				t.Errorf("got\n%s\nwant\n%s", all, want)
			}
			for _, changed := range []string{"app/deployment.yaml", "app/kustomization.yaml"} {
				if !got.Touched([]string{changed}) {
					t.Errorf("%s is not among the inputs %q", changed, got.Inputs)
				}
			}
			if len(tt.fields.Components) > 0 != got.Touched([]string{"component/kustomization.yaml"}) {
				t.Errorf("inputs %q", got.Inputs)
			}
		})
	}
}

func TestWhatAnApplicationAddsIsRefusedLikeItsKustomization(t *testing.T) {
	t.Parallel()
	plain := repo("app/cm.yaml", cm("a"))
	tests := []struct {
		files  fstest.MapFS
		fields api.KustomizeSource
		reason render.Reason
		want   string
	}{
		{plain, api.KustomizeSource{Components: []string{"../none"}}, render.ReasonBuild, "app/kustomization.yaml: spec.source.kustomize: \"../none\" is not in the repository"},
		{plain, api.KustomizeSource{Components: []string{"github.com/acme/x"}}, render.ReasonUnsupported, "spec.source.kustomize: \"github.com/acme/x\" is a remote resource"},
		{plain, api.KustomizeSource{Patches: []api.KustomizePatch{{Path: "https://h/x"}}}, render.ReasonUnsupported, "remote"},
		{plain, api.KustomizeSource{Patches: []api.KustomizePatch{{Patch: "[", Target: &api.KustomizeTarget{Kind: "ConfigMap"}}}}, render.ReasonBuild, "kustomize"},
		{repo("app/kustomization.yaml", "images: {a: b}\n"), api.KustomizeSource{Images: []api.KustomizeImage{{Name: "a", NewTag: "b"}}}, render.ReasonBuild, "images, to which spec.source.kustomize adds, is no list"},
		{repo("app/kustomization.yaml", "# c\na: [\n"), api.KustomizeSource{NamePrefix: "a-"}, render.ReasonInvalid, "app/kustomization.yaml:"},
	}
	for _, tt := range tests {
		_, err := render.Render(t.Context(), render.Request{FS: tt.files, Path: "app", Kustomize: &tt.fields})
		var fault *render.Error
		if !errors.As(err, &fault) || fault.Reason != tt.reason || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt.fields, err)
		}
	}
}

// TestALargeObject is rendered: whether it is too large is the API server's to
// say, of that object alone.
func TestALargeObject(t *testing.T) {
	t.Parallel()
	large := cm("large") + "binaryData: {x: \"" + strings.Repeat("QUJD", 3<<17) + "\"}\n"
	for name, files := range map[string]fstest.MapFS{
		"plain":     repo("app/a.yaml", large, "app/b.yaml", cm("b")),
		"kustomize": repo("app/kustomization.yaml", "resources: [a.yaml, b.yaml]\n", "app/a.yaml", large, "app/b.yaml", cm("b")),
	} {
		got, err := render.Render(t.Context(), render.Request{FS: files, Path: "app"})
		isLarge := func(o render.Object) bool { return len(o.Raw) > 3<<19 }
		if err != nil || len(got.Objects) != 2 || !slices.ContainsFunc(got.Objects, isLarge) {
			t.Errorf("%s: %q, %v", name, names(got.Objects), err)
		}
	}
}

func TestFilesOfElsewhereInTheRepositoryAreTakenWhereTold(t *testing.T) {
	t.Parallel()
	fsys := repo(
		"app/kustomization.yaml", "resources: [../other/a.yaml, sub]\npatches: [{path: ../patch.yaml}]\nnamePrefix: x-\n",
		"app/sub/kustomization.yaml", "configMapGenerator: [{name: gen, files: [../../values.txt]}]\n",
		"other/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "patch.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {b: c}\n", "values.txt", "v\n",
	)
	_, err := render.Render(t.Context(), render.Request{FS: fsys, Path: "app"})
	var fault *render.Error
	if !errors.As(err, &fault) || fault.Reason != render.ReasonBuild || !strings.Contains(fault.Help, "spec.source.kustomize.loadRestrictor: LoadRestrictionsNone") {
		t.Fatalf("without being told: %v", err)
	}
	got, err := render.Render(t.Context(), render.Request{FS: fsys, Path: "app", Kustomize: &api.KustomizeSource{LoadRestrictor: api.LoadRestrictionsNone}})
	if err != nil || len(got.Objects) != 2 || !strings.Contains(string(got.Objects[0].Raw), "b: c") || !strings.Contains(string(got.Objects[1].Raw), "values.txt") {
		t.Fatalf("%+v, %v", got.Objects, err)
	}
	for _, file := range []string{"other/a.yaml", "patch.yaml", "values.txt"} {
		if !got.Touched([]string{file}) {
			t.Errorf("%s is no input: %v", file, got.Inputs)
		}
	}
	fsys["app/kustomization.yaml"].Data = []byte("resources: [../../outside.yaml]\n")
	if _, err = render.Render(t.Context(), render.Request{FS: fsys, Path: "app", Kustomize: &api.KustomizeSource{LoadRestrictor: api.LoadRestrictionsNone}}); err == nil {
		t.Error("what lies outside of the repository is taken")
	}
}
