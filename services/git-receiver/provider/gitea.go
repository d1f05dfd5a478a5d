package provider

import (
	"fmt"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// gitea is Gitea: HMAC-SHA256 in bare hex over the JSON, also where that
// comes in a form.
var gitea = webhook.Provider{
	Name:    "gitea",
	MaxBody: webhook.MiB,
	Verify: func(r webhook.Request, secrets []string) error {
		body, err := payload(r)
		if err != nil {
			return fmt.Errorf("%w: %w", webhook.ErrProof, err)
		}
		return webhook.HMACSHA256(r.Header, "X-Gitea-Signature", "", body, secrets)
	},
	Parse: parseGitea,
}

// parseGitea reads pushes, and deletes of branches, which give no push.
func parseGitea(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	d := webhook.Delivery{ID: r.Header.Get("X-Gitea-Delivery")}
	body, err := payload(r)
	if err != nil {
		return d, err
	}
	var p push
	switch r.Header.Get("X-Gitea-Event") {
	case "push":
		if err := webhook.JSON(body, &p); err != nil {
			return d, err
		}
		return d, p.read(&d, s, "gitea")
	case "delete":
		return d, readDelete(body, &d, s)
	default:
		d.Ignore("event is neither a push nor a delete")
		return d, webhook.JSON(body, &struct{}{})
	}
}
