package provider

import (
	"strings"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// distribution is CNCF Distribution, the Docker registry, and GitLab's
// registry: notifications with a fixed Authorization header. It sends one
// event until it is taken, and everything behind it waits: so it never gets
// a 4xx for what it can't help.
var distribution = webhook.Provider{
	Name:    "distribution",
	MaxBody: 8 * webhook.MiB,
	Blocks:  true,
	Verify:  func(r webhook.Request, secrets []string) error { return webhook.Authorization(r.Header, secrets) },
	Sign:    webhook.SignFixed("Authorization", "Bearer "),
	Parse: func(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
		return parseNotifications(r, s, "distribution")
	},
	Setup: webhook.Setup{
		Where: "The registry's configuration: notifications: {endpoints: [{name: slipway, url: https://YOUR-RECEIVER/hooks/{source}, timeout: 5s, threshold: 5, backoff: 10s, " +
			"ignore: {actions: [pull], mediatypes: [application/octet-stream]}}]}; then restart it. The source needs registry where clients call the registry by another name than images do.",
		Events: "All that is left: pushes and deletes of manifests and tags.",
		Secret: "In that endpoint: headers: {Authorization: [Bearer THE-SOURCE'S-SECRET]}.",
		Tried:  webhook.Live,
	},
}

// Notifications, distribution.github.io/distribution/about/notifications.
type distributionEnvelope struct {
	Events []distributionEvent `json:"events"`
}

type distributionEvent struct {
	ID        string       `json:"id"`
	Timestamp webhook.Time `json:"timestamp"`
	Action    string       `json:"action"`
	Target    struct {
		MediaType  string `json:"mediaType"`
		Digest     string `json:"digest"`
		Repository string `json:"repository"`
		URL        string `json:"url"`
		Tag        string `json:"tag"`
	} `json:"target"`
	Request struct {
		Host string `json:"host"`
	} `json:"request"`
	Actor struct {
		Name string `json:"name"`
	} `json:"actor"`
}

func parseNotifications(r webhook.Request, s webhook.Source, provider string) (webhook.Delivery, error) {
	var d webhook.Delivery
	if _, err := webhook.MediaType(r, "application/vnd.docker.distribution.events.v2+json", "application/vnd.docker.distribution.events.v1+json", "application/json"); err != nil {
		return d, err
	}
	var body distributionEnvelope
	if err := webhook.JSON(r.Body, &body); err != nil {
		return d, err
	}
	ids := make([]string, 0, len(body.Events))
	for _, e := range body.Events {
		ids = append(ids, e.ID)
		e.read(&d, s, provider)
	}
	d.ID = strings.Join(ids, " ")
	return d, nil
}

// read takes one event: pushes and deletes of manifests and tags count.
func (e distributionEvent) read(d *webhook.Delivery, s webhook.Source, provider string) {
	switch {
	case e.Action == "push" && !e.isManifest():
		d.Ignore("push of a blob")
		return
	case e.Action == "delete" && e.Target.Tag == "" && webhook.Digest(e.Target.Digest) == "":
		d.Ignore("delete of a repository or blob")
		return
	case e.Action != "push" && e.Action != "delete":
		d.Ignore("action %q", clip(e.Action))
		return
	}
	image{
		provider: provider, host: e.Request.Host, path: e.Target.Repository, tag: e.Target.Tag, digest: e.Target.Digest,
		mediaType: e.Target.MediaType, pusher: e.Actor.Name, delivery: e.ID, time: e.Timestamp.Time, deleted: e.Action == "delete",
	}.add(d, s)
}

// isManifest tells manifests from blobs. Registries of 2015 give both the
// same media type, and only the address tells.
func (e distributionEvent) isManifest() bool {
	return strings.Contains(e.Target.MediaType, "manifest") || strings.Contains(e.Target.MediaType, "image.index") ||
		strings.Contains(e.Target.URL, "/manifests/")
}

func clip(s string) string { return s[:min(len(s), 40)] }
