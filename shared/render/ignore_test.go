package render_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

func TestAnApplicationLeavesFilesOut(t *testing.T) {
	t.Parallel()
	files := repo(
		"app/a.yaml", cm("a"), "app/b.yaml", cm("b"), "app/sub/c.yaml", cm("c"), "app/sub/d.yaml", cm("d"),
		"app/broken.yaml", "a: [", "app/Chart.d/Chart.yaml", "not: [a chart",
		"app/.slipwayignore", "!b.yaml\n",
	)
	for name, c := range map[string]struct{ ignore, want []string }{
		"a file":                               {[]string{"broken.yaml", "Chart.d"}, []string{"a", "b", "c", "d"}},
		"a folder":                             {[]string{"broken.yaml", "/*/"}, []string{"a", "b"}},
		"its file has the last word":           {[]string{"broken.yaml", "Chart.d", "b.yaml"}, []string{"a", "b", "c", "d"}},
		"all but some, and what its file says": {[]string{"*", "!*/", "!c.yaml"}, []string{"b", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := render.Request{FS: files, Path: "app", Ignore: c.ignore}
			result, err := render.Render(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range result.Objects {
				got = append(got, o.Name)
			}
			if slices.Sort(got); !slices.Equal(got, c.want) {
				t.Errorf("it has %q, want %q", got, c.want)
			}
			if plain := (render.Request{FS: files, Path: "app"}); req.Key() == plain.Key() {
				t.Error("its key is that of the whole path")
			}
		})
	}
	// With a kustomization that is made for the path, too.
	result, err := render.Render(t.Context(), render.Request{FS: files, Path: "app", Ignore: []string{"broken.yaml", "/*/"}, Kustomize: &api.KustomizeSource{NamePrefix: "x-"}})
	if err != nil || !slices.Equal(names(result.Objects), []string{"ConfigMap x-a", "ConfigMap x-b"}) {
		t.Errorf("it has %q, %v", names(result.Objects), err)
	}
}

func TestPatternsThatAreForNothingAreToldSo(t *testing.T) {
	t.Parallel()
	const what = "spec.source.ignore leaves files out of a folder of manifests, and this is "
	for name, c := range map[string]struct {
		file, text, ignore string
		want               string
	}{
		"a kustomization":   {"app/kustomization.yaml", "resources: []\n", "*.md", "app/kustomization.yaml: " + what + "a kustomization"},
		"a chart":           {"app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n", "*.md", "app: " + what + "a chart"},
		"no pattern of any": {"app/a.yaml", cm("a"), "[[:nope:]]", "spec.source.ignore: pattern [[:nope:]]: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := render.Render(t.Context(), render.Request{FS: repo(c.file, c.text), Path: "app", Ignore: []string{c.ignore}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
