package provider

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// zot is zot: CloudEvents in binary mode, so that the kind is in Ce-Type
// alone. The body has no host. (Docs: "Configuring zot to send events".)
var zot = webhook.Provider{
	Name:    "zot",
	MaxBody: 8 * webhook.MiB, // it holds the manifest, escaped
	Prove:   func(_ context.Context, r webhook.Request, s webhook.Source) error { return byHeader(r, s) },
	Sign:    webhook.SignBasic,
	SignBy:  webhook.SignHeader,
	Parse:   parseZot,
	Setup: webhook.Setup{
		Where:  "The registry's configuration: extensions.events.enable true, and in sinks one with type http, address /hooks/{source} and timeout. The source needs registry: the host as images name it.",
		Events: "All: lint and scan results and new repositories are left out here.",
		Secret: "sinks[].credentials: a file with any username and the source's secret as password; or sinks[].headers, with the source's header naming it.",
		Tried:  webhook.Captured,
	},
}

func parseZot(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	d := webhook.Delivery{}
	if id := r.Header.Get("Ce-Id"); id != "" {
		d.ID = r.Header.Get("Ce-Source") + " " + id
	}
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	var b struct {
		Name      string `json:"name"`
		Reference string `json:"reference"` // a tag, or the digest
		Digest    string `json:"digest"`
		MediaType string `json:"mediaType"`
	}
	if err := webhook.JSON(r.Body, &b); err != nil {
		return d, err
	}
	// What stands before is the user's to configure.
	kind := r.Header.Get("Ce-Type")
	updated, deleted := strings.HasSuffix(kind, ".image.updated"), strings.HasSuffix(kind, ".image.deleted")
	switch {
	case kind == "":
		return d, fmt.Errorf("%w: header Ce-Type is missing", webhook.ErrBody)
	case !updated && !deleted:
		d.Ignore("type %q", clip(kind))
		return d, nil
	case b.Name == "":
		return d, fmt.Errorf("%w: name is missing", webhook.ErrBody)
	}
	at := webhook.ParseTime(r.Header.Get("Ce-Time"))
	d.Timeless = at.IsZero()
	image{
		provider: "zot", path: b.Name, tag: b.Reference, digest: b.Digest, mediaType: b.MediaType, time: at, deleted: deleted,
	}.add(&d, s)
	return d, nil
}
