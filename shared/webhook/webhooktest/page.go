package webhooktest

import (
	"os"
	"testing"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// Page holds that each provider has its recipe, and that the page in the file
// is made of them; -update writes it.
func Page(t *testing.T, service, file string, table []webhook.Provider) {
	t.Helper()
	for _, p := range table {
		if p.Setup.Where == "" || p.Setup.Events == "" || p.Setup.Secret == "" || p.Setup.Tried == "" {
			t.Errorf("provider %s has no whole recipe: %+v", p.Name, p.Setup)
		}
	}
	want := webhook.Page(service, table)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the table gives: run `make generate`", file)
	}
}
