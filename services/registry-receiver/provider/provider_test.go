package provider_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/services/registry-receiver/provider"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
	"github.com/slipway-cd/slipway/shared/webhook/webhooktest"
)

var suite = webhooktest.Suite{
	Service: "registry-receiver", Table: provider.Table, Dir: "testdata",
	Senders: map[string]webhooktest.Sender{
		"distribution": {Proof: "Authorization", Corpus: []string{"distribution"}},
		"dockerhub":    webhooktest.InPath(service.Source{}, "dockerhub"),
		"github":       {Proof: "X-Hub-Signature-256", Corpus: []string{"ghcr"}},
		"gitlab":       {Proof: "Authorization", Corpus: []string{"distribution"}},
		"quay":         webhooktest.InPath(service.Source{}, "quay"),
		"harbor":       {Proof: "Authorization", Corpus: []string{"harbor"}},
		"zot":          {Proof: "Authorization", Corpus: []string{"zot"}, Config: service.Source{Registry: "zot.example.com"}},
		"acr": {
			Sign:  webhook.SignFixed("X-Slipway", ""),
			Proof: "X-Slipway", Corpus: []string{"acr"}, Config: service.Source{Header: "X-Slipway"},
		},
		"ecr": {Proof: "X-Api-Key", Corpus: []string{"ecr"}},
		// Raw delivery, which the suite can sign; envelopes are tried in
		// shared/webhook.
		"aws-sns": {
			Sign:  webhook.SignBasic,
			Proof: "Authorization", Corpus: []string{"aws-sns"},
			Config: service.Source{Topics: []string{"arn:aws:sns:eu-central-1:123456789012:images"}},
		},
		"artifactory": {
			Sign:  webhook.SignHMACSHA256("X-JFrog-Event-Auth", "", nil),
			Proof: "X-JFrog-Event-Auth", Corpus: []string{"artifactory"},
			Config: service.Source{Registry: "artifactory.example.com", Signature: "hmac"},
		},
		"nexus":          {Proof: "X-Nexus-Webhook-Signature", Corpus: []string{"nexus"}, Config: service.Source{Registry: "nexus.example.com:8082"}},
		"gitea-packages": {Proof: "X-Gitea-Signature", Corpus: []string{"gitea-packages"}},
		"aliyun-acr":     webhooktest.InPath(service.Source{}, "aliyun-acr"),
		"cloudsmith":     {Proof: "X-Cloudsmith-Signature"},
		"oracle-ocir":    {Proof: "Authorization", Config: service.Source{Registry: "fra.ocir.io"}},
		// Pub/Sub shows a token of its service account.
		"gar": {
			Sign: func(h http.Header, _ []byte, secret string, now time.Time) {
				h.Set("Authorization", "Bearer "+issuer.tokenAt(now, issuer.signer(secret), nil))
			},
			Proof: "Authorization", Corpus: []string{"gar"},
			Config: service.Source{OIDC: &service.OIDC{Issuer: issuer.URL, Audience: pushURL, Email: pusher}},
		},
		"cloudevents": {Proof: "Authorization", Corpus: []string{"cloudevents-generic"}},
		"cdevents":    {Proof: "Authorization", Corpus: []string{"cdevents"}},
		"generic": {Proof: "Authorization", Config: service.Source{Mapping: map[string]string{
			"items": "body.builds", "when": "item.status == 'done' && headers['x-ci'] == 'acme'",
			"registry": "body.?registry.orValue('registry.example.com')", "repository": "'shop/' + item.name",
			"tag": "item.?tag", "digest": "has(item.digest) ? item.digest : null",
			"mediaType": "item.?type", "pusher": "body.?by", "pushedAt": "item.?at", "deleted": "item.?gone", "id": "body.?run",
		}}},
		"azure-eventgrid": {Sign: webhook.SignFixed("Authorization", "Bearer "), Proof: "Authorization", Corpus: []string{"azure-eventgrid"}},
	},
}

func TestProviders(t *testing.T) { webhooktest.Run(t, suite) }

func FuzzDistribution(f *testing.F) { webhooktest.Fuzz(f, suite, "distribution") }

func FuzzDockerHub(f *testing.F) { webhooktest.Fuzz(f, suite, "dockerhub") }

func FuzzGitHub(f *testing.F) { webhooktest.Fuzz(f, suite, "github") }

func FuzzGitLab(f *testing.F) { webhooktest.Fuzz(f, suite, "gitlab") }

func FuzzQuay(f *testing.F) { webhooktest.Fuzz(f, suite, "quay") }

func FuzzHarbor(f *testing.F) { webhooktest.Fuzz(f, suite, "harbor") }

func FuzzZot(f *testing.F) { webhooktest.Fuzz(f, suite, "zot") }

func FuzzACR(f *testing.F) { webhooktest.Fuzz(f, suite, "acr") }

func FuzzECR(f *testing.F) { webhooktest.Fuzz(f, suite, "ecr") }

func FuzzSNS(f *testing.F) { webhooktest.Fuzz(f, suite, "aws-sns") }

func FuzzArtifactory(f *testing.F) { webhooktest.Fuzz(f, suite, "artifactory") }

func FuzzNexus(f *testing.F) { webhooktest.Fuzz(f, suite, "nexus") }

func FuzzGiteaPackages(f *testing.F) { webhooktest.Fuzz(f, suite, "gitea-packages") }

func FuzzAliyunACR(f *testing.F) { webhooktest.Fuzz(f, suite, "aliyun-acr") }

func FuzzCloudsmith(f *testing.F) { webhooktest.Fuzz(f, suite, "cloudsmith") }

func FuzzOracleOCIR(f *testing.F) { webhooktest.Fuzz(f, suite, "oracle-ocir") }

func FuzzGAR(f *testing.F) { webhooktest.Fuzz(f, suite, "gar") }

func FuzzEventGrid(f *testing.F) { webhooktest.Fuzz(f, suite, "azure-eventgrid") }

func FuzzCloudEvents(f *testing.F) { webhooktest.Fuzz(f, suite, "cloudevents") }

func FuzzCDEvents(f *testing.F) { webhooktest.Fuzz(f, suite, "cdevents") }

func FuzzGeneric(f *testing.F) { webhooktest.Fuzz(f, suite, "generic") }
