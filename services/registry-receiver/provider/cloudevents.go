package provider

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// cloudevents is any sender of CloudEvents 1.0 over HTTP, structured (also as
// plain JSON), binary, or in batches, whose data names an image; the proof is
// that of CloudEvents' webhook specification, or a secret in the path.
var cloudevents = webhook.Provider{
	Name:    "cloudevents",
	MaxBody: webhook.MiB,
	Verify:  proveCloudEvents,
	Sign:    webhook.SignFixed("Authorization", "Bearer "),
	Options: cloudEventsHandshake,
	Parse: func(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
		return parseCloudEvents(r, s, readImageEvent)
	},
	Setup: webhook.Setup{
		Where:  "Any sender of CloudEvents 1.0: POST to /hooks/{source}. data has image (host/path:tag@sha256:…), or repository with registry, tag and digest as far as they are known.",
		Events: "The type's last words say what happened: pushed, published, created, updated or tagged; deleted or removed. Others are left out.",
		Secret: "Authorization: Bearer THE-SOURCE'S-SECRET, or access_token in the query, as CloudEvents' webhook specification has it; or /hooks/{source}/{secret}.",
		Tried:  webhook.Documents,
	},
}

// proveCloudEvents is CloudEvents' webhook specification, 3.
func proveCloudEvents(r webhook.Request, secrets []string) error {
	switch tokens := r.Query["access_token"]; {
	case r.TokenFits:
		return nil
	case len(tokens) > 0:
		if webhook.FixedHeader(http.Header{"Token": tokens}, "Token", secrets) != nil {
			return fmt.Errorf("%w: access_token in the query is another", webhook.ErrProof)
		}
		return nil
	default:
		return webhook.Authorization(r.Header, secrets)
	}
}

// cloudEventsHandshake lets an origin send that holds the secret (CloudEvents'
// webhook specification, 4). The address to call back is not called.
func cloudEventsHandshake(r webhook.Request, s webhook.Source) webhook.Reply {
	origins := r.Header.Values("WebHook-Request-Origin")
	if len(origins) != 1 || !originName(origins[0]) || proveCloudEvents(r, s.Secrets) != nil {
		return webhook.Reply{Status: http.StatusForbidden}
	}
	return webhook.Reply{Status: http.StatusOK, Header: map[string]string{
		"Allow": http.MethodPost, "WebHook-Allowed-Origin": origins[0], "WebHook-Allowed-Rate": "*",
	}}
}

// originName is a DNS name.
func originName(s string) bool {
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-'
	})
}

// cloudEvent is one event; its data is still to be read.
type cloudEvent struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Time        string          `json:"time"`
	Data        json.RawMessage `json:"data"`
}

// parseCloudEvents reads one event or a batch.
func parseCloudEvents(r webhook.Request, s webhook.Source, read func(e cloudEvent, d *webhook.Delivery, s webhook.Source) error) (webhook.Delivery, error) {
	var d webhook.Delivery
	all, err := cloudEventsOf(r)
	if err != nil {
		return d, err
	}
	var ids []string
	for _, e := range all {
		switch {
		case !strings.HasPrefix(e.SpecVersion, "1."):
			return d, fmt.Errorf("%w: specversion is not 1.0", webhook.ErrBody)
		case e.ID == "" || e.Source == "" || e.Type == "":
			return d, fmt.Errorf("%w: id, source or type is missing", webhook.ErrBody)
		}
		ids = append(ids, e.Source+" "+e.ID)
	}
	d.ID = strings.Join(ids, " ")
	for _, e := range all {
		if err := read(e, &d, s); err != nil {
			return d, err
		}
	}
	return d, nil
}

// cloudEventsOf tells the three modes apart by the content type, and binary
// mode by its headers.
func cloudEventsOf(r webhook.Request) ([]cloudEvent, error) {
	kind, err := webhook.MediaType(r, "application/cloudevents+json", "application/cloudevents-batch+json", "application/json")
	if err != nil {
		return nil, err
	}
	one := make([]cloudEvent, 1)
	switch {
	case kind == "application/cloudevents-batch+json":
		var all []cloudEvent
		err := webhook.JSONList(r.Body, &all)
		return all, err
	case kind == "application/json" && r.Header.Get("Ce-Specversion") != "":
		one[0] = cloudEvent{
			SpecVersion: r.Header.Get("Ce-Specversion"), ID: ceHeader(r, "Ce-Id"), Source: ceHeader(r, "Ce-Source"),
			Type: ceHeader(r, "Ce-Type"), Time: r.Header.Get("Ce-Time"), Data: r.Body,
		}
		return one, webhook.JSON(r.Body, &struct{}{})
	default:
		err := webhook.JSON(r.Body, &one[0])
		return one, err
	}
}

// ceHeader undoes the percent-encoding of binary mode.
func ceHeader(r webhook.Request, name string) string {
	value := r.Header.Get(name)
	if plain, err := url.PathUnescape(value); err == nil {
		return plain
	}
	return value
}

// imageData is what data says of an image.
type imageData struct {
	Image      string `json:"image"`
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	Digest     string `json:"digest"`
	MediaType  string `json:"mediaType"`
}

var (
	publishedWords = []string{"pushed", "push", "published", "created", "updated", "tagged"}
	deletedWords   = []string{"deleted", "delete", "removed", "untagged"}
)

func readImageEvent(e cloudEvent, d *webhook.Delivery, s webhook.Source) error {
	word := e.Type[strings.LastIndexByte(e.Type, '.')+1:]
	deleted := slices.Contains(deletedWords, word)
	if !deleted && !slices.Contains(publishedWords, word) {
		d.Ignore("type %q", clip(e.Type))
		return nil
	}
	if len(e.Data) == 0 {
		d.Ignore("event has no data")
		return nil
	}
	var data imageData
	if err := webhook.JSON(e.Data, &data); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	i := image{host: data.Registry, path: data.Repository}
	if data.Image != "" {
		i = splitReference(data.Image)
	}
	if i.path == "" {
		d.Ignore("data names no image")
		return nil
	}
	i.tag, i.digest = cmp.Or(data.Tag, i.tag), cmp.Or(data.Digest, i.digest)
	i.provider, i.mediaType, i.delivery, i.time, i.deleted = "cloudevents", data.MediaType, e.Source+" "+e.ID, e.at(), deleted
	i.add(d, s)
	return nil
}

func (e cloudEvent) at() time.Time { return webhook.ParseTime(e.Time) }
