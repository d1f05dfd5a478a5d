package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// azureEventgrid is Azure Container Registry by Event Grid, in its own schema
// (always a list) and as CloudEvents, one or a batch. The proof is an Entra ID
// token, a secret in the query (?code=), or a header. Event Grid drops what
// gets a 4xx. (Docs: "Azure Container Registry as an Event Grid source",
// "Endpoint validation".)
var azureEventgrid = webhook.Provider{
	Name:      "azure-eventgrid",
	MaxBody:   2 * webhook.MiB,
	Blocks:    true,
	NoSecrets: true,
	Prove:     proveEventgrid,
	Check: func(s service.Source) error {
		switch {
		case s.OIDC != nil:
			return checkOIDC(*s.OIDC)
		case !hasProof(s):
			return errors.New("secrets: name the secret of ?code=, or say oidc: issuer, audience and subject of Event Grid's tokens")
		}
		return nil
	},
	SignBy:  webhook.SignHeader,
	SignURL: webhook.SignQuery("code"),
	Options: eventgridHandshake,
	Parse:   parseEventgrid,
	Setup: webhook.Setup{
		Where: "Registry → Events → Event Subscription; endpoint type Web Hook, /hooks/{source}?code={secret}; either schema; dead-lettering on. Or: " +
			"az eventgrid event-subscription create --name slipway --source-resource-id REGISTRY'S-ID --endpoint 'https://YOUR-RECEIVER/hooks/{source}?code={secret}' " +
			"--included-event-types Microsoft.ContainerRegistry.ImagePushed Microsoft.ContainerRegistry.ImageDeleted.",
		Events: "Image pushed and Image deleted.",
		Secret: "The source's secret as code in the query; or a delivery property (header) that the source's header names; or Microsoft Entra ID, with oidc: issuer (https://sts.windows.net/TENANT/), audience and subject (the application).",
		Tried:  webhook.Documents,
	},
}

func proveEventgrid(ctx context.Context, r webhook.Request, s webhook.Source) error {
	if s.Config.OIDC != nil {
		return identity(ctx, r, *s.Config.OIDC)
	}
	if codes := r.Query["code"]; len(codes) > 0 {
		return proveCode(codes, s.Secrets)
	}
	if r.TokenFits {
		return nil
	}
	return byHeader(r, s)
}

func proveCode(codes, secrets []string) error {
	if webhook.FixedHeader(http.Header{"Code": codes}, "Code", secrets) != nil {
		return fmt.Errorf("%w: code in the query is another", webhook.ErrProof)
	}
	return nil
}

// eventgridOrigin is whose handshake is answered.
const eventgridOrigin = "eventgrid.azure.net"

// eventgridHandshake lets Event Grid, and nobody else, send CloudEvents.
func eventgridHandshake(r webhook.Request, s webhook.Source) webhook.Reply {
	codes := r.Query["code"]
	if r.Header.Get("WebHook-Request-Origin") != eventgridOrigin || (len(codes) > 0 && proveCode(codes, s.Secrets) != nil) {
		return webhook.Reply{Status: http.StatusForbidden}
	}
	return webhook.Reply{Status: http.StatusOK, Header: map[string]string{
		"WebHook-Allowed-Origin": eventgridOrigin, "WebHook-Allowed-Rate": "*",
	}}
}

// eventgridEvent is an event of either schema.
type eventgridEvent struct {
	ID        string `json:"id"`
	EventType string `json:"eventType"`
	Type      string `json:"type"`
	Data      struct {
		acrEvent
		ValidationCode string `json:"validationCode"`
	} `json:"data"`
}

func parseEventgrid(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	var d webhook.Delivery
	if _, err := webhook.MediaType(r, "application/json", "application/cloudevents+json", "application/cloudevents-batch+json"); err != nil {
		return d, err
	}
	var all []eventgridEvent
	var err error
	if webhook.IsList(r.Body) {
		err = webhook.JSONList(r.Body, &all)
	} else {
		all = make([]eventgridEvent, 1)
		err = webhook.JSON(r.Body, &all[0])
	}
	if err != nil {
		return d, err
	}
	var ids []string
	for _, e := range all {
		if e.EventType == "" && e.Type == "" {
			return d, fmt.Errorf("%w: eventType is missing", webhook.ErrBody)
		}
		ids = append(ids, e.ID)
		e.read(&d, s)
	}
	d.ID = strings.Join(ids, " ")
	return d, nil
}

func (e eventgridEvent) read(d *webhook.Delivery, s webhook.Source) {
	kind := e.EventType + e.Type
	if kind == "Microsoft.EventGrid.SubscriptionValidationEvent" && e.Data.ValidationCode != "" {
		// validationUrl is for a person: it is not called.
		d.Reply = &webhook.Reply{Status: http.StatusOK, Body: map[string]string{"validationResponse": e.Data.ValidationCode}}
		return
	}
	switch strings.TrimPrefix(kind, "Microsoft.ContainerRegistry.") {
	case "ImagePushed":
		e.Data.Action = "push"
	case "ImageDeleted":
		e.Data.Action = "delete"
	default:
		d.Ignore("type %q", clip(kind))
		return
	}
	e.Data.read(d, s, "azure-eventgrid", e.ID)
}
