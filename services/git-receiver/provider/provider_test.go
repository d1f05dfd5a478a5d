package provider_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"testing"

	"github.com/slipway-cd/slipway/services/git-receiver/provider"
	"github.com/slipway-cd/slipway/shared/webhook/webhooktest"
)

var suite = webhooktest.Suite{
	Service: "git-receiver", Table: provider.Table, Dir: "testdata",
	Senders: map[string]webhooktest.Sender{
		// GitHub signs what it sends, form or not.
		"github": {
			Sign: func(h http.Header, body []byte, secret string) {
				h.Set("X-Hub-Signature-256", "sha256="+sum(body, secret))
			},
			Proof: "X-Hub-Signature-256", Corpus: []string{"github"},
		},
		// Gitea signs the JSON, also where that lies in a form.
		"gitea": {
			Sign: func(h http.Header, body []byte, secret string) {
				if form, err := url.ParseQuery(string(body)); err == nil && h.Get("Content-Type") == "application/x-www-form-urlencoded" {
					body = []byte(form.Get("payload"))
				}
				h.Set("X-Gitea-Signature", sum(body, secret))
			},
			Proof: "X-Gitea-Signature", Corpus: []string{"gitea"},
		},
	},
}

func sum(body []byte, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func TestProviders(t *testing.T) { webhooktest.Run(t, suite) }

func FuzzGitHub(f *testing.F) { webhooktest.Fuzz(f, suite, "github") }

func FuzzGitea(f *testing.F) { webhooktest.Fuzz(f, suite, "gitea") }
