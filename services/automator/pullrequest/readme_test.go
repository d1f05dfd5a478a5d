package pullrequest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/automator/pullrequest"
	"github.com/slipway-cd/slipway/shared/service"
)

// TestTheExampleOfTheReadmeIsRight makes a host of it, and holds that the
// table has every kind.
func TestTheExampleOfTheReadmeIsRight(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	dir := t.TempDir()
	config := filepath.Join(dir, "slipway.yaml")
	for path, data := range map[string]string{config: strings.ReplaceAll(example, "/run/secrets", dir), filepath.Join(dir, "git"): token} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := service.Load(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pullrequest.New(c.Repositories[0], pullrequest.Options{}); err != nil {
		t.Error(err)
	}
	for _, kind := range service.GitHostKinds() {
		if !strings.Contains(string(text), "`"+kind+"`") {
			t.Errorf("the table lacks %s", kind)
		}
	}
}
