package slipway_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/slipway"
)

// TestTheCommandsOfOurPagesAreKnown tries each command of a page with its flags;
// what they do is held by scripts.
func TestTheCommandsOfOurPagesAreKnown(t *testing.T) {
	for _, page := range []string{"README.md", "MIGRATION.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for i, part := range strings.Split(string(text), "```") {
			shell, ok := strings.CutPrefix(part, "sh\n")
			if !ok || i%2 == 0 {
				continue
			}
			for line := range strings.Lines(shell) {
				args, ours := strings.CutPrefix(strings.TrimSpace(line), "slipway ")
				if !ours {
					continue
				}
				found++
				var out, errs bytes.Buffer
				if code := slipway.Main(append(strings.Fields(args), "--help"), strings.NewReader(""), &out, &errs); code != 0 {
					t.Errorf("%s: %s: exit %d: %s", page, line, code, &errs)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s has no command", page)
		}
	}
}
