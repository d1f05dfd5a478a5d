package provider

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// ecr is Amazon ECR by an EventBridge API destination: the API key, basic
// credentials or bearer token of its connection. (By SNS it is aws-sns. Docs:
// "Amazon ECR events and EventBridge".)
var ecr = webhook.Provider{
	Name:    "ecr",
	MaxBody: webhook.MiB,
	Prove: func(_ context.Context, r webhook.Request, s webhook.Source) error {
		if s.Config.Header == "" && len(r.Header.Values("X-Api-Key")) > 0 {
			return webhook.FixedHeader(r.Header, "X-Api-Key", s.Secrets)
		}
		return byHeader(r, s)
	},
	Sign:   webhook.SignFixed("X-Api-Key", ""),
	SignBy: webhook.SignHeader,
	Parse: func(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
		var d webhook.Delivery
		if _, err := webhook.MediaType(r, "application/json"); err != nil {
			return d, err
		}
		err := parseECR(r.Body, &d, s, "ecr")
		return d, err
	},
	Setup: webhook.Setup{
		Where: "EventBridge → API destinations → Create; endpoint https://YOUR-RECEIVER/hooks/{source}, method POST; then, on the default bus of each region, a rule with the event pattern " +
			"{\"source\": [\"aws.ecr\"], \"detail-type\": [\"ECR Image Action\", …]} and that target: no input transformer, a retry policy and a dead-letter queue.",
		Events: "Detail types ECR Image Action, ECR Replication Action and ECR Pull Through Cache Action.",
		Secret: "Connection: API key with key name X-Api-Key and the source's secret as value, or basic with it as password.",
		Tried:  webhook.Documents,
	},
}

type ecrEvent struct {
	ID         string `json:"id"`
	Source     string `json:"source"`
	DetailType string `json:"detail-type"`
	Account    string `json:"account"`
	Region     string `json:"region"`
	Time       string `json:"time"`
	Detail     struct {
		Result     string `json:"result"`
		SyncStatus string `json:"sync-status"`
		Action     string `json:"action-type"`
		Repository string `json:"repository-name"`
		Tag        string `json:"image-tag"`
		Digest     string `json:"image-digest"`
		MediaType  string `json:"manifest-media-type"`
	} `json:"detail"`
}

// parseECR reads an event of EventBridge.
func parseECR(body []byte, d *webhook.Delivery, s webhook.Source, provider string) error {
	var e ecrEvent
	if err := webhook.JSON(body, &e); err != nil {
		return err
	}
	if e.DetailType == "" {
		return fmt.Errorf("%w: detail-type is missing", webhook.ErrBody)
	}
	if d.ID == "" {
		d.ID = e.ID
	}
	published := false
	switch action := e.Detail.Action; e.DetailType {
	case "ECR Image Action":
		published = action == "PUSH"
		if !published && action != "DELETE" {
			d.Ignore("action %q", clip(action))
			return nil
		}
	case "ECR Replication Action":
		published = true
	case "ECR Pull Through Cache Action":
		published, e.Detail.Result = true, e.Detail.SyncStatus
	default:
		d.Ignore("detail-type %q", clip(e.DetailType))
		return nil
	}
	if e.Source != "aws.ecr" || e.Detail.Result != "SUCCESS" {
		d.Ignore("no success of ECR")
		return nil
	}
	image{
		provider: provider, host: e.host(), path: e.Detail.Repository, tag: e.Detail.Tag, digest: e.Detail.Digest,
		mediaType: e.Detail.MediaType, delivery: e.ID, time: webhook.ParseTime(e.Time), deleted: !published,
	}.add(d, s)
	return nil
}

// host is where the account's images of the region are; the body has no host.
func (e ecrEvent) host() string {
	if e.Account == "" || e.Region == "" {
		return ""
	}
	host := e.Account + ".dkr.ecr." + e.Region + ".amazonaws.com"
	if strings.HasPrefix(e.Region, "cn-") {
		host += ".cn"
	}
	return host
}
