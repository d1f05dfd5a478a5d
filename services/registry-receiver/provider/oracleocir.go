package provider

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// oracleOCIR is Oracle's container registry, by the Events service: CloudEvents
// 0.1, which have no specversion. Its Notifications carry no secret of ours
// but the address. (Docs: "Services that produce events".)
var oracleOCIR = webhook.Provider{
	Name:    "oracle-ocir",
	MaxBody: webhook.MiB,
	Verify: func(r webhook.Request, secrets []string) error {
		if r.TokenFits {
			return nil
		}
		return webhook.Authorization(r.Header, secrets)
	},
	Sign:  webhook.SignBasic,
	Parse: parseOracle,
	Setup: webhook.Setup{
		Where:  "Developer Services → Notifications → a topic with a subscription, HTTPS (custom URL) /hooks/{source}/{secret}, confirmed by opening the link that the console shows; then Events Service → Rules with that topic. The source needs registry: REGION.ocir.io.",
		Events: "Service Container Registry: Container Image - Upload, Container Image - Delete.",
		Secret: "The source's secret is the last part of the address; or the password of https://user:password@ in the URL.",
		Tried:  webhook.Documents,
	},
}

func parseOracle(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	var d webhook.Delivery
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	var b struct {
		EventType string `json:"eventType"`
		EventTime string `json:"eventTime"`
		EventID   string `json:"eventID"` // of any case: eventId in some
		Data      struct {
			ResourceName string `json:"resourceName"` // repository:tag
			Details      struct {
				Path   string `json:"path"` // namespace/repository
				Digest string `json:"digest"`
			} `json:"additionalDetails"`
		} `json:"data"`
	}
	if err := webhook.JSON(r.Body, &b); err != nil {
		return d, err
	}
	d.ID = b.EventID
	kind, ours := strings.CutPrefix(b.EventType, "com.oraclecloud.artifacts.")
	deleted := kind == "deletedockerimage"
	switch {
	case b.EventType == "":
		return d, fmt.Errorf("%w: eventType is missing", webhook.ErrBody)
	case !ours || !(deleted || kind == "uploaddockerimage"):
		d.Ignore("type %q", clip(b.EventType))
		return d, nil
	}
	name := splitReference("/" + b.Data.ResourceName)
	at := webhook.ParseTime(b.EventTime)
	d.Timeless = at.IsZero()
	image{
		provider: "oracle-ocir", path: cmp.Or(b.Data.Details.Path, name.path), tag: name.tag, digest: cmp.Or(b.Data.Details.Digest, name.digest),
		time: at, deleted: deleted,
	}.add(&d, s)
	return d, nil
}
