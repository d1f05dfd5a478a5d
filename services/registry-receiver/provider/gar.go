package provider

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// gar is Google Artifact Registry and Container Registry, by a Pub/Sub push
// subscription with its OIDC token, wrapped or unwrapped. Pub/Sub sends again
// for days what isn't taken. (Docs: "Configure Pub/Sub notifications",
// "Authenticate push subscriptions".)
var gar = webhook.Provider{
	Name:      "gar",
	MaxBody:   webhook.MiB,
	Blocks:    true,
	NoSecrets: true,
	Prove: func(ctx context.Context, r webhook.Request, s webhook.Source) error {
		if s.Config.OIDC == nil {
			return webhook.Token(r)
		}
		want := *s.Config.OIDC
		want.Issuer = cmp.Or(want.Issuer, googleIssuer)
		return identity(ctx, r, want)
	},
	Check: func(s service.Source) error {
		switch {
		case s.OIDC != nil:
			want := *s.OIDC
			want.Issuer = cmp.Or(want.Issuer, googleIssuer)
			return checkOIDC(want)
		case !hasProof(s):
			return errors.New("oidc: say audience and email of the push subscription's tokens")
		}
		return nil
	},
	SignURL: webhook.SignPath,
	Parse:   parseGAR,
	Setup: webhook.Setup{
		Where: "Pub/Sub: a topic named gcr in the registry's project, and on it a push subscription with endpoint /hooks/{source} and a dead-letter topic: " +
			"gcloud pubsub topics create gcr; gcloud pubsub subscriptions create slipway --topic=gcr --push-endpoint=https://YOUR-RECEIVER/hooks/{source} " +
			"--push-auth-service-account=ACCOUNT@PROJECT.iam.gserviceaccount.com --dead-letter-topic=TOPIC.",
		Events: "All; the topic has nothing but the registry's.",
		Secret: "Enable authentication with a service account of its own; the source's oidc has that account as email and the subscription's audience (its push URL unless set). Without it the subscription proves nothing: /hooks/{source}/{secret}.",
		Tried:  webhook.Documents,
	},
}

const googleIssuer = "https://accounts.google.com"

// garMessage is what the registry says: references, with a scheme never.
type garMessage struct {
	Action string `json:"action"`
	Digest string `json:"digest"` // host/path@sha256:…
	Tag    string `json:"tag"`    // host/path:tag
}

func parseGAR(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	d := webhook.Delivery{ID: r.Header.Get("X-Goog-Pubsub-Message-Id")}
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	var b struct {
		garMessage
		Message *struct {
			Data        string `json:"data"`
			MessageID   string `json:"messageId"`
			PublishTime string `json:"publishTime"`
		} `json:"message"`
	}
	if err := webhook.JSON(r.Body, &b); err != nil {
		return d, err
	}
	m, at := b.garMessage, webhook.ParseTime(r.Header.Get("X-Goog-Pubsub-Publish-Time"))
	if b.Message != nil {
		data, err := base64.StdEncoding.DecodeString(b.Message.Data)
		if err != nil {
			return d, fmt.Errorf("%w: message.data is not base64", webhook.ErrBody)
		}
		m, at, d.ID = garMessage{}, webhook.ParseTime(b.Message.PublishTime), cmp.Or(b.Message.MessageID, d.ID)
		if err := webhook.JSON(data, &m); err != nil {
			return d, fmt.Errorf("message.data: %w", err)
		}
	}
	d.Timeless = at.IsZero()
	switch {
	case m.Action == "":
		return d, fmt.Errorf("%w: action is missing", webhook.ErrBody)
	case m.Action != "INSERT" && m.Action != "DELETE":
		d.Ignore("action %q", clip(m.Action))
		return d, nil
	case m.Tag == "" && m.Digest == "":
		return d, fmt.Errorf("%w: neither tag nor digest is there", webhook.ErrBody)
	}
	i := splitReference(cmp.Or(m.Tag, m.Digest))
	i.digest = cmp.Or(i.digest, splitReference(m.Digest).digest)
	// An old project of a domain, example.com:project, is a path.
	i.path = strings.ReplaceAll(i.path, ":", "/")
	i.provider, i.time, i.deleted = "gar", at, m.Action == "DELETE"
	i.add(&d, s)
	return d, nil
}
