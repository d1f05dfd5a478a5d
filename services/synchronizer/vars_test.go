package synchronizer

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

// FuzzVars: no panic; every name is one, and lines as they are written give what
// they say.
func FuzzVars(f *testing.F) {
	for _, seed := range []string{"A=b", "export A='b'\n# c\nB=\"", "A: b\nC: \"8\"", "{A: b}", "=", "A", "[", "A: {b: c}", "a: &x b\nc: *x", "\xef\xbb\xbfA=b\r\n", "? a\n: b", "---\nA: b\n---\nC: d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		vars, err := parseVars("vars", []byte(text))
		if err != nil {
			if !strings.Contains(err.Error(), "vars") {
				t.Fatalf("%q: the error names no file: %v", text, err)
			}
			return
		}
		for name := range vars {
			if !api.VariableName(name) {
				t.Fatalf("%q gives the name %q", text, name)
			}
		}
	})
}
