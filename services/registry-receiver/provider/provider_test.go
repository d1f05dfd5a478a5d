package provider_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
	"net/url"
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
		"artifactory": with(signed(sha256.New, "X-JFrog-Event-Auth", "", "artifactory"),
			service.Source{Registry: "artifactory.example.com", Signature: "hmac"}),
		"nexus": with(signed(sha1.New, "X-Nexus-Webhook-Signature", "", "nexus"), service.Source{Registry: "nexus.example.com:8082"}),
		// Gitea signs the JSON, also where that lies in a form.
		"gitea-packages": {
			Sign: func(h http.Header, body []byte, secret string) {
				if form, err := url.ParseQuery(string(body)); err == nil && h.Get("Content-Type") == "application/x-www-form-urlencoded" {
					body = []byte(form.Get("payload"))
				}
				h.Set("X-Gitea-Signature", sum(sha256.New, body, secret))
			},
			Proof: "X-Gitea-Signature", Corpus: []string{"gitea-packages"},
		},
		"aliyun-acr": webhooktest.InPath(service.Source{}, "aliyun-acr"),
		"cloudsmith": signed(sha1.New, "X-Cloudsmith-Signature", ""),
		// Pub/Sub shows a token of its service account.
		"gar": {
			Sign: func(h http.Header, _ []byte, secret string) {
				h.Set("Authorization", "Bearer "+issuer.token(issuer.signer(secret), nil))
			},
			Proof: "Authorization", Corpus: []string{"gar"},
			Config: service.Source{OIDC: &service.OIDC{Issuer: issuer.URL, Audience: pushURL, Email: pusher}},
		},
		"azure-eventgrid": with(fixed("X-Slipway", "azure-eventgrid"), service.Source{Header: "X-Slipway"}),
		"oracle-ocir":     with(bearer(), service.Source{Registry: "fra.ocir.io"}),
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
			h.Set(header, prefix+sum(algorithm, body, secret))
		},
		Proof: header, Corpus: corpus,
	}
}

func sum(algorithm func() hash.Hash, body []byte, secret string) string {
	mac := hmac.New(algorithm, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func TestProviders(t *testing.T) { webhooktest.Run(t, suite) }

func FuzzProviders(f *testing.F) { webhooktest.FuzzTable(f, suite) }
