package provider_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

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
		"forgejo":              bare("X-Forgejo-Signature", "forgejo"),
		"gogs":                 bare("X-Gogs-Signature", "gogs"),
		"gitlab":               fixed("X-Gitlab-Token", "gitlab"),
		"bitbucket-cloud":      prefixed("X-Hub-Signature", "bitbucket-cloud"),
		"bitbucket-datacenter": prefixed("X-Hub-Signature", "bitbucket-datacenter"),
		"azure-devops": {
			Sign: func(h http.Header, _ []byte, secret string) {
				h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("slipway:"+secret)))
			},
			Proof: "Authorization", Corpus: []string{"azure-devops"},
		},
		"aws-codecommit": fixed("X-Api-Key", "aws-codecommit"),
		// Gitee signs time stamp and secret, not the body.
		"gitee": {
			Sign: func(h http.Header, _ []byte, secret string) {
				stamp := strconv.FormatInt(time.Now().UnixMilli(), 10)
				h.Set("X-Gitee-Timestamp", stamp)
				mac := hmac.New(sha256.New, []byte(secret))
				mac.Write([]byte(stamp + "\n" + secret))
				h.Set("X-Gitee-Token", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
			},
			Proof: "X-Gitee-Token", Corpus: []string{"gitee"},
		},
		"harness": bare("X-Harness-Signature", "harness"),
	},
}

func bare(header, corpus string) webhooktest.Sender { return signed(header, "", corpus) }

func prefixed(header, corpus string) webhooktest.Sender { return signed(header, "sha256=", corpus) }

func signed(header, prefix, corpus string) webhooktest.Sender {
	return webhooktest.Sender{
		Sign:  func(h http.Header, body []byte, secret string) { h.Set(header, prefix+sum(body, secret)) },
		Proof: header, Corpus: []string{corpus},
	}
}

// fixed is a sender whose proof is the secret itself.
func fixed(header, corpus string) webhooktest.Sender {
	return webhooktest.Sender{
		Sign:  func(h http.Header, _ []byte, secret string) { h.Set(header, secret) },
		Proof: header, Corpus: []string{corpus},
	}
}

func sum(body []byte, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func TestProviders(t *testing.T) { webhooktest.Run(t, suite) }

func FuzzGitHub(f *testing.F) { webhooktest.Fuzz(f, suite, "github") }

func FuzzGitea(f *testing.F) { webhooktest.Fuzz(f, suite, "gitea") }

func FuzzForgejo(f *testing.F) { webhooktest.Fuzz(f, suite, "forgejo") }

func FuzzGogs(f *testing.F) { webhooktest.Fuzz(f, suite, "gogs") }

func FuzzGitLab(f *testing.F) { webhooktest.Fuzz(f, suite, "gitlab") }

func FuzzBitbucketCloud(f *testing.F) { webhooktest.Fuzz(f, suite, "bitbucket-cloud") }

func FuzzBitbucketDatacenter(f *testing.F) { webhooktest.Fuzz(f, suite, "bitbucket-datacenter") }

func FuzzAzureDevOps(f *testing.F) { webhooktest.Fuzz(f, suite, "azure-devops") }

func FuzzCodeCommit(f *testing.F) { webhooktest.Fuzz(f, suite, "aws-codecommit") }

func FuzzGitee(f *testing.F) { webhooktest.Fuzz(f, suite, "gitee") }

func FuzzHarness(f *testing.F) { webhooktest.Fuzz(f, suite, "harness") }
