package registryreceiver_test

import (
	"testing"

	registryreceiver "github.com/slipway-cd/slipway/services/registry-receiver"
	"github.com/slipway-cd/slipway/shared/webhook/webhooktest"
)

// TestThePageOfProvidersIsFresh compares PROVIDERS.md with the table; -update
// writes it.
func TestThePageOfProvidersIsFresh(t *testing.T) {
	webhooktest.Page(t, "registry-receiver", "PROVIDERS.md", registryreceiver.Providers())
}
