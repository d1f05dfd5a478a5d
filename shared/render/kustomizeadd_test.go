package render_test

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// withFields renders what an Application adds to, and gives it as `kustomize build` prints it.
func withFields(t *testing.T, files fstest.MapFS, dir string, fields *api.KustomizeSource) (render.Result, string) {
	t.Helper()
	app := &api.Application{Spec: api.ApplicationSpec{Source: api.Source{Path: dir, Kustomize: fields}}}
	got, err := render.Render(t.Context(), render.Application(files, app))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, o := range got.Objects {
		all = append(all, o.Raw)
	}
	return got, string(bytes.Join(all, []byte("---\n")))
}

// TestFoldersBelowAreBuiltWhereTheyAreDetected compares with what kustomize builds of the
// kustomization that `kustomize create --autodetect --recursive` writes, but for the folder of a
// component, which it can't take as a resource.
func TestFoldersBelowAreBuiltWhereTheyAreDetected(t *testing.T) {
	t.Parallel()
	files := repo(
		"apps/cm.yaml", cm("first"),
		"apps/no-object.yaml", "just: values\n",
		"apps/web/kustomization.yaml", "namePrefix: own-\nresources: [deployment.yaml, base]\ncomponents: [../blue]\n",
		"apps/web/deployment.yaml", deployment,
		"apps/web/unlisted.yaml", cm("unlisted"),
		"apps/web/base/Kustomization", "resources: [cm.yaml]\n",
		"apps/web/base/cm.yaml", cm("based"),
		"apps/blue/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncommonAnnotations: {colour: blue}\n",
		"apps/deep/er/kustomization.yml", "configMapGenerator: [{name: hashed, literals: [a=b]}]\n",
		"apps/deep/cm.yaml", cm("deep"),
		"apps/old/kustomization.yaml", "resources: [gone.yaml]\n",
		"apps/.slipwayignore", "old/\n",
	)
	for name, tt := range map[string]struct {
		fields api.KustomizeSource
		more   string
	}{
		"alone":          {api.KustomizeSource{}, ""},
		"and added to":   {api.KustomizeSource{Namespace: "shop", NameSuffix: "-z"}, "namespace: shop\nnameSuffix: -z\n"},
		"with a patch":   {api.KustomizeSource{Patches: []api.KustomizePatch{{Path: "patch.yaml"}}}, "patches: [{path: patch.yaml}]\n"},
		"and components": {api.KustomizeSource{Components: []string{"blue"}}, "components: [blue]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := maps.Clone(files)
			if tt.fields.Patches != nil {
				maps.Copy(files, repo("apps/patch.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: first}\ndata: {patched: \"yes\"}\n", "apps/.slipwayignore", "old/\npatch.yaml\n"))
			}
			tt.fields.Autodetect = true
			got, all := withFields(t, files, "apps", &tt.fields)
			for _, changed := range []string{"apps/new.yaml", "apps/new/kustomization.yaml", "apps/web/base/cm.yaml", "apps/blue/kustomization.yaml"} {
				if !got.Touched([]string{changed}) {
					t.Errorf("%s is not among the inputs %q", changed, got.Inputs)
				}
			}
			maps.Copy(files, repo("apps/kustomization.yaml", "resources: [cm.yaml, deep/cm.yaml, deep/er, web]\n"+tt.more))
			if want := string(kustomizeBuild(t, files, "apps")); all != want {
				t.Errorf("got\n%s\nwant\n%s", all, want)
			}
		})
	}
}

func TestComponentsThatMayBeMissing(t *testing.T) {
	t.Parallel()
	component := "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncommonAnnotations: {colour: blue}\n"
	app := repo("apps/cm.yaml", cm("a"))
	chart := repo("apps/Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\n", "apps/templates/cm.yaml", cm("a"))
	for name, tt := range map[string]struct {
		files fstest.MapFS
		names []string
		want  string
	}{
		"none is there":     {app, []string{"../blue", "red"}, "name: a\n"},
		"one is":            {merged(app, repo("blue/kustomization.yaml", component)), []string{"red", "../blue"}, "colour: blue"},
		"over a chart":      {merged(chart, repo("blue/kustomization.yaml", component)), []string{"../blue", "red"}, "colour: blue"},
		"none over a chart": {chart, []string{"../blue"}, "name: a\n"},
		"a broken one":      {merged(app, repo("blue/kustomization.yaml", "kind: [\n")), []string{"../blue"}, "blue/kustomization.yaml:"},
		"an empty folder":   {merged(app, repo("blue/x", "")), []string{"../blue"}, "kustomization"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := render.Render(t.Context(), render.Request{FS: tt.files, Path: "apps", Kustomize: &api.KustomizeSource{Components: tt.names, IgnoreMissingComponents: true}})
			told := fmt.Sprint(err)
			if err == nil {
				told = string(got.Objects[0].Raw)
			}
			if !strings.Contains(told, tt.want) {
				t.Errorf("%s; not %q", told, tt.want)
			}
			if !got.Touched([]string{"blue/kustomization.yaml"}) {
				t.Errorf("a component that comes is not among the inputs %q", got.Inputs)
			}
		})
	}
}

func TestWhatIsDetectedIsToldWithItsFile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		files fstest.MapFS
		want  string // of the fault; none: the objects are as without it
	}{
		"nothing to detect":       {repo("apps/a/cm.yaml", cm("a"), "apps/b.yaml", cm("b")), ""},
		"one of its own":          {repo("apps/kustomization.yaml", "resources: [a]\n", "apps/a/kustomization.yaml", "resources: [cm.yaml]\n", "apps/a/cm.yaml", cm("a"), "apps/b/kustomization.yaml", "resources: [no]\n"), ""},
		"one that is broken":      {repo("apps/a/kustomization.yaml", "resources: [gone.yaml]\n"), `apps/a/kustomization.yaml:1: "gone.yaml" is not in the repository`},
		"one that is no YAML":     {repo("apps/a/kustomization.yaml", "resources: [\n"), "apps/a/kustomization.yaml:"},
		"two in a folder":         {repo("apps/a/kustomization.yaml", "", "apps/a/Kustomization", ""), "there is also kustomization.yaml"},
		"one that leads outside":  {repo("apps/a/kustomization.yaml", "resources: [https://example.com/x.yaml]\n"), "is a remote resource"},
		"a chart among manifests": {repo("apps/a/Chart.yaml", "name: a\n", "apps/b/kustomization.yaml", "resources: []\n"), "a Helm chart lies among the files"},
		"a chart":                 {repo("apps/Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\n", "apps/templates/cm.yaml", cm("a")), "spec.source.kustomize.autodetect is for a folder of manifests"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := render.Render(t.Context(), render.Request{FS: tt.files, Path: "apps", Kustomize: &api.KustomizeSource{Autodetect: true}})
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v; not %s", err, tt.want)
				}
				return
			}
			want, err2 := render.Render(t.Context(), render.Request{FS: tt.files, Path: "apps"})
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			if len(got.Objects) == 0 || len(got.Objects) != len(want.Objects) || got.Kind != want.Kind || !bytes.Equal(got.Objects[0].Raw, want.Objects[0].Raw) {
				t.Errorf("%v; not %v", got, want)
			}
		})
	}
}
