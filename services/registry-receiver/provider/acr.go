package provider

import (
	"context"
	"fmt"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// acr is Azure Container Registry's own webhooks, which carry the headers that
// the user adds. (Docs: "Azure Container Registry webhook reference".)
var acr = webhook.Provider{
	Name:    "acr",
	MaxBody: webhook.MiB,
	Prove:   func(_ context.Context, r webhook.Request, s webhook.Source) error { return byHeader(r, s) },
	Sign:    webhook.SignFixed("Authorization", "Bearer "),
	SignBy:  webhook.SignHeader,
	Parse:   parseACR,
	Setup: webhook.Setup{
		Where: "Registry → Services → Webhooks → Add; service URI /hooks/{source}; one for each region of a replicated registry. Or: " +
			"az acr webhook create --registry REGISTRY --name slipway --uri https://YOUR-RECEIVER/hooks/{source} --actions push delete --headers \"Authorization=Bearer SECRET\".",
		Events: "Push and Delete. (Removing a tag tells nothing: the sweep finds it.)",
		Secret: "Custom headers: Authorization=Bearer THE-SOURCE'S-SECRET, or another header that the source's header names.",
		Tried:  webhook.Captured,
	},
}

// acrEvent is the body of a webhook, and data of an Event Grid event.
type acrEvent struct {
	ID        string `json:"id"`
	Timestamp string `json:"timestamp"`
	Action    string `json:"action"`
	Target    struct {
		MediaType  string `json:"mediaType"`
		Digest     string `json:"digest"`
		Repository string `json:"repository"`
		Tag        string `json:"tag"` // empty for a push by digest
	} `json:"target"`
	Request struct {
		Host string `json:"host"`
	} `json:"request"`
	Actor struct {
		Name string `json:"name"`
	} `json:"actor"`
}

func parseACR(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	var d webhook.Delivery
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	var e acrEvent
	if err := webhook.JSON(r.Body, &e); err != nil {
		return d, err
	}
	if e.Action == "" {
		return d, fmt.Errorf("%w: action is missing", webhook.ErrBody)
	}
	d.ID = e.ID
	d.Timeless = e.Timestamp == ""
	e.read(&d, s, "acr", e.ID)
	return d, nil
}

func (e acrEvent) read(d *webhook.Delivery, s webhook.Source, provider, delivery string) {
	if e.Action != "push" && e.Action != "delete" {
		d.Ignore("action %q", clip(e.Action)) // ping, chart_push, quarantine
		return
	}
	image{
		provider: provider, host: e.Request.Host, path: e.Target.Repository, tag: e.Target.Tag, digest: e.Target.Digest,
		mediaType: e.Target.MediaType, pusher: e.Actor.Name, delivery: delivery, time: webhook.ParseTime(e.Timestamp), deleted: e.Action == "delete",
	}.add(d, s)
}
