package provider

import (
	"fmt"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// gogs is Gogs: bare hex HMAC-SHA256. It never sends a push for a tag, only
// create and delete.
var gogs = webhook.Provider{
	Name:    "gogs",
	MaxBody: webhook.MiB,
	Verify:  webhook.VerifyPayload("X-Gogs-Signature"),
	Sign:    webhook.SignHMACSHA256("X-Gogs-Signature", "", webhook.PayloadOf),
	Parse:   parseGogs,
	Setup: webhook.Setup{
		Where:  "Repository → Settings → Webhooks → Add a new webhook → Gogs; payload URL /hooks/{source}, content type application/json.",
		Events: "Push, Create and Delete: Gogs tells of tags only by the last two.",
		Secret: "Secret: the source's secret.",
		Tried:  webhook.Captured,
	},
}

func parseGogs(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	event := r.Header.Get("X-Gogs-Event")
	if event != "create" && event != "delete" {
		return parseGiteaLike(r, s, "gogs", event, r.Header.Get("X-Gogs-Delivery"))
	}
	d := webhook.Delivery{ID: r.Header.Get("X-Gogs-Delivery")}
	body, err := webhook.Payload(r)
	if err != nil {
		return d, err
	}
	var b struct {
		Ref        string `json:"ref"`
		RefType    string `json:"ref_type"`
		SHA        string `json:"sha"`
		Repository *struct {
			CloneURL string `json:"clone_url"`
		} `json:"repository"`
		Sender struct {
			Login string `json:"login"`
		} `json:"sender"`
	}
	if err := webhook.JSON(body, &b); err != nil {
		return d, err
	}
	switch {
	case b.Repository == nil || b.Repository.CloneURL == "":
		return d, fmt.Errorf("%w: repository.clone_url is missing", webhook.ErrBody)
	case b.Ref == "":
		return d, fmt.Errorf("%w: ref is missing", webhook.ErrBody)
	case event == "create" && b.RefType != "tag":
		d.Ignore("create of a branch; its push tells")
		return d, nil
	}
	m := moved{provider: "gogs", repository: b.Repository.CloneURL, ref: fullRef(b.RefType, b.Ref), pusher: b.Sender.Login}
	if event == "create" {
		m.after = b.SHA
	}
	m.add(&d, s)
	return d, nil
}
