package provider

import (
	"fmt"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// azureDevops is Azure DevOps' service hooks: basic credentials, or a header
// that the user adds; nothing is signed.
var azureDevops = webhook.Provider{
	Name:    "azure-devops",
	MaxBody: webhook.MiB,
	Verify:  func(r webhook.Request, secrets []string) error { return webhook.Authorization(r.Header, secrets) },
	Sign:    webhook.SignBasic,
	Parse:   parseAzureDevops,
	Setup: webhook.Setup{
		Where:  "Project settings → Service hooks → Create subscription → Web Hooks; URL /hooks/{source}, resource details to send: all.",
		Events: "Code pushed.",
		Secret: "Basic authentication password: the source's secret, with any user name.",
		Tried:  webhook.Captured,
	},
}

func parseAzureDevops(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	var d webhook.Delivery
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	var b struct {
		ID        string `json:"id"`
		EventType string `json:"eventType"`
		Resource  struct {
			RefUpdates []struct {
				Name        string `json:"name"`
				OldObjectID string `json:"oldObjectId"`
				NewObjectID string `json:"newObjectId"`
			} `json:"refUpdates"`
			Repository *struct {
				RemoteURL string `json:"remoteUrl"`
			} `json:"repository"`
			Date     webhook.Time `json:"date"`
			PushedBy struct {
				UniqueName string `json:"uniqueName"`
			} `json:"pushedBy"`
		} `json:"resource"`
	}
	if err := webhook.JSON(r.Body, &b); err != nil {
		return d, err
	}
	d.ID = b.ID
	switch {
	case b.EventType == "":
		return d, fmt.Errorf("%w: eventType is missing", webhook.ErrBody)
	case b.EventType != "git.push":
		d.Ignore("event is not git.push")
		return d, nil
	case b.Resource.Repository == nil || b.Resource.Repository.RemoteURL == "":
		d.Ignore("no repository: choose resource details to send: all")
		return d, nil
	}
	for _, u := range b.Resource.RefUpdates {
		moved{
			provider: "azure-devops", repository: b.Resource.Repository.RemoteURL, ref: u.Name,
			before: u.OldObjectID, after: u.NewObjectID, pusher: b.Resource.PushedBy.UniqueName, at: b.Resource.Date.Time,
		}.add(&d, s)
	}
	return d, nil
}
