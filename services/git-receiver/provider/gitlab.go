package provider

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// gitlab is GitLab's project, group and system hooks: the secret itself in
// X-Gitlab-Token, or a Standard Webhooks signature where the request has one.
// Four failures in a row switch a hook off, so what is of no interest, and
// what can't be read, is answered 2xx.
var gitlab = webhook.Provider{
	Name:    "gitlab",
	MaxBody: 25 * webhook.MiB,
	Blocks:  true,
	Verify: func(r webhook.Request, secrets []string) error {
		if r.Header.Get("Webhook-Signature") != "" {
			return webhook.StandardWebhooks(r, secrets, webhook.Now())
		}
		return webhook.FixedHeader(r.Header, "X-Gitlab-Token", secrets)
	},
	Sign:  webhook.SignFixed("X-Gitlab-Token", ""),
	Parse: parseGitlab,
	Wants: func(h http.Header) bool { return h.Get("X-Gitlab-Event") != "" },
	Setup: webhook.Setup{
		Where:  "Project or group → Settings → Webhooks → Add new webhook; URL /hooks/{source}. (Administrators: Admin → System hooks.)",
		Events: "Push events and Tag push events; for system hooks also Repository update events, which tell of pushes of more than three refs.",
		Secret: "Secret token: the source's secret.",
		Tried:  webhook.Captured,
	},
}

// gitlabPush is a push, a tag push or a repository update.
type gitlabPush struct {
	ObjectKind string `json:"object_kind"`
	EventName  string `json:"event_name"`
	gitlabRef
	Project *struct {
		HTTPURL string `json:"git_http_url"`
	} `json:"project"`
	Repository *struct {
		HTTPURL string `json:"git_http_url"`
	} `json:"repository"`
	Username string      `json:"user_username"`
	Changes  []gitlabRef `json:"changes"`
}

type gitlabRef struct {
	Ref    string `json:"ref"`
	Before string `json:"before"`
	After  string `json:"after"`
}

func parseGitlab(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	d := webhook.Delivery{ID: cmp.Or(r.Header.Get("Idempotency-Key"), r.Header.Get("Webhook-Id"))}
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	var p gitlabPush
	if err := webhook.JSON(r.Body, &p); err != nil {
		return d, err
	}
	kind := cmp.Or(p.ObjectKind, p.EventName)
	if !slices.Contains([]string{"push", "tag_push", "repository_update"}, kind) {
		if kind == "" {
			return d, fmt.Errorf("%w: object_kind is missing", webhook.ErrBody)
		}
		d.Ignore("event is neither a push nor a tag push")
		return d, nil
	}
	address := ""
	switch {
	case p.Project != nil:
		address = p.Project.HTTPURL
	case p.Repository != nil:
		address = p.Repository.HTTPURL
	}
	if address == "" {
		return d, fmt.Errorf("%w: project.git_http_url is missing", webhook.ErrBody)
	}
	refs := p.Changes
	if kind != "repository_update" {
		refs = []gitlabRef{p.gitlabRef}
	}
	for _, ref := range refs {
		if ref.Ref == "" {
			return d, fmt.Errorf("%w: ref is missing", webhook.ErrBody)
		}
		moved{provider: "gitlab", repository: address, ref: ref.Ref, before: ref.Before, after: ref.After, pusher: p.Username}.add(&d, s)
	}
	return d, nil
}
