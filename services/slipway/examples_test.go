package slipway_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/slipway"
)

// TestTheDocumentsInOurPagesAreRight lints every example of a document of ours
// in a page of the project.
func TestTheDocumentsInOurPagesAreRight(t *testing.T) {
	root, dir := filepath.Join("..", ".."), t.TempDir()
	examples := 0
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && name != root && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case filepath.Ext(name) != ".md":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		page, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		for i, part := range strings.Split(string(text), "```") {
			yaml, ok := strings.CutPrefix(part, "yaml\n")
			if !ok || i%2 == 0 || !strings.Contains(yaml, "apiVersion: slipway.dev/") {
				continue
			}
			// At the line that it has in its page.
			begin := strings.Index(string(text), part)
			yaml = strings.Repeat("\n", strings.Count(string(text[:begin]), "\n")+1) + yaml
			examples++
			file := filepath.Join(dir, strings.ReplaceAll(page, string(filepath.Separator), "_")) + "." + strconv.Itoa(examples) + ".yaml"
			if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if examples < 2 {
		t.Fatalf("%d examples are found in the pages", examples)
	}
	var out, errs bytes.Buffer
	if code := slipway.Main([]string{"lint", "--strict", dir}, strings.NewReader(""), &out, &errs); code != 0 {
		t.Errorf("exit %d:\n%s%s", code, &out, &errs)
	}
}
