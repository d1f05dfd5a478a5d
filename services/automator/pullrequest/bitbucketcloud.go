package pullrequest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// bitbucketCloud speaks to bitbucket.org by version 2.0 of its API. It has no
// labels.
type bitbucketCloud struct {
	c     *client
	pulls string // path
}

func newBitbucketCloud(c *client, r repository) (dialect, error) {
	workspace, slug, err := r.two()
	if err != nil {
		return nil, err
	}
	return &bitbucketCloud{c: c, pulls: escaped("repositories", workspace, slug, "pullrequests")}, nil
}

type cloudPull struct {
	ID          int64    `json:"id"`
	State       string   `json:"state"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Source      cloudEnd `json:"source"`
	Destination cloudEnd `json:"destination"`
	Merge       *struct {
		Hash string `json:"hash"`
	} `json:"merge_commit"`
	Reviewers []struct {
		UUID string `json:"uuid"`
	} `json:"reviewers"`
	Links struct {
		HTML struct {
			Href string `json:"href"`
		} `json:"html"`
	} `json:"links"`
}

type cloudEnd struct {
	Branch struct {
		Name string `json:"name"`
	} `json:"branch"`
	Commit *struct {
		Hash string `json:"hash"`
	} `json:"commit"`
	Repository *struct {
		FullName string `json:"full_name"`
	} `json:"repository"` // null when a fork was deleted
}

func (b cloudPull) pull() (pull, error) {
	p := pull{PR: PR{
		Number: b.ID, URL: b.Links.HTML.Href, Base: b.Destination.Branch.Name, Head: b.Source.Branch.Name,
		Title: b.Title, Body: b.Description,
	}}
	if b.Source.Commit != nil {
		p.Commit = b.Source.Commit.Hash
	}
	p.fork = b.Source.Repository == nil || b.Destination.Repository == nil ||
		b.Source.Repository.FullName != b.Destination.Repository.FullName
	for _, r := range b.Reviewers {
		p.reviewers = append(p.reviewers, r.UUID)
	}
	switch b.State {
	case "OPEN":
		p.State = Open
	case "DECLINED", "SUPERSEDED":
		p.State = Closed
	case "MERGED":
		p.State = Merged
		if b.Merge != nil {
			p.Merge = b.Merge.Hash
		}
	default:
		return p, unknownState(b.State)
	}
	return p, p.complete()
}

// quote writes a string of Bitbucket's query language.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func (b *bitbucketCloud) list(ctx context.Context, base, head string, state State) ([]pull, error) {
	q := url.Values{
		"q":     {fmt.Sprintf("source.branch.name = %s AND destination.branch.name = %s", quote(head), quote(base))},
		"state": {"OPEN", "MERGED", "DECLINED", "SUPERSEDED"},
		"sort":  {"-created_on"}, "pagelen": {"50"},
	}
	if state == Open {
		q["state"] = []string{"OPEN"}
	}
	var page struct {
		Values []cloudPull `json:"values"`
	}
	if err := b.c.call(ctx, http.MethodGet, b.pulls, q, nil, &page); err != nil {
		return nil, err
	}
	return pulls(page.Values)
}

func (b *bitbucketCloud) get(ctx context.Context, n int64) (pull, error) {
	var p cloudPull
	if err := b.c.call(ctx, http.MethodGet, b.pulls+"/"+number(n), nil, nil, &p); err != nil {
		return pull{}, err
	}
	return p.pull()
}

func (b *bitbucketCloud) create(ctx context.Context, r Request) (pull, error) {
	branch := func(name string) map[string]any { return map[string]any{"branch": map[string]any{"name": name}} }
	var made cloudPull
	err := b.c.call(ctx, http.MethodPost, b.pulls, nil, map[string]any{
		"title": r.Title, "description": r.Body, "source": branch(r.Head), "destination": branch(r.Base),
		"close_source_branch": true,
	}, &made)
	if err != nil {
		return pull{}, err
	}
	return made.pull()
}

// edit sends the reviewers back: a list, which pull requests have, doesn't
// tell them, and what isn't sent may be dropped.
func (b *bitbucketCloud) edit(ctx context.Context, p pull, r Request) error {
	if same(p.Title, r.Title) && same(p.Body, r.Body) {
		return nil
	}
	whole, err := b.get(ctx, p.Number)
	if err != nil {
		return err
	}
	reviewers := []map[string]any{}
	for _, uuid := range whole.reviewers {
		reviewers = append(reviewers, map[string]any{"uuid": uuid})
	}
	return b.c.call(ctx, http.MethodPut, b.pulls+"/"+number(p.Number), nil, map[string]any{
		"title": r.Title, "description": r.Body, "reviewers": reviewers, "close_source_branch": true,
	}, nil)
}

func (b *bitbucketCloud) close(ctx context.Context, p pull, comment string) error {
	if comment != "" {
		err := b.c.call(ctx, http.MethodPost, b.pulls+"/"+number(p.Number)+"/comments", nil,
			map[string]any{"content": map[string]any{"raw": comment}}, nil)
		if err != nil {
			return err
		}
	}
	return b.c.call(ctx, http.MethodPost, b.pulls+"/"+number(p.Number)+"/decline", nil, nil, nil)
}
