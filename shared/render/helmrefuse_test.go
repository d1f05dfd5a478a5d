package render_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

func TestRenderHelmRefuses(t *testing.T) {
	t.Parallel()
	chart := func(pairs ...string) fstest.MapFS {
		return merged(repo("web/Chart.yaml", chartYAML), below("web", repo(pairs...)))
	}
	link := chart("templates/cm.yaml", cmOf("a", "  a: b\n"))
	link["web/templates/x.yaml"] = &fstest.MapFile{Data: []byte("../../secret.yaml"), Mode: fs.ModeSymlink | 0o777}
	bomb := chart("templates/cm.yaml", cmOf("a", "  a: b\n"))
	bomb["web/charts/bomb.tgz"] = tgz(t, repo("bomb/Chart.yaml", "apiVersion: v2\nname: bomb\nversion: 1.0.0\n", "bomb/files/zeros", strings.Repeat("\x00", 65<<20)))
	broken := chart()
	broken["web/charts/broken.tgz"] = &fstest.MapFile{Data: []byte("no archive")}
	twice := "dependencies:\n- {name: redis, version: 1.0.0, repository: \"https://user:secret@example.com\"}\n- {name: kafka, version: 2.0.0}\n"
	tests := []struct {
		name   string
		files  fstest.MapFS
		helm   render.Release
		reason render.Reason
		want   []string
		tool   bool // helm refuses it, too
	}{
		{"required", chart("templates/a.yaml", "a: b\n{{ required \"image.tag is needed\" .Values.tag }}\n"), render.Release{}, render.ReasonBuild, []string{"web/templates/a.yaml:2: helm: image.tag is needed"}, true},
		{"fail in a helper", chart("templates/_h.tpl", "{{ define \"h\" }}\n\n{{ fail \"not so\" }}{{ end }}", "templates/a.yaml", "\n\na: {{ include \"h\" . }}\n"), render.Release{}, render.ReasonBuild, []string{"not so", "web/templates/"}, true},
		{"a template that can't be parsed", chart("templates/a.yaml", "a: b\n\nc: {{ .Values.x | nosuch }}\n"), render.Release{}, render.ReasonBuild, []string{"web/templates/a.yaml:3", "nosuch"}, true},
		{"env is no function", chart("templates/a.yaml", "a: {{ env \"HOME\" }}\n"), render.Release{}, render.ReasonBuild, []string{"web/templates/a.yaml:1", "env"}, true},
		{"a nil pointer in a subchart of another folder", merged(chart(), below("web/charts/folder", repo("Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n", "templates/a.yaml", "\nx: {{ .Values.a.b.c }}\n"))), render.Release{}, render.ReasonBuild, []string{"web/charts/folder/templates/a.yaml:2", "nil pointer"}, true},
		{"invalid YAML", chart("templates/a.yaml", "a: b\n{{ \"c: [\" }}\n"), render.Release{}, render.ReasonInvalid, []string{"web/templates/a.yaml: ", "invalid YAML", "line 2"}, true},
		{"a list", chart("templates/a.yaml", "- a\n- b\n"), render.Release{}, render.ReasonInvalid, []string{"web/templates/a.yaml: ", "not a mapping"}, true},
		{"no object", chart("templates/a.yaml", "a: b\n"), render.Release{}, render.ReasonInvalid, []string{"web/templates/a.yaml: ", "not a Kubernetes object"}, false},
		{"missing dependencies", chart("Chart.yaml", chartYAML+twice), render.Release{}, render.ReasonBuild, []string{"web/Chart.yaml", "redis, kafka", "helm dependency build"}, true},
		{"a library", chart("Chart.yaml", chartYAML+"type: library\n"), render.Release{}, render.ReasonUnsupported, []string{"web/Chart.yaml", "library"}, true},
		{"kubeVersion", chart("Chart.yaml", chartYAML+"kubeVersion: \">=1.99\"\n"), render.Release{}, render.ReasonBuild, []string{"web/Chart.yaml", ">=1.99", "v1.37.0"}, true},
		{"a schema is not met", chart("values.yaml", "replicas: two\n", "values.schema.json", `{"properties":{"replicas":{"type":"integer"}}}`), render.Release{}, render.ReasonInvalid, []string{"web/values.yaml", "replicas", "values.schema.json"}, true},
		{"a schema on the network", chart("values.schema.json", `{"properties":{"a":{"$ref":"https://user:secret@127.0.0.1:1/x.json"}}}`), render.Release{}, render.ReasonUnsupported, []string{"web/values.schema.json", "https://127.0.0.1:1/x.json"}, true},
		{"a schema on the disk", chart("values.schema.json", `{"properties":{"a":{"$ref":"/etc/hostname"}}}`), render.Release{}, render.ReasonUnsupported, []string{"web/values.schema.json", "outside of itself"}, true},
		{"a schema of a schema on the network", chart("values.schema.json", `{"$schema":"https://127.0.0.1:1/meta"}`), render.Release{}, render.ReasonUnsupported, []string{"web/values.schema.json", "https://127.0.0.1:1/meta"}, true},
		{"no JSON as a schema", chart("values.schema.json", `{`), render.Release{}, render.ReasonInvalid, []string{"web/"}, true},
		{"a broken Chart.yaml", chart("Chart.yaml", "name: [\n"), render.Release{}, render.ReasonInvalid, []string{"web/Chart.yaml", "cannot load"}, true},
		{"a chart of another version", chart("Chart.yaml", "apiVersion: v3\nname: web\nversion: 1.0.0\n"), render.Release{}, render.ReasonUnsupported, []string{"web/Chart.yaml", "v3"}, true},
		{"an empty dependency", chart("Chart.yaml", chartYAML+"dependencies: [null]\n"), render.Release{}, render.ReasonInvalid, []string{"web/Chart.yaml", "empty or null"}, true},
		{"a chart without a version", chart("Chart.yaml", "apiVersion: v2\nname: web\n"), render.Release{}, render.ReasonInvalid, []string{"web/Chart.yaml", "version"}, true},
		{"broken values", chart("values.yaml", "a: [\n"), render.Release{}, render.ReasonInvalid, []string{"web/", "values.yaml"}, true},
		{"a missing values file", chart(), render.Release{ValuesFiles: []string{"no.yaml", "neither.yaml"}}, render.ReasonPath, []string{"web/no.yaml", "web/neither.yaml", "helm.valuesFiles"}, true},
		{"a values file outside of the repository", chart(), render.Release{ValuesFiles: []string{"../../v.yaml"}}, render.ReasonPath, []string{"not inside the repository"}, true},
		{"a broken values file", chart("v.yaml", "a: b\nc: [\n"), render.Release{ValuesFiles: []string{"v.yaml"}}, render.ReasonInvalid, []string{"web/v.yaml:2", "invalid YAML"}, true},
		{"a missing chart", chart(), render.Release{Chart: "none"}, render.ReasonPath, []string{"web/none", "helm.chart"}, true},
		{"a chart without Chart.yaml", chart("x/a.yaml", ""), render.Release{Chart: "x"}, render.ReasonPath, []string{"web/x/Chart.yaml"}, true},
		{"a chart outside of the repository", chart(), render.Release{Chart: "../../x"}, render.ReasonPath, []string{"not inside the repository"}, true},
		{"a release's name", chart(), render.Release{ReleaseName: strings.Repeat("x", 54)}, render.ReasonInvalid, []string{"helm.releaseName"}, true},
		{"a link", link, render.Release{}, render.ReasonUnsupported, []string{"web/templates/x.yaml", ".helmignore"}, false},
		{"a bomb", bomb, render.Release{}, render.ReasonTooLarge, []string{"web/charts/bomb.tgz", "unpacked"}, false},
		{"a broken archive", broken, render.Release{}, render.ReasonInvalid, []string{"web/charts/broken.tgz", "helm package"}, true},
		{"a wrong .helmignore", chart(".helmignore", "a/**\n"), render.Release{}, render.ReasonInvalid, []string{"web/.helmignore", "double-star"}, true},
		{"the same object twice", chart("templates/a.yaml", cmOf("a", "  a: b\n"), "templates/b.yaml", cmOf("a", "  a: c\n")), render.Release{}, render.ReasonDuplicate, []string{"web/templates/b.yaml", "ConfigMap a is also in web/templates/a.yaml"}, false},
		{"too many documents", chart("templates/a.yaml", "{{ range $i := until 20001 }}\n---\n"+cmOf("a{{ $i }}", "  a: b\n")+"{{ end }}"), render.Release{}, render.ReasonTooLarge, []string{"20000 documents"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := render.Render(t.Context(), render.Request{FS: tt.files, Path: "web", Helm: tt.helm})
			var fault *render.Error
			if !errors.As(err, &fault) || fault.Reason != tt.reason {
				t.Fatalf("error %v, want reason %s", err, tt.reason)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "secret") || (strings.Contains(err.Error(), "\n") && fault.Reason != render.ReasonPath) {
				t.Errorf("%q says too much", err)
			}
			if got.Objects != nil || !slices.Contains(got.Inputs, "web/"+tt.helm.Chart) && tt.helm.Chart != "../../x" && tt.helm.Chart != "" {
				t.Errorf("%d objects, inputs %q", len(got.Objects), got.Inputs)
			}
			if !tt.tool {
				return
			}
			c := chartCase{files: tt.files, path: "web", helm: tt.helm}
			if out, err := c.template(t); err == nil {
				t.Errorf("helm takes it: %s", out)
			}
		})
	}
}

func TestAChartsInputs(t *testing.T) {
	t.Parallel()
	files := repo("charts/web/Chart.yaml", chartYAML, "charts/web/templates/a.yaml", cmOf("a", "  a: {{ .Values.a }}\n"), "apps/web/values.yaml", "a: b\n")
	helm := render.Release{Chart: "../../charts/web", ValuesFiles: []string{"values.yaml", "extra.yaml"}}
	got, err := render.Render(t.Context(), render.Request{FS: files, Path: "apps/web", Helm: helm})
	want := []string{"apps/web/extra.yaml", "apps/web/values.yaml", "charts/web"}
	if err == nil || !errors.Is(err, fs.ErrNotExist) || !slices.Equal(got.Inputs, want) {
		t.Errorf("inputs %q, error %v", got.Inputs, err)
	}
	for changed, touched := range map[string]bool{"apps/web/extra.yaml": true, "charts/web/templates/new.yaml": true, "apps/web/README.md": false} {
		if got.Touched([]string{changed}) != touched {
			t.Errorf("Touched(%q) is not %v", changed, touched)
		}
	}
}

// A values file that may be missing is read once it comes, and a link in its place is none.
func TestValuesFilesThatMayBeMissing(t *testing.T) {
	t.Parallel()
	files := repo("web/Chart.yaml", chartYAML, "web/templates/a.yaml", cmOf("a", "  a: {{ .Values.a }}\n"), "web/values.yaml", "a: own\n")
	linked := repo("web/Chart.yaml", chartYAML)
	linked["web/env"] = &fstest.MapFile{Data: []byte("../other"), Mode: fs.ModeSymlink | 0o777}
	for name, tt := range map[string]struct {
		files fstest.MapFS
		file  string
		want  string // in the object, or the fault
	}{
		"missing":                   {files, "env/prod.yaml", "a: own"},
		"come":                      {merged(files, repo("web/env/prod.yaml", "a: prod\n")), "env/prod.yaml", "a: prod"},
		"a folder":                  {merged(files, repo("web/env/prod.yaml/x", "")), "env/prod.yaml", "the values file is not in the repository"},
		"behind a link":             {merged(files, linked), "env/prod.yaml", "the values file is not in the repository"},
		"outside of the repository": {files, "../../prod.yaml", "the values file is not inside the repository"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := render.Render(t.Context(), render.Request{FS: tt.files, Path: "web", Helm: render.Release{ValuesFiles: []string{tt.file}, IgnoreMissing: true}})
			told := fmt.Sprint(err)
			if err == nil {
				told = string(got.Objects[0].Raw)
			}
			if !strings.Contains(told, tt.want) {
				t.Errorf("%s; not %q", told, tt.want)
			}
			if err == nil && !got.Touched([]string{"web/env/prod.yaml"}) {
				t.Errorf("it is not among the inputs %q", got.Inputs)
			}
		})
	}
}

func TestHooksOfOtherTimesAreLeftOut(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, hook := range []string{"pre-install", "post-install", "pre-upgrade", "post-upgrade", "pre-delete", "post-delete", "pre-rollback", "post-rollback", "test", "test-success", "crd-install", "post-delete, post-upgrade"} {
		fmt.Fprintf(&all, "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: %q, annotations: {helm.sh/hook: %q}}\n", strings.ReplaceAll(hook, ", ", "-"), hook)
	}
	all.WriteString("---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: both, annotations: {helm.sh/hook: pre-install}}\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: both}\n")
	got, err := render.Render(t.Context(), render.Request{FS: repo("web/Chart.yaml", chartYAML, "web/templates/a.yaml", all.String()), Path: "web"})
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, o := range got.Objects {
		kept = append(kept, o.Name)
	}
	if want := []string{"pre-install", "both", "post-install", "pre-upgrade", "post-upgrade", "post-delete-post-upgrade"}; !slices.Equal(kept, want) {
		t.Errorf("kept %q, want %q", kept, want)
	}
}

// Tests say in their document that they run, also behind a post-renderer; what is a
// test beside something else runs as that.
func TestTestsRunWhereTheyAreWanted(t *testing.T) {
	t.Parallel()
	job := func(name, hook string) string {
		return fmt.Sprintf("---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: %q, annotations: {helm.sh/hook: %q}}\n", name, hook)
	}
	files := repo("web/Chart.yaml", chartYAML, "web/templates/a.yaml", job("new", "test")+job("old", "test-success")+job("gone", "pre-delete")+
		job("both", "post-install,test")+job("other", "pre-delete,test")+job("last", "post-upgrade"),
		"web/templates/list.yaml", "apiVersion: v1\nkind: List\nmetadata: {annotations: {helm.sh/hook: test}}\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: entry}}\n")
	for _, fields := range []*api.KustomizeSource{nil, {CommonLabels: map[string]string{"team": "x"}}} {
		app := &api.Application{Spec: api.ApplicationSpec{Source: api.Source{Path: "web", Kustomize: fields, Helm: &api.HelmSource{Tests: true}}}}
		app.Metadata.Name = "web"
		got, err := render.Render(t.Context(), render.Application(files, app))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, o := range got.Objects {
			meta, _ := o.Map["metadata"].(map[string]any)
			annotations, _ := meta["annotations"].(map[string]any)
			said, _ := annotations["slipway.dev/hook"].(string)
			if strings.Contains(string(o.Raw), "slipway.dev/hook: test") != (said == "test") {
				t.Errorf("%s: the document differs from %q:\n%s", o.ID, said, o.Raw)
			}
			all = append(all, strings.TrimSuffix(o.Name+" "+said, " "))
		}
		slices.Sort(all)
		if want := []string{"both", "entry test", "last", "new test", "old test", "other test"}; !slices.Equal(all, want) {
			t.Errorf("%q, want %q", all, want)
		}
	}
}

func TestWhatAChartMakesUpIsTold(t *testing.T) {
	t.Parallel()
	files := repo("web/Chart.yaml", chartYAML,
		"web/templates/a.yaml", cmOf("password", "  p: {{ randAlphaNum 16 }}\n"),
		"web/templates/b.yaml", cmOf("hash", "  h: {{ include (print $.Template.BasePath \"/a.yaml\") . | sha256sum }}\n"),
		"web/templates/c.yaml", cmOf("same", "  a: {{ .Release.Name }}\n"),
	)
	got, err := render.Render(t.Context(), render.Request{FS: files, Path: "web"})
	if err != nil || len(got.Objects) != 3 {
		t.Fatalf("%d objects, %v", len(got.Objects), err)
	}
	for _, o := range got.Objects {
		if want := o.Name == "password" || o.Name == "hash"; o.Varies != want {
			t.Errorf("%s varies: %v", o.ID, o.Varies)
		}
	}
}

func TestAChartStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := render.Render(ctx, render.Request{FS: repo("x/Chart.yaml", chartYAML), Path: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
