package gitreceiver_test

import (
	"testing"

	gitreceiver "github.com/slipway-cd/slipway/services/git-receiver"
	"github.com/slipway-cd/slipway/shared/webhook/webhooktest"
)

// TestThePageOfProvidersIsFresh compares PROVIDERS.md with the table; -update
// writes it.
func TestThePageOfProvidersIsFresh(t *testing.T) {
	webhooktest.Page(t, "git-receiver", "PROVIDERS.md", gitreceiver.Providers())
}
