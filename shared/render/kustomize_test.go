package render_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

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
