package provider_test

import (
	"testing"

	"github.com/slipway-cd/slipway/services/git-receiver/provider"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
	"github.com/slipway-cd/slipway/shared/webhook/webhooktest"
)

var suite = webhooktest.Suite{
	Service: "git-receiver", Table: provider.Table, Dir: "testdata",
	Senders: map[string]webhooktest.Sender{
		"github":               {Proof: "X-Hub-Signature-256", Corpus: []string{"github"}},
		"gitea":                {Proof: "X-Gitea-Signature", Corpus: []string{"gitea"}},
		"forgejo":              {Proof: "X-Forgejo-Signature", Corpus: []string{"forgejo"}},
		"gogs":                 {Proof: "X-Gogs-Signature", Corpus: []string{"gogs"}},
		"gitlab":               {Proof: "X-Gitlab-Token", Corpus: []string{"gitlab"}},
		"bitbucket-cloud":      {Proof: "X-Hub-Signature", Corpus: []string{"bitbucket-cloud"}},
		"bitbucket-datacenter": {Proof: "X-Hub-Signature", Corpus: []string{"bitbucket-datacenter"}},
		"azure-devops":         {Proof: "Authorization", Corpus: []string{"azure-devops"}},
		"aws-codecommit":       {Proof: "X-Api-Key", Corpus: []string{"aws-codecommit"}},
		// Raw delivery, which the suite can sign; envelopes are tried in
		// shared/webhook, and those of the corpus in sns_test.go.
		"aws-sns": {
			Sign:  webhook.SignBasic,
			Proof: "Authorization", Corpus: []string{"aws-sns"},
			Config: service.Source{Host: "git-codecommit.eu-central-1.amazonaws.com", Topics: []string{"arn:aws:sns:eu-central-1:123456789012:code"}},
		},
		"gitee":   {Proof: "X-Gitee-Token", Corpus: []string{"gitee"}},
		"harness": {Proof: "X-Harness-Signature", Corpus: []string{"harness"}},
	},
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

func FuzzSNS(f *testing.F) { webhooktest.Fuzz(f, suite, "aws-sns") }

func FuzzGitee(f *testing.F) { webhooktest.Fuzz(f, suite, "gitee") }

func FuzzHarness(f *testing.F) { webhooktest.Fuzz(f, suite, "harness") }
