package provider

import (
	"net/http"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// forgejo is Forgejo: Gitea's bodies under headers of its own name.
var forgejo = webhook.Provider{
	Name:    "forgejo",
	MaxBody: webhook.MiB,
	Verify:  webhook.VerifyPayload("X-Forgejo-Signature"),
	Sign:    webhook.SignHMACSHA256("X-Forgejo-Signature", "", webhook.PayloadOf),
	Parse: func(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
		return parseGiteaLike(r, s, "forgejo", r.Header.Get("X-Forgejo-Event"), r.Header.Get("X-Forgejo-Delivery"))
	},
	Wants: func(h http.Header) bool { return h.Get("X-Forgejo-Event") != "package" },
	Setup: webhook.Setup{
		Where:  "Repository or organisation → Settings → Webhooks → Add webhook → Forgejo; target URL /hooks/{source}, method POST, content type application/json.",
		Events: "Push, and Delete for branches that go.",
		Secret: "Secret: the source's secret. The instance's [webhook] ALLOWED_HOST_LIST must name the receiver where its address is private.",
		Tried:  webhook.Captured,
	},
}
