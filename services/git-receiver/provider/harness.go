package provider

import (
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// harness is Harness Code (Gitness): bare hex HMAC-SHA256 of the body.
var harness = webhook.Provider{
	Name:    "harness",
	MaxBody: webhook.MiB,
	Verify: func(r webhook.Request, secrets []string) error {
		return webhook.HMACSHA256(r.Header, "X-Harness-Signature", "", r.Body, secrets)
	},
	Sign:  webhook.SignHMACSHA256("X-Harness-Signature", "", nil),
	Parse: parseHarness,
	Setup: webhook.Setup{
		Where:  "Repository → Webhooks → New webhook; payload URL /hooks/{source}.",
		Events: "Branch created, updated, deleted; tag created, updated, deleted.",
		Secret: "Secret: the source's secret.",
		Tried:  webhook.Captured,
	},
}

func parseHarness(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	var d webhook.Delivery
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	var b struct {
		Trigger string `json:"trigger"`
		Repo    *struct {
			GitURL string `json:"git_url"`
		} `json:"repo"`
		Ref struct {
			Name string `json:"name"`
		} `json:"ref"`
		SHA       string `json:"sha"`
		OldSHA    string `json:"old_sha"`
		Forced    bool   `json:"forced"`
		Principal struct {
			UID string `json:"uid"`
		} `json:"principal"`
	}
	if err := webhook.JSON(r.Body, &b); err != nil {
		return d, err
	}
	switch {
	case b.Trigger == "":
		return d, fmt.Errorf("%w: trigger is missing", webhook.ErrBody)
	case !strings.HasPrefix(b.Trigger, "branch_") && !strings.HasPrefix(b.Trigger, "tag_"):
		d.Ignore("event is neither of a branch nor of a tag")
		return d, nil
	case b.Repo == nil || b.Repo.GitURL == "":
		return d, fmt.Errorf("%w: repo.git_url is missing", webhook.ErrBody)
	}
	moved{provider: "harness", repository: b.Repo.GitURL, ref: b.Ref.Name, before: b.OldSHA, after: b.SHA, forced: b.Forced, pusher: b.Principal.UID}.add(&d, s)
	return d, nil
}
