package provider

import (
	"net/http"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// gitea is Gitea: HMAC-SHA256 in bare hex over the JSON, also where that
// comes in a form.
var gitea = webhook.Provider{
	Name:    "gitea",
	MaxBody: webhook.MiB,
	Verify:  webhook.VerifyPayload("X-Gitea-Signature"),
	Sign:    webhook.SignHMACSHA256("X-Gitea-Signature", "", webhook.PayloadOf),
	Parse: func(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
		return parseGiteaLike(r, s, "gitea", r.Header.Get("X-Gitea-Event"), r.Header.Get("X-Gitea-Delivery"))
	},
	Wants: func(h http.Header) bool { return h.Get("X-Gitea-Event") != "package" },
	Setup: webhook.Setup{
		Where:  "Repository or organisation → Settings → Webhooks → Add webhook → Gitea; target URL /hooks/{source}, method POST, content type application/json.",
		Events: "Push, and Delete for branches that go.",
		Secret: "Secret: the source's secret. The instance's [webhook] ALLOWED_HOST_LIST must name the receiver where its address is private.",
		Tried:  webhook.Live,
	},
}

// parseGiteaLike reads pushes, and deletes of branches, which give no push.
func parseGiteaLike(r webhook.Request, s webhook.Source, provider, event, delivery string) (webhook.Delivery, error) {
	d := webhook.Delivery{ID: delivery}
	body, err := webhook.Payload(r)
	if err != nil {
		return d, err
	}
	var p push
	switch event {
	case "push":
		if err := webhook.JSON(body, &p); err != nil {
			return d, err
		}
		return d, p.read(&d, s, provider)
	case "delete":
		return d, readDelete(body, &d, s, provider)
	default:
		d.Ignore("event is neither a push nor a delete")
		return d, webhook.JSON(body, &struct{}{})
	}
}
