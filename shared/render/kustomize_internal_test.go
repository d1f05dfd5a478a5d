package render

import (
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/shared/api"
)

// FuzzKustomization does what the parent does with a kustomization: it scans it,
// adds to it, and answers what a child asks.
func FuzzKustomization(f *testing.F) {
	for _, seed := range []string{
		"resources: [a.yaml, ../b]\n", "patches: &a [*a]\n", "configMapGenerator:\n- {name: a, files: [k=a.yaml], envs: a}\n", "images: {a: b}\n",
		"secretGenerator: [1, {files: a}]\npatchesStrategicMerge: [\"a: b\\nc: d\"]\n", "- a\n", "components: [.]\n", "transformers: [\"\\n\"]\n", "a: b\n---\nimages: []\n",
	} {
		f.Add([]byte(seed), "../c", "a.yaml")
	}
	f.Fuzz(func(t *testing.T, data []byte, component, question string) {
		fsys := fstest.MapFS{"x/kustomization.yaml": {Data: data}, "x/a.yaml": {Data: data}, "b/kustomization.yaml": {Data: data}}
		for _, sealed := range []bool{false, true} {
			src := &source{fsys: fsys, limits: Limits{}.orDefault(), dirs: map[string]bool{}, plain: map[string][]byte{}, sealed: sealed}
			r := newRepository(t.Context(), src)
			_, err := r.add("x", "x/kustomization.yaml", nil, nil, &api.KustomizeSource{
				Components: []string{component}, Images: []api.KustomizeImage{{Name: question, NewTag: component}}, CommonLabels: map[string]string{question: component},
			})
			if err == nil && len(r.written["x/kustomization.yaml"]) == 0 {
				t.Error("nothing is written")
			}
			for name, at := range r.closure("x") {
				if at.Kind != regular && at.Kind != directory && at.Kind != nothing {
					t.Errorf("%s is %q", name, at.Kind)
				}
			}
			if answer := r.answer([]byte(question)); len(answer) == 0 {
				t.Error("no answer")
			}
		}
	})
}

// BenchmarkKustomizeStart builds a small kustomization in a child that must be
// started first.
func BenchmarkKustomizeStart(b *testing.B) {
	fsys := fstest.MapFS{"x/kustomization.yaml": {Data: []byte("namePrefix: a-\nresources: [a.yaml]\n")}, "x/a.yaml": {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")}}
	for b.Loop() {
		children.Close()
		if _, err := Render(b.Context(), Request{FS: fsys, Path: "x"}); err != nil {
			b.Fatal(err)
		}
	}
}
