package health_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/services/synchronizer/health/rule"
)

type sample struct {
	File   string         `json:"-"`
	Name   string         `json:"name"`
	Want   status.Status  `json:"want"`
	Says   string         `json:"says"`
	Object map[string]any `json:"object"`
}

func samples(tb testing.TB) []sample {
	tb.Helper()
	files, err := filepath.Glob("testdata/samples/*.yaml")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no samples: %v", err)
	}
	var all []sample
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		var some []sample
		if err := yaml.UnmarshalStrict(data, &some); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		for _, s := range some {
			s.File = file
			all = append(all, s)
		}
	}
	return all
}

// live is an object as a watch gives it.
func live(tb testing.TB, object map[string]any) *unstructured.Unstructured {
	tb.Helper()
	data, err := (&unstructured.Unstructured{Object: object}).MarshalJSON()
	if err != nil {
		tb.Fatal(err)
	}
	var u unstructured.Unstructured
	if err := u.UnmarshalJSON(data); err != nil {
		tb.Fatal(err)
	}
	return &u
}

func see(tb testing.TB, u *unstructured.Unstructured) *health.Seen {
	tb.Helper()
	kept, err := health.Reduce(u)
	if err != nil {
		tb.Fatal(err)
	}
	return kept.(*health.Seen)
}

func TestSamples(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, s := range samples(t) {
		if names[s.Name] {
			t.Errorf("%s: %q is there twice", s.File, s.Name)
		}
		names[s.Name] = true
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			seen := see(t, live(t, s.Object))
			if seen.Status != s.Want || !strings.Contains(seen.Message, s.Says) {
				t.Errorf("%s, %q; not %s, %q", seen.Status, seen.Message, s.Want, s.Says)
			}
		})
	}
}

// TestEveryRow holds of each kind in the table: one that was made this moment
// isn't ready and hasn't failed, nor has one whose controller saw an earlier
// generation, and one that is deleted is being deleted.
func TestEveryRow(t *testing.T) {
	t.Parallel()
	type row struct{ Groups, Kinds []string }
	var rows []row
	for _, file := range rule.Files {
		data, err := os.ReadFile(filepath.Join("rule", file))
		if err != nil {
			t.Fatal(err)
		}
		var some []row
		if err := yaml.Unmarshal(data, &some); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, some...)
	}
	all := samples(t)
	for _, row := range rows {
		if row.Groups[0] == "*" {
			continue
		}
		states := map[status.Status]bool{}
		for _, s := range all {
			u := unstructured.Unstructured{Object: s.Object}
			kind := u.GroupVersionKind()
			if !concerns(row.Groups, kind.Group) || !concerns(row.Kinds, kind.Kind) {
				continue
			}
			states[s.Want] = true
			changed := live(t, s.Object)
			changed.SetGeneration(10)
			if err := unstructured.SetNestedField(changed.Object, int64(9), "status", "observedGeneration"); err != nil {
				t.Fatal(err)
			}
			if got := see(t, changed); got.Status != status.InProgressStatus {
				t.Errorf("%s, of an earlier generation: %s, %q", s.Name, got.Status, got.Message)
			}
			deleted := live(t, s.Object)
			if err := unstructured.SetNestedField(deleted.Object, "2026-11-01T00:00:00Z", "metadata", "deletionTimestamp"); err != nil {
				t.Fatal(err)
			}
			if got := see(t, deleted); got.Status != status.TerminatingStatus {
				t.Errorf("%s, deleted: %s, %q", s.Name, got.Status, got.Message)
			}
		}
		if !states[status.CurrentStatus] {
			t.Errorf("%v %v: no sample is healthy", row.Groups, row.Kinds)
		}
		for _, group := range row.Groups {
			for _, kind := range row.Kinds {
				group, kind := strings.ReplaceAll(group, "*", "any"), strings.ReplaceAll(kind, "*", "Any")
				spec := map[string]any{"parentRefs": []any{map[string]any{"name": "g"}}}
				fresh := live(t, map[string]any{"apiVersion": group + "/v1", "kind": kind, "metadata": map[string]any{"name": "a", "generation": int64(1)}, "spec": spec})
				if got := see(t, fresh); got.Status != status.InProgressStatus || got.Message == "" {
					t.Errorf("%s of %s, made this moment: %s, %q", kind, group, got.Status, got.Message)
				}
			}
		}
	}
}

// concerns says whether a row's names have one, as it is or by its end.
func concerns(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		end, open := strings.CutPrefix(n, "*")
		return n == name || open && strings.HasSuffix(name, end)
	})
}

// FuzzReduce feeds every rule whatever a definition without a schema lets in.
func FuzzReduce(f *testing.F) {
	for _, s := range samples(f) {
		data, err := (&unstructured.Unstructured{Object: s.Object}).MarshalJSON()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","spec":{"parentRefs":[1,null]},"status":{"parents":{"a":[]}}}`))
	f.Add([]byte(`{"apiVersion":"argoproj.io/v1","kind":"Rollout","metadata":7,"status":[{"conditions":1}]}`))
	rules, err := rule.Compile(fuzzRules)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var u unstructured.Unstructured
		if u.UnmarshalJSON(data) != nil {
			return
		}
		seen := see(t, &u)
		if seen.Status == "" {
			t.Errorf("no status for %s", data)
		}
		u.SetAnnotations(map[string]string{health.OwnerAnnotation: "a/b/c"})
		kind := u.GroupVersionKind()
		kind.Group, kind.Kind = "fuzz.example.com", "Any"
		u.SetGroupVersionKind(kind)
		if state, _ := health.Judge(health.Target{Kind: kind, Rule: rules.For(kind)}, see(t, &u)); state == "" {
			t.Errorf("no status by a rule for %s", data)
		}
	})
}
