package pullrequest

import (
	"context"
	"net/http"
	"net/url"
)

// github speaks to GitHub and GitHub Enterprise Server by version 2022-11-28
// of the REST API.
type github struct {
	githubLike[githubPull]
	owner string
}

func newGitHub(c *client, r repository) (dialect, error) {
	owner, name, err := r.two()
	if err != nil {
		return nil, err
	}
	c.headers.Set("Accept", "application/vnd.github+json")
	c.headers.Set("X-Github-Api-Version", "2022-11-28")
	repo := escaped("repos", owner, name)
	g := &github{owner: owner}
	g.githubLike = githubLike[githubPull]{c: c, pulls: repo + "/pulls", issues: repo + "/issues", label: g.addLabels}
	return g, nil
}

type githubPull struct {
	Number   int64       `json:"number"`
	URL      string      `json:"html_url"`
	State    string      `json:"state"`
	Title    string      `json:"title"`
	Body     string      `json:"body"`
	MergedAt string      `json:"merged_at"`
	Merge    string      `json:"merge_commit_sha"`
	Head     githubEnd   `json:"head"`
	Base     githubEnd   `json:"base"`
	Labels   []labelName `json:"labels"`
}

type githubEnd struct {
	Ref  string `json:"ref"`
	SHA  string `json:"sha"`
	Repo *struct {
		ID int64 `json:"id"`
	} `json:"repo"` // null when a fork was deleted
}

type labelName struct {
	Name string `json:"name"`
}

func (g githubPull) pull() (pull, error) {
	p := pull{PR: PR{
		Number: g.Number, URL: g.URL, Base: g.Base.Ref, Head: g.Head.Ref, Commit: g.Head.SHA, Title: g.Title, Body: g.Body,
	}}
	p.fork = g.Head.Repo == nil || g.Base.Repo == nil || g.Head.Repo.ID != g.Base.Repo.ID
	for _, l := range g.Labels {
		p.labels = append(p.labels, l.Name)
	}
	switch {
	case g.MergedAt != "":
		// Of one that isn't merged it is a commit only for trying.
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

func (g *github) list(ctx context.Context, base, head string, state State) ([]pull, error) {
	q := url.Values{
		"head": {g.owner + ":" + head}, "base": {base}, "state": {"all"},
		"sort": {"created"}, "direction": {"desc"}, "per_page": {"100"},
	}
	if state == Open {
		q.Set("state", "open")
	}
	var all []githubPull
	if err := g.c.call(ctx, http.MethodGet, g.pulls, q, nil, &all); err != nil {
		return nil, err
	}
	return pulls(all)
}

// addLabels adds labels, which GitHub makes where they are missing.
func (g *github) addLabels(ctx context.Context, p pull, labels []string) error {
	if len(labels) == 0 {
		return nil
	}
	return g.c.call(ctx, http.MethodPost, g.issues+"/"+number(p.Number)+"/labels", nil, map[string]any{"labels": labels}, nil)
}
