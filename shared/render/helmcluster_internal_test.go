package render

import "testing"

// FuzzTarget sets any value at any path: where that is one, the value is there, and
// nothing else.
func FuzzTarget(f *testing.F) {
	for _, path := range []string{"a.b[0].c", `a\.b`, "a=b,c", "[0]", "a..b", "a[0][1]", "a{b", "a\x00"} {
		f.Add(path, "{1,2},b=c")
	}
	f.Fuzz(func(t *testing.T, path, text string) {
		if len(path) > 64 || len(text) > 64 || path == "" {
			return
		}
		v := ClusterValues{Text: text, TargetPath: path, Literal: true}
		if v.Check() != nil {
			return
		}
		got, err := setTargets(map[string]any{}, []ClusterValues{v})
		if err != nil {
			t.Fatalf("%q is checked, and then: %v", path, err)
		}
		if found := leaves(got); len(found) != 1 || found[0] != text {
			t.Errorf("%q = %q gives %v", path, text, got)
		}
	})
}
