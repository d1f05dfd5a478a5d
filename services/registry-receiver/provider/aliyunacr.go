package provider

import (
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// aliyunACR is Alibaba Cloud's Container Registry: no proof, no id, a time
// without a zone. (Docs: "Manage webhooks".)
var aliyunACR = webhook.Provider{
	Name:    "aliyun-acr",
	MaxBody: webhook.MiB,
	Verify:  byToken,
	SignURL: webhook.SignPath,
	Parse:   parseAliyun,
	Setup: webhook.Setup{
		Where:  "Repository → Triggers → Create; URL /hooks/{source}/{secret}. An Enterprise instance's source needs registry: its host, which bodies don't tell.",
		Events: "All, or a tag expression; deletes are told by nobody.",
		Secret: "None can be set: the source's secret is the last part of the address, so make it long and random.",
		Tried:  webhook.Documents,
	},
}

func parseAliyun(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	var d webhook.Delivery
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	var b struct {
		PushData struct {
			Tag      string `json:"tag"`
			Digest   string `json:"digest"`
			PushedAt string `json:"pushed_at"` // local, of no known zone
		} `json:"push_data"`
		Repository struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
			Region    string `json:"region"`
			FullName  string `json:"repo_full_name"`
		} `json:"repository"`
	}
	if err := webhook.JSON(r.Body, &b); err != nil {
		return d, err
	}
	path := b.Repository.FullName
	if path == "" && b.Repository.Name != "" {
		path = b.Repository.Namespace + "/" + b.Repository.Name
	}
	if path == "" {
		return d, fmt.Errorf("%w: repository.repo_full_name is missing", webhook.ErrBody)
	}
	host := ""
	if b.Repository.Region != "" {
		host = "registry." + b.Repository.Region + ".aliyuncs.com"
	}
	d.Timeless = b.PushData.PushedAt == ""
	image{
		provider: "aliyun-acr", host: host, path: strings.ToLower(path), tag: b.PushData.Tag, digest: b.PushData.Digest,
	}.add(&d, s)
	return d, nil
}
