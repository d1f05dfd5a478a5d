package provider

import (
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// nexus is Sonatype Nexus Repository 3: HMAC-SHA1, since it has nothing else.
// (Docs: "Working with HMAC payloads", "Repository webhooks".)
var nexus = webhook.Provider{
	Name:    "nexus",
	MaxBody: webhook.MiB,
	Verify: func(r webhook.Request, secrets []string) error {
		return webhook.HMACSHA1(r.Header, "X-Nexus-Webhook-Signature", "", r.Body, secrets)
	},
	Sign:  webhook.SignHMACSHA1("X-Nexus-Webhook-Signature"),
	Parse: parseNexus,
	Setup: webhook.Setup{
		Where:  "Settings → System → Capabilities → Create → Webhook: Repository, one for each Docker repository; URL /hooks/{source}. The source needs registry: the host and port of the repository's connector.",
		Events: "Event types: component. (asset tells of each layer and is left out here.)",
		Secret: "Secret key: the source's secret.",
		Tried:  webhook.Captured,
	},
}

func parseNexus(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	d := webhook.Delivery{ID: r.Header.Get("X-Nexus-Webhook-Delivery")}
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	var b struct {
		Timestamp string `json:"timestamp"` // 2020-04-05T21:49:44.219+0000
		Initiator string `json:"initiator"` // user/address
		Action    string `json:"action"`
		Component *struct {
			Format  string `json:"format"`
			Name    string `json:"name"`
			Version string `json:"version"`
		} `json:"component"`
	}
	if err := webhook.JSON(r.Body, &b); err != nil {
		return d, err
	}
	d.Timeless = b.Timestamp == ""
	switch {
	case r.Header.Get("X-Nexus-Webhook-Id") != "rm:repository:component":
		d.Ignore("event is not of a component")
		return d, nil
	case b.Component == nil:
		return d, fmt.Errorf("%w: component is missing", webhook.ErrBody)
	case b.Component.Format != "docker":
		d.Ignore("component is not an image")
		return d, nil
	case b.Action != "CREATED" && b.Action != "UPDATED" && b.Action != "DELETED":
		d.Ignore("action %q", clip(b.Action))
		return d, nil
	}
	user, _, _ := strings.Cut(b.Initiator, "/")
	image{
		provider: "nexus", path: b.Component.Name, tag: b.Component.Version, pusher: user, time: webhook.ParseTime(b.Timestamp), deleted: b.Action == "DELETED",
	}.add(&d, s)
	return d, nil
}
