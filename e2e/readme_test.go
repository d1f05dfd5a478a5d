package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/service"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestREADMEsExamplesAreTaken reads every YAML block of the README as Slipway
// would: documents strictly, anything else as the config file.
func TestREADMEsExamplesAreTaken(t *testing.T) {
	data, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := yamlBlock.FindAllSubmatch(data, -1)
	if len(blocks) < 3 {
		t.Fatalf("%d YAML blocks in the README, want at least 3", len(blocks))
	}
	secrets := t.TempDir()
	for _, name := range []string{"git", "registry", "gitea"} {
		if err := os.WriteFile(filepath.Join(secrets, name), []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range blocks {
		text := string(b[1])
		if strings.Contains(text, "apiVersion:") {
			if docs, err := api.Decode("README.md", b[1]); err != nil || len(docs) != 1 {
				t.Errorf("%d documents, %v in:\n%s", len(docs), err, text)
			}
			continue
		}
		file := filepath.Join(t.TempDir(), "slipway.yaml")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "/run/secrets", secrets)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := service.Load(file); err != nil {
			t.Errorf("%v in:\n%s", err, text)
		}
	}
}
