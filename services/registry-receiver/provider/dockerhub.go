package provider

import (
	"fmt"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// dockerhub is Docker Hub: pushes of tags and nothing else, without any proof,
// id or digest. (Docs: "Docker Hub webhooks".)
var dockerhub = webhook.Provider{
	Name:    "dockerhub",
	MaxBody: webhook.MiB,
	Verify:  byToken,
	SignURL: webhook.SignPath,
	Parse:   parseDockerhub,
	Setup: webhook.Setup{
		Where:  "hub.docker.com → repository → Webhooks → New webhook: a name, and as webhook URL https://YOUR-RECEIVER/hooks/{source}/{secret}.",
		Events: "There is one, a push of a tag, without its digest: the registry is asked for that. Deletes are told by nobody.",
		Secret: "None can be set: the source's secret is the last part of the address, so make it long and random.",
		Tried:  webhook.Captured,
	},
}

func parseDockerhub(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	var d webhook.Delivery
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	// callback_url is not read: it is an address of the sender's choice.
	var b struct {
		PushData struct {
			PushedAt  float64 `json:"pushed_at"` // 1.417566161e+09 in some
			Pusher    string  `json:"pusher"`
			Tag       string  `json:"tag"`
			MediaType string  `json:"media_type"`
		} `json:"push_data"`
		Repository struct {
			RepoName string `json:"repo_name"`
		} `json:"repository"`
	}
	if err := webhook.JSON(r.Body, &b); err != nil {
		return d, err
	}
	if b.Repository.RepoName == "" {
		return d, fmt.Errorf("%w: repository.repo_name is missing", webhook.ErrBody)
	}
	at := unix(b.PushData.PushedAt)
	d.Timeless = at.IsZero()
	image{
		provider: "dockerhub", host: "docker.io", path: b.Repository.RepoName, tag: b.PushData.Tag,
		mediaType: b.PushData.MediaType, pusher: b.PushData.Pusher, time: at,
	}.add(&d, s)
	return d, nil
}
