package slipway_test

import (
	"slices"
	"testing"

	gitreceiver "github.com/slipway-cd/slipway/services/git-receiver"
	registryreceiver "github.com/slipway-cd/slipway/services/registry-receiver"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// TestTheConfigKnowsEveryProvider holds the names that a config may have
// against the readers that there are.
func TestTheConfigKnowsEveryProvider(t *testing.T) {
	for name, table := range map[string][]webhook.Provider{"git-receiver": gitreceiver.Providers(), "registry-receiver": registryreceiver.Providers()} {
		var has []string
		for _, p := range table {
			has = append(has, p.Name)
		}
		slices.Sort(has)
		if knows := service.Providers(name); !slices.Equal(has, knows) {
			t.Errorf("%s takes %q, and the config (shared/service/providers.go) may name %q", name, has, knows)
		}
	}
}
