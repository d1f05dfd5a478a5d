package provider_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
	"testing"

	"github.com/slipway-cd/slipway/services/registry-receiver/provider"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook/webhooktest"
)

var suite = webhooktest.Suite{
	Service: "registry-receiver", Table: provider.Table, Dir: "testdata",
	Senders: map[string]webhooktest.Sender{
		"distribution": bearer("distribution"),
		"dockerhub":    webhooktest.InPath(service.Source{}, "dockerhub"),
		"github":       signed(sha256.New, "X-Hub-Signature-256", "sha256=", "ghcr"),
		"gitlab":       bearer("distribution"),
		"quay":         webhooktest.InPath(service.Source{}, "quay"),
		// Harbor sends what was typed.
		"harbor": fixed("Authorization", "harbor"),
		"zot": {
			Sign: func(h http.Header, _ []byte, secret string) {
				h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("zot:"+secret)))
			},
			Proof: "Authorization", Config: service.Source{Registry: "zot.example.com"}, Corpus: []string{"zot"},
		},
		"acr": with(fixed("X-Slipway", "acr"), service.Source{Header: "X-Slipway"}),
		"ecr": fixed("X-Api-Key", "ecr"),
	},
}

// fixed is a sender with the secret itself in a header.
func fixed(header string, corpus ...string) webhooktest.Sender {
	return webhooktest.Sender{
		Sign:  func(h http.Header, _ []byte, secret string) { h.Set(header, secret) },
		Proof: header, Corpus: corpus,
	}
}

// with gives a sender the config that its source needs.
func with(s webhooktest.Sender, config service.Source) webhooktest.Sender {
	s.Config = config
	return s
}

// bearer is a sender with a fixed Authorization header.
func bearer(corpus ...string) webhooktest.Sender {
	return webhooktest.Sender{
		Sign:  func(h http.Header, _ []byte, secret string) { h.Set("Authorization", "Bearer "+secret) },
		Proof: "Authorization", Corpus: corpus,
	}
}

// signed is a sender with a hex HMAC of the body.
func signed(algorithm func() hash.Hash, header, prefix string, corpus ...string) webhooktest.Sender {
	return webhooktest.Sender{
		Sign: func(h http.Header, body []byte, secret string) {
			mac := hmac.New(algorithm, []byte(secret))
			mac.Write(body)
			h.Set(header, prefix+hex.EncodeToString(mac.Sum(nil)))
		},
		Proof: header, Corpus: corpus,
	}
}

func TestProviders(t *testing.T) { webhooktest.Run(t, suite) }

func FuzzProviders(f *testing.F) { webhooktest.FuzzTable(f, suite) }
