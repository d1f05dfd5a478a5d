package provider

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/slipway-cd/slipway/shared/webhook"
)

// bitbucketCloud is bitbucket.org: HMAC-SHA256 under the name X-Hub-Signature.
var bitbucketCloud = webhook.Provider{
	Name:    "bitbucket-cloud",
	MaxBody: webhook.MiB,
	Verify: func(r webhook.Request, secrets []string) error {
		return webhook.HMACSHA256(r.Header, "X-Hub-Signature", "sha256=", r.Body, secrets)
	},
	Sign:  webhook.SignHMACSHA256("X-Hub-Signature", "sha256=", nil),
	Parse: parseBitbucketCloud,
	Setup: webhook.Setup{
		Where:  "Repository → Repository settings → Webhooks → Add webhook; URL /hooks/{source}.",
		Events: "Repository push. (A body of over 256 KB is never sent: the sweep finds it.)",
		Secret: "Secret: the source's secret.",
		Tried:  webhook.Captured,
	},
}

type bitbucketRef struct {
	Type   string `json:"type"`
	Name   string `json:"name"`
	Target struct {
		Hash string `json:"hash"`
	} `json:"target"`
}

func parseBitbucketCloud(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	d := webhook.Delivery{ID: r.Header.Get("X-Request-UUID")}
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	var b struct {
		Push *struct {
			Changes []struct {
				Old    *bitbucketRef `json:"old"`
				New    *bitbucketRef `json:"new"`
				Forced bool          `json:"forced"`
			} `json:"changes"`
		} `json:"push"`
		Repository *struct {
			FullName string `json:"full_name"`
		} `json:"repository"`
		Actor struct {
			Nickname string `json:"nickname"`
		} `json:"actor"`
	}
	if err := webhook.JSON(r.Body, &b); err != nil {
		return d, err
	}
	if r.Header.Get("X-Event-Key") != "repo:push" {
		d.Ignore("event is not repo:push")
		return d, nil
	}
	if b.Repository == nil || b.Repository.FullName == "" || b.Push == nil {
		return d, fmt.Errorf("%w: push or repository.full_name is missing", webhook.ErrBody)
	}
	if len(b.Push.Changes) == 0 {
		d.Ignore("changes is empty")
	}
	for _, c := range b.Push.Changes {
		m := moved{provider: "bitbucket-cloud", repository: "https://bitbucket.org/" + b.Repository.FullName, forced: c.Forced, pusher: b.Actor.Nickname}
		for _, side := range []struct {
			ref  *bitbucketRef
			into *string
		}{{c.Old, &m.before}, {c.New, &m.after}} {
			if side.ref == nil {
				continue
			}
			kind := side.ref.Type
			if kind == "annotated_tag" {
				kind = "tag"
			}
			*side.into, m.ref = side.ref.Target.Hash, fullRef(kind, side.ref.Name)
		}
		m.add(&d, s)
	}
	return d, nil
}

// bitbucketDatacenter is Bitbucket Data Center: the same header where a secret
// is set, else basic credentials.
var bitbucketDatacenter = webhook.Provider{
	Name:    "bitbucket-datacenter",
	MaxBody: webhook.MiB,
	Verify: func(r webhook.Request, secrets []string) error {
		if len(r.Header.Values("X-Hub-Signature")) == 0 && len(r.Header.Values("Authorization")) > 0 {
			return webhook.Authorization(r.Header, secrets)
		}
		return webhook.HMACSHA256(r.Header, "X-Hub-Signature", "sha256=", r.Body, secrets)
	},
	Sign:  webhook.SignHMACSHA256("X-Hub-Signature", "sha256=", nil),
	Parse: parseBitbucketDatacenter,
	Setup: webhook.Setup{
		Where:  "Repository or project → Settings → Webhooks → Create webhook; URL /hooks/{source}. Set host in the source's config where bodies have no clone links.",
		Events: "Repository: push (repo:refs_changed).",
		Secret: "Secret: the source's secret; or basic authentication with it as the password.",
		Tried:  webhook.Captured,
	},
}

type datacenterLink struct {
	Href string `json:"href"`
	Name string `json:"name"`
}

type datacenterPush struct {
	Test       bool         `json:"test"`
	Date       webhook.Time `json:"date"`
	Repository *struct {
		Slug    string `json:"slug"`
		Project struct {
			Key string `json:"key"`
		} `json:"project"`
		Links struct {
			Clone []datacenterLink `json:"clone"`
			Self  []datacenterLink `json:"self"`
		} `json:"links"`
	} `json:"repository"`
	Changes []struct {
		RefID string `json:"refId"`
		Ref   struct {
			ID string `json:"id"`
		} `json:"ref"`
		FromHash string `json:"fromHash"`
		ToHash   string `json:"toHash"`
	} `json:"changes"`
	Actor struct {
		Name string `json:"name"`
	} `json:"actor"`
}

func parseBitbucketDatacenter(r webhook.Request, s webhook.Source) (webhook.Delivery, error) {
	d := webhook.Delivery{ID: r.Header.Get("X-Request-Id")}
	if _, err := webhook.MediaType(r, "application/json"); err != nil {
		return d, err
	}
	var b datacenterPush
	if err := webhook.JSON(r.Body, &b); err != nil {
		return d, err
	}
	switch key := r.Header.Get("X-Event-Key"); {
	case b.Test || key == "diagnostics:ping":
		d.Ignore("a ping")
		return d, nil
	case key != "repo:refs_changed":
		d.Ignore("event is not repo:refs_changed")
		return d, nil
	case b.Repository == nil || b.Repository.Slug == "" || b.Repository.Project.Key == "":
		return d, fmt.Errorf("%w: repository.slug or repository.project.key is missing", webhook.ErrBody)
	case len(b.Changes) == 0:
		d.Ignore("changes is empty")
		return d, nil
	}
	address := b.address(s)
	if address == "" {
		d.Ignore("no host: set host in the source's config")
		return d, nil
	}
	for _, c := range b.Changes {
		ref := c.RefID
		if ref == "" {
			ref = c.Ref.ID
		}
		moved{
			provider: "bitbucket-datacenter", repository: address, ref: ref,
			before: c.FromHash, after: c.ToHash, pusher: b.Actor.Name, at: b.Date.Time,
		}.add(&d, s)
	}
	return d, nil
}

// address is where the repository is cloned: by its http link, by the host of
// its page, or by the config's host.
func (b datacenterPush) address(s webhook.Source) string {
	for _, l := range b.Repository.Links.Clone {
		if strings.HasPrefix(l.Name, "http") || strings.HasPrefix(l.Href, "http") {
			return l.Href
		}
	}
	host := s.Host
	for _, l := range b.Repository.Links.Self {
		if u, err := url.Parse(l.Href); err == nil && host == "" {
			host = u.Host
		}
	}
	if host == "" {
		return ""
	}
	return "https://" + host + "/scm/" + b.Repository.Project.Key + "/" + b.Repository.Slug
}
