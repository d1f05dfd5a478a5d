package provider

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// artifactory is JFrog Artifactory: one header holds the secret itself or,
// where the source says signature: hmac, the body's HMAC-SHA256. (Docs:
// "Webhooks", predefined Docker events.)
var artifactory = webhook.Provider{
	Name:    "artifactory",
	MaxBody: webhook.MiB,
	Prove: func(_ context.Context, r webhook.Request, s webhook.Source) error {
		if s.Config.Signature == "hmac" {
			return webhook.HMACSHA256(r.Header, "X-Jfrog-Event-Auth", "", r.Body, s.Secrets)
		}
		return webhook.FixedHeader(r.Header, "X-Jfrog-Event-Auth", s.Secrets)
	},
	Check:  checkArtifactory,
	Sign:   webhook.SignFixed("X-JFrog-Event-Auth", ""),
	SignBy: signArtifactory,
	Parse:  parseArtifactory,
	Setup: webhook.Setup{
		Where:  "Administration → General → Webhooks → New Webhook; URL /hooks/{source}. The source needs registry: the host as images name it. Where that is the repository's own subdomain (docker-local.example.com), names are without the repository.",
		Events: "Docker: Tag was pushed, Tag was deleted, Tag was promoted.",
		Secret: "Secret token: the source's secret; with \"Use secret for payload signing\" the source says signature: hmac.",
		Tried:  webhook.Documents,
	},
}

func checkArtifactory(s service.Source) error {
	if s.Signature != "" && s.Signature != "hmac" {
		return fmt.Errorf("signature: %q is neither hmac nor left out", s.Signature)
	}
	return nil
}

func signArtifactory(s service.Source, _ http.Header) (webhook.Signer, error) {
	if err := checkArtifactory(s); err != nil {
		return nil, fmt.Errorf("%w: %w", webhook.ErrCannotSign, err)
	}
	switch {
	case s.Header != "":
		return nil, fmt.Errorf("%w: Artifactory's header is always X-JFrog-Event-Auth", webhook.ErrCannotSign)
	case s.Signature == "hmac":
		return webhook.SignHMACSHA256("X-JFrog-Event-Auth", "", nil), nil
	}
	return nil, nil
}

func parseArtifactory(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	d := webhook.Delivery{Timeless: true}
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	var b struct {
		Domain    string `json:"domain"`
		EventType string `json:"event_type"`
		Origin    string `json:"jpd_origin"` // only with a custom base URL
		Source    string `json:"source"`
		Data      struct {
			RepoKey   string `json:"repo_key"`
			ImageName string `json:"image_name"`
			Tag       string `json:"tag"`
			SHA256    string `json:"sha256"`
		} `json:"data"`
	}
	if err := webhook.JSON(r.Body, &b); err != nil {
		return d, err
	}
	switch {
	case b.Domain == "":
		return d, fmt.Errorf("%w: domain is missing", webhook.ErrBody)
	case b.Domain != "docker" || !slices.Contains([]string{"pushed", "deleted", "promoted"}, b.EventType):
		d.Ignore("%q of domain %q", clip(b.EventType), clip(b.Domain))
		return d, nil
	case b.Data.ImageName == "":
		return d, fmt.Errorf("%w: data.image_name is missing", webhook.ErrBody)
	}
	host := s.Host
	if host == "" {
		host = hostOf(b.Origin)
	}
	path := b.Data.ImageName
	if !strings.HasPrefix(host, b.Data.RepoKey+".") {
		path = b.Data.RepoKey + "/" + path
	}
	image{
		provider: "artifactory", host: host, path: path, tag: b.Data.Tag, digest: "sha256:" + b.Data.SHA256,
		pusher: b.Source, deleted: b.EventType == "deleted",
	}.add(&d, s)
	return d, nil
}
