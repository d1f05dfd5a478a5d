package pullrequest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// gitlab speaks to GitLab.com and GitLab's own installations by version 4 of
// the REST API. A pull request is a merge request there.
type gitlab struct {
	c        *client
	requests string // path
}

func newGitLab(c *client, r repository) (dialect, error) {
	if len(r) < 2 {
		return nil, fmt.Errorf("url: %q is not <group>/<project>", strings.Join(r, "/"))
	}
	return &gitlab{c: c, requests: escaped("projects", strings.Join(r, "/"), "merge_requests")}, nil
}

type gitlabRequest struct {
	IID         int64    `json:"iid"`
	URL         string   `json:"web_url"`
	State       string   `json:"state"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Source      string   `json:"source_branch"`
	Target      string   `json:"target_branch"`
	SourceID    int64    `json:"source_project_id"`
	TargetID    int64    `json:"target_project_id"`
	SHA         string   `json:"sha"`
	MergeSHA    string   `json:"merge_commit_sha"`
	SquashSHA   string   `json:"squash_commit_sha"`
	Labels      []string `json:"labels"`
}

func (g gitlabRequest) pull() (pull, error) {
	p := pull{
		PR: PR{
			Number: g.IID, URL: g.URL, Base: g.Target, Head: g.Source, Commit: g.SHA, Title: g.Title, Body: g.Description,
		},
		fork: g.SourceID != g.TargetID, labels: g.Labels,
	}
	switch g.State {
	case "opened", "locked": // locked is a merge under way
		p.State = Open
	case "closed":
		p.State = Closed
	case "merged":
		// A fast-forward has neither a merge nor a squash.
		p.State, p.Merge = Merged, g.MergeSHA
		if p.Merge == "" {
			p.Merge = g.SquashSHA
		}
		if p.Merge == "" {
			p.Merge = g.SHA
		}
	default:
		return p, unknownState(g.State)
	}
	return p, p.complete()
}

func (g *gitlab) list(ctx context.Context, base, head string, state State) ([]pull, error) {
	q := url.Values{
		"source_branch": {head}, "target_branch": {base}, "state": {"all"},
		"order_by": {"created_at"}, "sort": {"desc"}, "per_page": {"100"},
	}
	if state == Open {
		q.Set("state", "opened")
	}
	var all []gitlabRequest
	if err := g.c.call(ctx, http.MethodGet, g.requests, q, nil, &all); err != nil {
		return nil, err
	}
	return pulls(all)
}

func (g *gitlab) get(ctx context.Context, n int64) (pull, error) {
	var p gitlabRequest
	if err := g.c.call(ctx, http.MethodGet, g.requests+"/"+number(n), nil, nil, &p); err != nil {
		return pull{}, err
	}
	return p.pull()
}

func (g *gitlab) create(ctx context.Context, r Request) (pull, error) {
	var made gitlabRequest
	in := map[string]any{
		"source_branch": r.Head, "target_branch": r.Base, "title": r.Title, "description": r.Body, "remove_source_branch": true,
	}
	if len(r.Labels) > 0 {
		in["labels"] = strings.Join(r.Labels, ",")
	}
	if err := g.c.call(ctx, http.MethodPost, g.requests, nil, in, &made); err != nil {
		return pull{}, err
	}
	return made.pull()
}

func (g *gitlab) edit(ctx context.Context, p pull, r Request) error {
	in := map[string]any{"title": r.Title, "description": r.Body}
	if len(r.Labels) > 0 {
		in["add_labels"] = strings.Join(r.Labels, ",")
	}
	return g.c.call(ctx, http.MethodPut, g.requests+"/"+number(p.Number), nil, in, nil)
}

func (g *gitlab) close(ctx context.Context, p pull, comment string) error {
	if comment != "" {
		err := g.c.call(ctx, http.MethodPost, g.requests+"/"+number(p.Number)+"/notes", nil, map[string]any{"body": comment}, nil)
		if err != nil {
			return err
		}
	}
	return g.c.call(ctx, http.MethodPut, g.requests+"/"+number(p.Number), nil, map[string]any{"state_event": "close"}, nil)
}
