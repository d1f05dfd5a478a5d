package pullrequest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// gitea speaks to Gitea and Forgejo by version 1 of their common API.
type gitea struct {
	githubLike[giteaPull]
	labels string // path
}

func newGitea(c *client, r repository) (dialect, error) {
	owner, name, err := r.two()
	if err != nil {
		return nil, err
	}
	repo := escaped("repos", owner, name)
	g := &gitea{labels: repo + "/labels"}
	g.githubLike = githubLike[giteaPull]{c: c, pulls: repo + "/pulls", issues: repo + "/issues", label: g.addLabels}
	return g, nil
}

type giteaPull struct {
	Number int64       `json:"number"`
	URL    string      `json:"html_url"`
	State  string      `json:"state"`
	Title  string      `json:"title"`
	Body   string      `json:"body"`
	Merged bool        `json:"merged"`
	Merge  string      `json:"merge_commit_sha"`
	Head   giteaEnd    `json:"head"`
	Base   giteaEnd    `json:"base"`
	Labels []labelName `json:"labels"`
}

type giteaEnd struct {
	Ref    string `json:"ref"`
	Label  string `json:"label"` // the branch, also where ref is that of a deleted one
	SHA    string `json:"sha"`
	RepoID int64  `json:"repo_id"`
}

func (g giteaPull) pull() (pull, error) {
	p := pull{PR: PR{
		Number: g.Number, URL: g.URL, Base: g.Base.Ref, Head: g.Head.Ref, Commit: g.Head.SHA, Title: g.Title, Body: g.Body,
	}}
	if strings.HasPrefix(p.Head, "refs/pull/") && g.Head.Label != "" {
		p.Head = g.Head.Label
	}
	p.fork = g.Head.RepoID != g.Base.RepoID
	for _, l := range g.Labels {
		p.labels = append(p.labels, l.Name)
	}
	switch {
	case g.Merged:
		p.State, p.Merge = Merged, g.Merge
	case g.State == "open":
		p.State = Open
	case g.State == "closed":
		p.State = Closed
	default:
		return p, unknownState(g.State)
	}
	return p, p.complete()
}

const (
	giteaPage = 50 // Gitea gives no more at a time
	// giteaPages bounds how far back to look for a pull request that is not
	// open any more.
	giteaPages = 20
)

// list reads page by page, newest first without being told, since Gitea can't
// be asked for a head branch.
func (g *gitea) list(ctx context.Context, base, head string, state State) ([]pull, error) {
	q := url.Values{"state": {"all"}, "base_branch": {base}, "limit": {number(giteaPage)}}
	if state == Open {
		q.Set("state", "open")
	} else if none, err := g.none(ctx, base, head); none || err != nil {
		return nil, err
	}
	var found []pull
	for page := int64(1); page <= giteaPages; page++ {
		q.Set("page", number(page))
		var all []giteaPull
		if err := g.c.call(ctx, http.MethodGet, g.pulls, q, nil, &all); err != nil {
			return nil, err
		}
		read, err := pulls(all)
		if err != nil {
			return nil, err
		}
		for _, p := range read {
			if p.Head == head && p.Base == base && !p.fork {
				found = append(found, p)
			}
		}
		if len(all) == 0 || len(found) > 0 {
			return found, nil
		}
	}
	return found, nil
}

// none says that there never was a pull request of that head into that base,
// which spares reading all others.
func (g *gitea) none(ctx context.Context, base, head string) (bool, error) {
	path := g.pulls + escaped(base) + escaped(strings.Split(head, "/")...)
	err := g.c.call(ctx, http.MethodGet, path, nil, nil, nil)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	return false, err
}

// addLabels adds labels by their ids, which all versions take, and makes those
// that the repository lacks.
func (g *gitea) addLabels(ctx context.Context, p pull, labels []string) error {
	var ids []int64
	for _, name := range labels {
		id, err := g.labelID(ctx, name)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil
	}
	return g.c.call(ctx, http.MethodPost, g.issues+"/"+number(p.Number)+"/labels", nil, map[string]any{"labels": ids}, nil)
}

func (g *gitea) labelID(ctx context.Context, name string) (int64, error) {
	type label struct {
		ID int64 `json:"id"`
		labelName
	}
	for page := int64(1); page <= giteaPages; page++ {
		var all []label
		q := url.Values{"page": {number(page)}, "limit": {number(giteaPage)}}
		if err := g.c.call(ctx, http.MethodGet, g.labels, q, nil, &all); err != nil {
			return 0, err
		}
		for _, l := range all {
			if strings.EqualFold(l.Name, name) {
				return l.ID, nil
			}
		}
		if len(all) == 0 {
			break
		}
	}
	var made label
	err := g.c.call(ctx, http.MethodPost, g.labels, nil, map[string]any{"name": name, "color": "#0b6e99"}, &made)
	return made.ID, err
}
