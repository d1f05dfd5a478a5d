package provider

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// giteaPackages is the container registry of Gitea and Forgejo: HMAC-SHA256 in
// bare hex over the JSON, also where that comes in a form. (The git-receiver
// has their pushes.)
var giteaPackages = webhook.Provider{
	Name:    "gitea-packages",
	MaxBody: webhook.MiB,
	Verify:  webhook.VerifyPayload("X-Gitea-Signature"),
	Sign:    webhook.SignHMACSHA256("X-Gitea-Signature", "", webhook.PayloadOf),
	Parse:   parseGiteaPackages,
	Wants:   func(h http.Header) bool { return h.Get("X-Gitea-Event") == "package" },
	Setup: webhook.Setup{
		Where:  "Organisation or user → Settings → Webhooks → Add webhook → Gitea (Forgejo); target URL /hooks/{source}, method POST, content type application/json. A repository's own hooks tell only of packages linked to it.",
		Events: "Custom events: Package.",
		Secret: "Secret: the source's secret. The instance's [webhook] ALLOWED_HOST_LIST must name the receiver where its address is private.",
		Tried:  webhook.Captured,
	},
}

func parseGiteaPackages(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	d := webhook.Delivery{ID: r.Header.Get("X-Gitea-Delivery")}
	body, err := webhook.Payload(r)
	if err != nil {
		return d, err
	}
	if r.Header.Get("X-Gitea-Event") != "package" {
		d.Ignore("event is not of a package")
		return d, webhook.JSON(body, &struct{}{})
	}
	var b struct {
		Action  string `json:"action"`
		Package *struct {
			Type    string `json:"type"`
			Name    string `json:"name"`
			Version string `json:"version"` // tag, or digest of what has none
			HTMLURL string `json:"html_url"`
			Owner   struct {
				Login string `json:"login"`
			} `json:"owner"`
			CreatedAt string `json:"created_at"`
		} `json:"package"`
		Sender struct {
			Login string `json:"login"`
		} `json:"sender"`
	}
	if err := webhook.JSON(body, &b); err != nil {
		return d, err
	}
	p := b.Package
	switch {
	case p == nil:
		return d, fmt.Errorf("%w: package is missing", webhook.ErrBody)
	case p.Type != "container":
		d.Ignore("package is not a container")
		return d, nil
	case b.Action != "created" && b.Action != "deleted":
		d.Ignore("action %q", clip(b.Action))
		return d, nil
	}
	i := image{
		provider: "gitea-packages", host: hostOf(p.HTMLURL), path: strings.ToLower(cmp.Or(p.Owner.Login, "?") + "/" + p.Name),
		tag: p.Version, pusher: b.Sender.Login, deleted: b.Action == "deleted",
	}
	if !i.deleted {
		i.time = webhook.ParseTime(p.CreatedAt)
	}
	i.add(&d, s)
	return d, nil
}
