package synchronizer

import (
	"os"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

func TestTheDocumentsOfTheReadmeAreTaken(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for i, part := range strings.Split(string(text), "```") {
		yaml, ok := strings.CutPrefix(part, "yaml\n")
		if !ok || i%2 == 0 || !strings.Contains(yaml, "apiVersion: slipway.dev/") {
			continue
		}
		docs, err := api.Decode("README.md", []byte(yaml))
		if err != nil || len(docs) != 1 {
			t.Fatalf("%d documents, %v in\n%s", len(docs), err, yaml)
		}
		kinds[docs[0].Kind] = true
	}
	if !kinds["Application"] || !kinds["Project"] {
		t.Errorf("only %v", kinds)
	}
}
