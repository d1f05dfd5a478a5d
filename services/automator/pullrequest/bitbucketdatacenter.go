package pullrequest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

// dataCenter speaks to Bitbucket Data Center, from 7.0 on, by its core REST
// API. It has no labels.
type dataCenter struct {
	c         *client
	key, slug string
	pulls     string // path
}

func newBitbucketDataCenter(c *client, r repository) (dialect, error) {
	if len(r) > 0 && r[0] == "scm" { // as addresses for HTTP have it, and those for SSH don't
		r = r[1:]
	}
	key, slug, err := r.two()
	if err != nil {
		return nil, err
	}
	c.headers.Set("X-Atlassian-Token", "no-check")
	return &dataCenter{c: c, key: key, slug: slug, pulls: escaped("projects", key, "repos", slug, "pull-requests")}, nil
}

type centerPull struct {
	ID          int64     `json:"id"`
	Version     int64     `json:"version"`
	State       string    `json:"state"`
	Title       string    `json:"title"`
	Description string    `json:"description"`
	From        centerEnd `json:"fromRef"`
	To          centerEnd `json:"toRef"`
	Reviewers   []struct {
		User struct {
			Name string `json:"name"`
		} `json:"user"`
	} `json:"reviewers"`
	Links struct {
		Self []struct {
			Href string `json:"href"`
		} `json:"self"`
	} `json:"links"`
	Properties struct {
		Merge struct {
			ID string `json:"id"`
		} `json:"mergeCommit"`
	} `json:"properties"`
}

type centerEnd struct {
	DisplayID  string `json:"displayId"`
	Commit     string `json:"latestCommit"`
	Repository struct {
		ID int64 `json:"id"`
	} `json:"repository"`
}

func (b centerPull) pull() (pull, error) {
	p := pull{
		PR: PR{
			Number: b.ID, Base: b.To.DisplayID, Head: b.From.DisplayID, Commit: b.From.Commit, Title: b.Title, Body: b.Description,
		},
		version: b.Version, fork: b.From.Repository.ID != b.To.Repository.ID,
	}
	if len(b.Links.Self) > 0 {
		p.URL = b.Links.Self[0].Href
	}
	for _, r := range b.Reviewers {
		p.reviewers = append(p.reviewers, r.User.Name)
	}
	switch b.State {
	case "OPEN":
		p.State = Open
	case "DECLINED":
		p.State = Closed
	case "MERGED":
		p.State, p.Merge = Merged, b.Properties.Merge.ID
	default:
		return p, unknownState(b.State)
	}
	return p, p.complete()
}

func (b *dataCenter) list(ctx context.Context, _, head string, state State) ([]pull, error) {
	q := url.Values{
		"direction": {"OUTGOING"}, "at": {"refs/heads/" + head}, "state": {"ALL"}, "order": {"NEWEST"}, "limit": {"100"},
	}
	if state == Open {
		q.Set("state", "OPEN")
	}
	var page struct {
		Values []centerPull `json:"values"`
	}
	if err := b.c.call(ctx, http.MethodGet, b.pulls, q, nil, &page); err != nil {
		return nil, err
	}
	return pulls(page.Values)
}

func (b *dataCenter) get(ctx context.Context, n int64) (pull, error) {
	var p centerPull
	if err := b.c.call(ctx, http.MethodGet, b.pulls+"/"+number(n), nil, nil, &p); err != nil {
		return pull{}, err
	}
	return p.pull()
}

func (b *dataCenter) create(ctx context.Context, r Request) (pull, error) {
	ref := func(branch string) map[string]any {
		return map[string]any{
			"id":         "refs/heads/" + branch,
			"repository": map[string]any{"slug": b.slug, "project": map[string]any{"key": b.key}},
		}
	}
	var made centerPull
	err := b.c.call(ctx, http.MethodPost, b.pulls, nil, map[string]any{
		"title": r.Title, "description": r.Body, "fromRef": ref(r.Head), "toRef": ref(r.Base),
	}, &made)
	if err != nil {
		return pull{}, err
	}
	return made.pull()
}

// tries is how often to ask again when somebody else changed a pull request
// at that moment: every change must name the version that it is for.
const tries = 3

// versioned has do change the pull request as it is now.
func (b *dataCenter) versioned(ctx context.Context, p pull, do func(pull) error) error {
	var err error
	for range tries {
		err = do(p)
		if fault, ok := errors.AsType[*StatusError](err); !ok || fault.Status != http.StatusConflict {
			return err
		}
		now, getErr := b.get(ctx, p.Number)
		if getErr != nil {
			return getErr
		}
		if now.version == p.version || now.State != Open {
			return err // refused for another reason
		}
		p = now
	}
	return err
}

// edit sends the reviewers back: what isn't sent is dropped.
func (b *dataCenter) edit(ctx context.Context, p pull, r Request) error {
	if same(p.Title, r.Title) && same(p.Body, r.Body) {
		return nil
	}
	return b.versioned(ctx, p, func(p pull) error {
		reviewers := []map[string]any{}
		for _, name := range p.reviewers {
			reviewers = append(reviewers, map[string]any{"user": map[string]any{"name": name}})
		}
		return b.c.call(ctx, http.MethodPut, b.pulls+"/"+number(p.Number), nil, map[string]any{
			"version": p.version, "title": r.Title, "description": r.Body, "reviewers": reviewers,
		}, nil)
	})
}

func (b *dataCenter) close(ctx context.Context, p pull, comment string) error {
	if comment != "" {
		err := b.c.call(ctx, http.MethodPost, b.pulls+"/"+number(p.Number)+"/comments", nil, map[string]any{"text": comment}, nil)
		if err != nil {
			return err
		}
	}
	return b.versioned(ctx, p, func(p pull) error {
		q := url.Values{"version": {number(p.version)}}
		return b.c.call(ctx, http.MethodPost, b.pulls+"/"+number(p.Number)+"/decline", q, map[string]any{}, nil)
	})
}
