package automator_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-cd/slipway/services/automator"
)

func TestDiffIsWhatDiffWrites(t *testing.T) {
	for name, c := range map[string]struct{ before, now, want string }{
		"nothing": {"a\n", "a\n", ""},
		"a line":  {"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n", "--- a/f\n+++ b/f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n"},
		"two near": {
			"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n", "x\n2\n3\n4\n5\nx\n7\n8\n9\n10\n11\n12\n13\n14\nx",
			"--- a/f\n+++ b/f\n@@ -1,9 +1,9 @@\n-1\n+x\n 2\n 3\n 4\n 5\n-6\n+x\n 7\n 8\n 9\n@@ -12,4 +12,4 @@\n 12\n 13\n 14\n-15\n+x\n\\ No newline at end of file\n",
		},
		"added":     {"a\n", "a\nb\n", "--- a/f\n+++ b/f\n@@ -1,1 +1,2 @@\n a\n+b\n"},
		"taken out": {"a\nb\r\nc", "a\nc", "--- a/f\n+++ b/f\n@@ -1,3 +1,2 @@\n a\n-b\r\n c\n\\ No newline at end of file\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (automator.Edit{Before: []byte(c.before), Now: []byte(c.now)}).Diff("f"); got != c.want {
				t.Fatalf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

// Whatever the texts are, git makes the new from the old.
func TestGitAppliesTheDiff(t *testing.T) {
	dir := t.TempDir()
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a\n", "b\n", "\n", "c\r\n", "d"}), 0, 30).Draw(t, "lines"), "")
	})
	checks := 0
	rapid.Check(t, func(t *rapid.T) {
		if checks++; checks > 50 {
			return // each starts git
		}
		before, now := text.Draw(t, "before"), text.Draw(t, "now")
		if before == "" || now == "" || before == now {
			return
		}
		file := filepath.Join(dir, "f")
		if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		diff := automator.Edit{Before: []byte(before), Now: []byte(now)}.Diff("f")
		apply := exec.Command("git", "apply", "--whitespace=nowarn", "-")
		apply.Dir, apply.Stdin = dir, strings.NewReader(diff)
		if out, err := apply.CombinedOutput(); err != nil {
			t.Fatalf("git apply: %v: %s\n%s", err, out, diff)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != now {
			t.Fatalf("git made %q, %v, want %q of:\n%s", got, err, now, diff)
		}
	})
}
