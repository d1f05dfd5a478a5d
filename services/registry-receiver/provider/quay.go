package provider

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// quay is Quay and Quay.io: a list of tags, without kind, id, time, digest or
// proof. Two pushes of one tag are the same bytes, so no delivery is taken
// for a repeat. (Docs: "Repository notifications".)
var quay = webhook.Provider{
	Name:    "quay",
	MaxBody: webhook.MiB,
	Verify:  byToken,
	SignURL: webhook.SignPath,
	Parse:   parseQuay,
	Setup: webhook.Setup{
		Where:  "Repository → Settings → Events and Notifications → Create Notification; issue a Webhook POST to /hooks/{source}/{secret}, without a body template.",
		Events: "Push to Repository. (Each notification is for one kind of event. The test button sends the tags latest and foo: the registry is asked whether they are there.)",
		Secret: "None can be set: the source's secret is the last part of the address, so make it long and random.",
		Tried:  webhook.Captured,
	},
}

func parseQuay(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	d := webhook.Delivery{Timeless: true}
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	var b struct {
		Repository string          `json:"repository"`
		DockerURL  string          `json:"docker_url"`
		Tags       json.RawMessage `json:"updated_tags"`
	}
	if err := webhook.JSON(r.Body, &b); err != nil {
		return d, err
	}
	if b.Repository == "" {
		return d, fmt.Errorf("%w: repository is missing", webhook.ErrBody)
	}
	if b.Tags == nil || string(b.Tags) == "null" {
		d.Ignore("event is not a push")
		return d, nil
	}
	tags, err := quayTags(b.Tags)
	if err != nil {
		return d, err
	}
	for _, tag := range tags {
		if tag == "" {
			d.Ignore("tag is empty")
			continue
		}
		image{provider: "quay", host: hostOf(b.DockerURL), path: b.Repository, tag: tag}.add(&d, s)
	}
	return d, nil
}

// quayTags reads a list, or what older versions send: tags and their images.
func quayTags(raw json.RawMessage) ([]string, error) {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return list, nil
	}
	var byTag map[string]string
	if json.Unmarshal(raw, &byTag) == nil {
		return slices.Sorted(maps.Keys(byTag)), nil
	}
	return nil, fmt.Errorf("%w: updated_tags is not a list of tags", webhook.ErrBody)
}
