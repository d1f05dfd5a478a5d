package provider

import (
	"fmt"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// readDelete reads Gitea's delete event, the only one for a branch that is
// gone; for a tag there is a push as well.
func readDelete(body []byte, d *webhook.Delivery, s webhook.Source, provider string) error {
	var b struct {
		Ref        string `json:"ref"`
		RefType    string `json:"ref_type"`
		Repository *struct {
			CloneURL string `json:"clone_url"`
		} `json:"repository"`
		Sender struct {
			Login string `json:"login"`
		} `json:"sender"`
	}
	if err := webhook.JSON(body, &b); err != nil {
		return err
	}
	ref := fullRef(b.RefType, b.Ref)
	switch {
	case b.Repository == nil || b.Repository.CloneURL == "":
		return fmt.Errorf("%w: repository.clone_url is missing", webhook.ErrBody)
	case b.RefType != "branch":
		d.Ignore("delete of what is no branch; its push tells")
		return nil
	case !events.ValidRef(ref):
		d.Ignore("ref is not in Git's grammar")
		return nil
	}
	repo, ok := d.GitRepository(s, b.Repository.CloneURL)
	if !ok {
		return nil
	}
	d.Items = append(d.Items, webhook.Item{Payload: events.RefUpdated{
		Repository: repo, Ref: ref, Provider: provider, Source: s.Name, DeliveryID: d.ID, Pusher: b.Sender.Login,
	}})
	return nil
}
