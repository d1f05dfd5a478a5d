package deploy_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-cd/slipway/e2e/deploy"
	"github.com/slipway-cd/slipway/services/slipway/grants"
)

// TestTheUsersOfTheBusAreThoseOfTheCommand holds that what is deployed is what
// `slipway bus users` prints.
func TestTheUsersOfTheBusAreThoseOfTheCommand(t *testing.T) {
	t.Parallel()
	want := "# Written by `slipway bus users --cluster production`.\n" + grants.Config(grants.Users("production"))
	file := filepath.Join(root(t), deploy.Folder, "nats/users.conf")
	if *update {
		must(t, os.WriteFile(file, []byte(want), 0o644))
	}
	got, err := os.ReadFile(file)
	must(t, err)
	if string(got) != want {
		t.Error("nats/users.conf is not what slipway bus users --cluster production prints: make golden")
	}
}
