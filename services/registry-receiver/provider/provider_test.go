package provider_test

import (
	"net/http"
	"testing"

	"github.com/slipway-cd/slipway/services/registry-receiver/provider"
	"github.com/slipway-cd/slipway/shared/webhook/webhooktest"
)

var suite = webhooktest.Suite{
	Service: "registry-receiver", Table: provider.Table, Dir: "testdata",
	Senders: map[string]webhooktest.Sender{
		"distribution": {
			Sign:  func(h http.Header, _ []byte, secret string) { h.Set("Authorization", "Bearer "+secret) },
			Proof: "Authorization", Corpus: []string{"distribution"},
		},
	},
}

func TestProviders(t *testing.T) { webhooktest.Run(t, suite) }

func FuzzDistribution(f *testing.F) { webhooktest.Fuzz(f, suite, "distribution") }
