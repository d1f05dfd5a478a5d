package provider_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/git-receiver/provider"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// TestCodeCommitBySNSInTheCorpus reads what stands in the corpus under another
// provider's name, as if its signature still fitted.
func TestCodeCommitBySNSInTheCorpus(t *testing.T) {
	root := os.Getenv("SLIPWAY_CORPUS")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared", "corpus")
	}
	sns := provider.Table[slices.IndexFunc(provider.Table, func(p webhook.Provider) bool { return p.Name == "aws-sns" })]
	for file, want := range map[string]events.RefUpdated{
		"sns-trigger-push":        {Repository: "git-codecommit.us-east-1.amazonaws.com/v1/repos/cicd-mgmt", Ref: "refs/heads/master", After: "ee36dc002055a40d9660b2bb19fd8d6ef2d77cd0"},
		"sns-trigger-push-masked": {Repository: "git-codecommit.us-east-1.amazonaws.com/v1/repos/xxxx", Ref: "refs/heads/master"},
	} {
		t.Run(file, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join(root, "webhooks", "aws-codecommit", file+".json"))
			if err != nil {
				t.Skipf("NOT CHECKED against real bodies: %v; set SLIPWAY_CORPUS", err)
			}
			r := webhook.Request{Header: http.Header{"Content-Type": {"text/plain; charset=UTF-8"}}, Body: body}
			d, err := sns.Parse(r, webhook.Source{Name: "sns", Config: service.Source{Host: "git-codecommit.us-east-1.amazonaws.com"}})
			if err != nil || len(d.Items) != 1 {
				t.Fatalf("gives %d events and %v", len(d.Items), err)
			}
			got, err := json.Marshal(d.Items[0].Payload)
			if err != nil {
				t.Fatal(err)
			}
			want.Provider, want.Source, want.DeliveryID = "aws-sns", "sns", d.ID
			wanted, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(wanted) {
				t.Errorf("gives %s, want %s", got, wanted)
			}
		})
	}
}
