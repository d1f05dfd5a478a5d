package deploy_test

import (
	"os"
	"testing"

	"github.com/slipway-cd/slipway/e2e/local"
	"github.com/slipway-cd/slipway/shared/render"
)

func TestMain(m *testing.M) {
	render.Child()
	os.Exit(m.Run())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := local.Root()
	must(t, err)
	return dir
}
