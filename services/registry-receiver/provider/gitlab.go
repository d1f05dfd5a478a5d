package provider

import (
	"net/http"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// gitlab is the registry of a GitLab that one runs oneself: a fork of
// Distribution with its notifications. (GitLab's own hooks tell nothing of
// images; the git-receiver has those.)
var gitlab = webhook.Provider{
	Name:    "gitlab",
	MaxBody: distribution.MaxBody,
	Blocks:  true,
	Verify:  distribution.Verify,
	Sign:    distribution.Sign,
	Parse: func(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
		return parseNotifications(r, s, "gitlab")
	},
	Wants: func(h http.Header) bool { return h.Get("X-Gitlab-Event") == "" },
	Setup: webhook.Setup{
		Where: "Self-managed only: /etc/gitlab/gitlab.rb, registry['notifications'] = [{'name' => 'slipway', 'url' => 'https://YOUR-RECEIVER/hooks/{source}', 'timeout' => '5s', " +
			"'threshold' => 5, 'backoff' => '10s', 'headers' => {…}}]; then gitlab-ctl reconfigure. GitLab.com has none: let the CI job call a source of provider generic, " +
			"as services/registry-receiver/RECIPES.md shows.",
		Events: "All: pulls and layers are left out here.",
		Secret: "In that endpoint: 'headers' => {'Authorization' => ['Bearer SECRET']}.",
		Tried:  webhook.Documents,
	},
}
