package provider

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// cloudsmith is Cloudsmith: HMAC-SHA1 of the body, or the fixed header that
// the source names; the body is an object, a list of them, or a form. (Docs:
// "Webhooks".)
var cloudsmith = webhook.Provider{
	Name:    "cloudsmith",
	MaxBody: webhook.MiB,
	Prove: func(_ context.Context, r webhook.Request, s webhook.Source) error {
		if s.Config.Header != "" {
			return webhook.FixedHeader(r.Header, s.Config.Header, s.Secrets)
		}
		return webhook.HMACSHA1(r.Header, "X-Cloudsmith-Signature", "", r.Body, s.Secrets)
	},
	Sign:   webhook.SignHMACSHA1("X-Cloudsmith-Signature"),
	SignBy: webhook.SignHeader,
	Parse:  parseCloudsmith,
	Setup: webhook.Setup{
		Where:  "Repository → Webhooks → Create; target URL /hooks/{source}, format JSON Object, package query format:docker.",
		Events: "Package synced, Package deleted, Package tags updated.",
		Secret: "Signature key: the source's secret. (Or a secret header and value, and the source's header naming it.)",
		Tried:  webhook.Documents,
	},
}

type cloudsmithEvent struct {
	Meta struct {
		EventID string `json:"event_id"`
	} `json:"meta"`
	Data struct {
		Format     string `json:"format"`
		Namespace  string `json:"namespace"`
		Repository string `json:"repository"`
		Name       string `json:"name"`
		Version    string `json:"version"` // the manifest's hash, or a tag
		Tags       struct {
			Version []string `json:"version"`
		} `json:"tags"`
		Uploader string `json:"uploader"`
	} `json:"data"`
}

func parseCloudsmith(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	d := webhook.Delivery{Timeless: true}
	body, err := webhook.Payload(r)
	if err != nil {
		return d, err
	}
	var all []cloudsmithEvent
	if webhook.IsList(body) {
		err = webhook.JSONList(body, &all)
	} else {
		all = make([]cloudsmithEvent, 1)
		err = webhook.JSON(body, &all[0])
	}
	if err != nil {
		return d, err
	}
	if len(all) == 0 {
		return d, fmt.Errorf("%w: the list is empty", webhook.ErrBody)
	}
	for _, e := range all {
		if e.Meta.EventID == "" {
			return d, fmt.Errorf("%w: meta.event_id is missing", webhook.ErrBody)
		}
		e.read(&d, s)
	}
	return d, nil
}

// read takes a package: each of its tags is an event.
func (e cloudsmithEvent) read(d *webhook.Delivery, s webhook.Source) {
	deleted := e.Meta.EventID == "package.deleted"
	switch {
	case !deleted && e.Meta.EventID != "package.synced" && e.Meta.EventID != "package.tags_updated":
		d.Ignore("event %q", clip(e.Meta.EventID))
		return
	case e.Data.Format != "docker":
		d.Ignore("package is not an image")
		return
	}
	i := image{
		provider: "cloudsmith", host: "docker.cloudsmith.io", path: strings.Join([]string{e.Data.Namespace, e.Data.Repository, e.Data.Name}, "/"),
		digest: "sha256:" + e.Data.Version, pusher: e.Data.Uploader, deleted: deleted,
	}
	tags := e.Data.Tags.Version
	if len(tags) == 0 {
		tags = []string{""}
		if webhook.Digest(i.digest) == "" {
			tags[0] = e.Data.Version
		}
	}
	for _, tag := range tags {
		i.tag = tag
		i.add(d, s)
	}
}
