package provider

import (
	"net/http"
	"slices"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// github is GitHub and GitHub Enterprise Server: HMAC-SHA256 over the raw
// body, form-encoded or not. (Docs: "Validating webhook deliveries".)
var github = webhook.Provider{
	Name:    "github",
	MaxBody: 25 * webhook.MiB,
	Verify: func(r webhook.Request, secrets []string) error {
		return webhook.HMACSHA256(r.Header, "X-Hub-Signature-256", "sha256=", r.Body, secrets)
	},
	Sign: webhook.SignHMACSHA256("X-Hub-Signature-256", "sha256=", nil),
	Parse: func(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
		d := webhook.Delivery{ID: r.Header.Get("X-GitHub-Delivery")}
		body, err := webhook.Payload(r)
		if err != nil {
			return d, err
		}
		if event := r.Header.Get("X-GitHub-Event"); event != "push" {
			d.Ignore("event is not a push")
			return d, webhook.JSON(body, &struct{}{})
		}
		var p push
		if err := webhook.JSON(body, &p); err != nil {
			return d, err
		}
		return d, p.read(&d, s, "github")
	},
	Wants: func(h http.Header) bool {
		return !slices.Contains([]string{"package", "registry_package"}, h.Get("X-GitHub-Event"))
	},
	Setup: webhook.Setup{
		Where:  "Repository, organisation or App → Settings → Webhooks → Add webhook; payload URL /hooks/{source}, content type application/json.",
		Events: "Just the push event. (A push of more than three tags gives none: the sweep finds them.)",
		Secret: "Secret: the source's secret.",
		Tried:  webhook.Captured,
	},
}
