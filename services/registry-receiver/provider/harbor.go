package provider

import (
	"cmp"
	"fmt"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// harbor is Harbor 1 and 2, in its own format and as CloudEvents: the proof is
// a fixed Authorization header, as it was typed. It waits three seconds.
// (Docs: "Configure webhook notifications".)
var harbor = webhook.Provider{
	Name:    "harbor",
	MaxBody: webhook.MiB,
	Verify:  func(r webhook.Request, secrets []string) error { return webhook.Authorization(r.Header, secrets) },
	Sign:    webhook.SignFixed("Authorization", ""),
	Parse:   parseHarbor,
	Setup: webhook.Setup{
		Where:  "Project → Webhooks → New Webhook: notify type http, payload format Default or CloudEvents, endpoint https://YOUR-RECEIVER/hooks/{source}. Harbor waits three seconds and tries three times.",
		Events: "Artifact pushed and Artifact deleted. (Nothing tells that a tag was added or removed: the sweep finds it.)",
		Secret: "Auth Header: the source's secret, as it is or behind \"Bearer \".",
		Tried:  webhook.Captured,
	},
}

// harborKinds are the types that count, with whether something was deleted:
// Harbor 2, its CloudEvents, Harbor 1.
var harborKinds = map[string]bool{
	"PUSH_ARTIFACT": false, "harbor.artifact.pushed": false, "pushImage": false,
	"DELETE_ARTIFACT": true, "harbor.artifact.deleted": true, "deleteImage": true,
}

type harborData struct {
	Resources []struct {
		Digest string `json:"digest"`
		Tag    string `json:"tag"`
		URL    string `json:"resource_url"`
	} `json:"resources"`
	Repository struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
		FullName  string `json:"repo_full_name"`
	} `json:"repository"`
}

func parseHarbor(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	var d webhook.Delivery
	if _, err := webhook.MediaType(r, "application/json", "application/cloudevents+json"); err != nil {
		return d, err
	}
	var b struct {
		Type      string     `json:"type"`
		OccurAt   float64    `json:"occur_at"`
		Operator  string     `json:"operator"`
		EventData harborData `json:"event_data"`
		// As a CloudEvent.
		ID   string     `json:"id"`
		Time string     `json:"time"`
		Data harborData `json:"data"`
	}
	if err := webhook.JSON(r.Body, &b); err != nil {
		return d, err
	}
	d.ID = b.ID
	deleted, known := harborKinds[b.Type]
	switch {
	case b.Type == "":
		return d, fmt.Errorf("%w: type is missing", webhook.ErrBody)
	case !known:
		d.Ignore("type %q", clip(b.Type))
		return d, nil
	}
	at, data := unix(b.OccurAt), b.EventData
	if len(b.Data.Resources) > 0 {
		at, data = webhook.ParseTime(b.Time), b.Data
	}
	d.Timeless = at.IsZero()
	path := data.Repository.FullName
	if path == "" && data.Repository.Namespace != "" {
		path = data.Repository.Namespace + "/" + data.Repository.Name
	}
	for _, resource := range data.Resources {
		image{
			provider: "harbor", host: hostOf(resource.URL), path: path, tag: resource.Tag,
			digest: cmp.Or(webhook.Digest(resource.Digest), webhook.Digest(resource.Tag)), pusher: b.Operator, time: at, deleted: deleted,
		}.add(&d, s)
	}
	return d, nil
}
