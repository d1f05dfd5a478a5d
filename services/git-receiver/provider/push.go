package provider

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/webhook"
)

// push is the body of a push event, as GitHub made it and Gitea, Forgejo and
// Gogs follow it.
type push struct {
	Ref        string `json:"ref"`
	Before     string `json:"before"`
	After      string `json:"after"`
	Created    bool   `json:"created"`
	Forced     *bool  `json:"forced"` // Gitea doesn't tell
	Repository *struct {
		FullName string `json:"full_name"`
		CloneURL string `json:"clone_url"`
		// PushedAt is GitHub's alone.
		PushedAt webhook.Time `json:"pushed_at"`
	} `json:"repository"`
	Pusher struct {
		Name  string `json:"name"`
		Login string `json:"login"`
	} `json:"pusher"`
	Commits []struct {
		ID       string   `json:"id"`
		Distinct *bool    `json:"distinct"`
		Added    []string `json:"added"`
		Removed  []string `json:"removed"`
		Modified []string `json:"modified"`
	} `json:"commits"`
	TotalCommits *int `json:"total_commits"`
}

// read turns a push into an event.
func (p push) read(d *webhook.Delivery, s webhook.Source, provider string) error {
	switch {
	case p.Repository == nil || p.Repository.CloneURL == "":
		return fmt.Errorf("%w: repository.clone_url is missing", webhook.ErrBody)
	case p.Ref == "":
		return fmt.Errorf("%w: ref is missing", webhook.ErrBody)
	case !events.ValidRef(p.Ref):
		d.Ignore("ref is not in Git's grammar")
		return nil
	case !events.ValidObjectID(p.Before) || !events.ValidObjectID(p.After):
		return fmt.Errorf("%w: before and after must be object ids", webhook.ErrBody)
	case p.Before == p.After:
		d.Ignore("nothing moved: before equals after")
		return nil
	}
	repo, ok := d.GitRepository(s, p.Repository.CloneURL)
	if !ok {
		return nil
	}
	d.Items = append(d.Items, webhook.Item{Time: p.Repository.PushedAt.Time, Payload: events.RefUpdated{
		Repository: repo, Ref: p.Ref, Before: webhook.ObjectID(p.Before), After: webhook.ObjectID(p.After), Forced: p.Forced != nil && *p.Forced,
		Provider: provider, Source: s.Name, DeliveryID: d.ID, Pusher: cmp.Or(p.Pusher.Login, p.Pusher.Name),
		ChangedFiles: p.changedFiles(),
	}})
	return nil
}

// changedFiles are the paths of the push, nil unless the list is known to be
// complete: the host says that it wasn't forced, since a forced push lists
// nothing of what vanished, counts the commits and shows all of them.
func (p push) changedFiles() []string {
	if p.Forced == nil || *p.Forced || p.Created || p.TotalCommits == nil || *p.TotalCommits != len(p.Commits) ||
		webhook.ObjectID(p.Before) == "" || webhook.ObjectID(p.After) == "" || len(p.Commits) == 0 {
		return nil
	}
	var files []string
	for _, c := range p.Commits {
		files = append(files, slices.Concat(c.Added, c.Removed, c.Modified)...)
	}
	slices.Sort(files)
	return slices.Compact(files)
}
