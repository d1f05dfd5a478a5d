package provider

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// cdevents is any sender of CDEvents' artifact.published and artifact.deleted,
// as CloudEvents or alone, whose subject is the package URL of an image.
var cdevents = webhook.Provider{
	Name:    "cdevents",
	MaxBody: webhook.MiB,
	Verify:  proveCloudEvents,
	Sign:    webhook.SignFixed("Authorization", "Bearer "),
	Options: cloudEventsHandshake,
	Parse:   parseCDEvents,
	Setup: webhook.Setup{
		Where:  "Any sender of CDEvents: POST to /hooks/{source}, as CloudEvents of any mode or as bare JSON. subject.id is pkg:oci/NAME@sha256:…?repository_url=HOST/PATH&tag=TAG, or pkg:docker/….",
		Events: "dev.cdevents.artifact.published and dev.cdevents.artifact.deleted, of any version.",
		Secret: "Authorization: Bearer THE-SOURCE'S-SECRET, or access_token in the query; or /hooks/{source}/{secret}.",
		Tried:  webhook.Documents,
	},
}

// cdEvent is a CDEvent: the data of a CloudEvent.
type cdEvent struct {
	Context struct {
		ID        string `json:"id"`
		Source    string `json:"source"`
		Type      string `json:"type"`
		Timestamp string `json:"timestamp"`
	} `json:"context"`
	Subject struct {
		ID      string `json:"id"`
		Content struct {
			User string `json:"user"`
		} `json:"content"`
	} `json:"subject"`
}

func parseCDEvents(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	var bare struct {
		cdEvent
		SpecVersion string `json:"specversion"`
	}
	if _, err := webhook.MediaType(r, "application/json"); err == nil && r.Header.Get("Ce-Specversion") == "" {
		if err := webhook.JSON(r.Body, &bare); err != nil {
			return webhook.Delivery{}, err
		}
		if bare.SpecVersion == "" {
			d := webhook.Delivery{ID: strings.TrimSpace(bare.Context.Source + " " + bare.Context.ID)}
			err := bare.read(&d, s)
			return d, err
		}
	}
	return parseCloudEvents(r, s, func(e cloudEvent, d *webhook.Delivery, s webhook.Source) error {
		var c cdEvent
		if err := webhook.JSON(e.Data, &c); err != nil {
			return fmt.Errorf("data: %w", err)
		}
		return c.read(d, s)
	})
}

func (c cdEvent) read(d *webhook.Delivery, s webhook.Source) error {
	kind, ours := strings.CutPrefix(c.Context.Type, "dev.cdevents.artifact.")
	deleted := strings.HasPrefix(kind, "deleted.")
	switch {
	case c.Context.Type == "":
		return fmt.Errorf("%w: context.type is missing", webhook.ErrBody)
	case !ours || !(deleted || strings.HasPrefix(kind, "published.")):
		d.Ignore("type %q", clip(c.Context.Type))
		return nil
	}
	i, ok := parsePURL(c.Subject.ID)
	if !ok {
		d.Ignore("subject is not the package URL of an image")
		return nil
	}
	i.provider, i.pusher, i.time, i.deleted = "cdevents", c.Subject.Content.User, webhook.ParseTime(c.Context.Timestamp), deleted
	i.delivery = strings.TrimSpace(c.Context.Source + " " + c.Context.ID)
	i.add(d, s)
	return nil
}

// parsePURL reads the package URL of an image (purl-spec, types oci and
// docker).
func parsePURL(s string) (image, bool) {
	s, _, _ = strings.Cut(s, "#")
	s, query, _ := strings.Cut(s, "?")
	qualifiers, err := url.ParseQuery(query)
	kind, isPURL := strings.CutPrefix(s, "pkg:")
	kind, name, named := strings.Cut(strings.TrimLeft(kind, "/"), "/")
	name, version, _ := strings.Cut(name, "@")
	name, errName := url.PathUnescape(name)
	version, errVersion := url.PathUnescape(version)
	if err != nil || errName != nil || errVersion != nil || !isPURL || !named {
		return image{}, false
	}
	at := withoutScheme(qualifiers.Get("repository_url"))
	switch strings.ToLower(kind) {
	case "oci":
		// With the name or, in old examples, without it.
		i := splitReference(at)
		if path.Base(i.path) != name {
			i.path = strings.TrimPrefix(i.path+"/"+name, "/")
		}
		i.tag, i.digest = qualifiers.Get("tag"), version
		return i, true
	case "docker":
		i := splitReference(cmp.Or(at, "docker.io"))
		if i.path == "" {
			i.path = name
		}
		i.tag = cmp.Or(version, qualifiers.Get("tag"))
		return i, true
	}
	return image{}, false
}
