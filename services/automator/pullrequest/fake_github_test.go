package pullrequest_test

import (
	"net/http"
	"strings"
)

var fakeGitHub = fakeHost{
	kind: "github", repository: "https://github.com/acme/config.git", labels: true,
	header: map[string]string{
		"Authorization": "Bearer " + token, "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": "slipway",
	},
	routes: []route{
		{http.MethodGet, "/repos/acme/config/pulls", []string{"state", "head", "base", "sort", "direction", "per_page", "page"}, githubList},
		{http.MethodGet, "/repos/acme/config/pulls/{n}", nil, func(_ *fake, _ *http.Request, p *fakePull) (int, any) {
			return http.StatusOK, githubShow(p)
		}},
		{http.MethodPost, "/repos/acme/config/pulls", nil, githubCreate},
		{http.MethodPatch, "/repos/acme/config/pulls/{n}", nil, githubPatch},
		{http.MethodPost, "/repos/acme/config/issues/{n}/labels", nil, func(f *fake, r *http.Request, p *fakePull) (int, any) {
			var in struct{ Labels []string }
			f.read(r, &in)
			p.labels = append(p.labels, in.Labels...)
			return http.StatusOK, []any{}
		}},
		{http.MethodPost, "/repos/acme/config/issues/{n}/comments", nil, func(f *fake, r *http.Request, p *fakePull) (int, any) {
			var in struct{ Body string }
			f.read(r, &in)
			p.comments = append(p.comments, in.Body)
			return http.StatusCreated, map[string]any{"id": 1}
		}},
	},
}

func githubShow(p *fakePull) any {
	end := func(ref string, repo any, sha string) any {
		return map[string]any{"ref": ref, "label": "acme:" + ref, "sha": sha, "repo": repo}
	}
	ours := map[string]any{"id": 7, "full_name": "acme/config"}
	source := any(ours)
	if p.fork {
		source = nil
	}
	state, merged := p.state, any(nil)
	merge := any("00000000000000000000000000000000000000ff") // GitHub's try of a merge
	if state == "merged" {
		state, merged, merge = "closed", "2026-11-23T20:15:04Z", p.mergeCommit()
	}
	labels := []any{}
	for _, l := range p.labels {
		labels = append(labels, map[string]any{"id": 1, "name": l, "color": "ededed"})
	}
	return map[string]any{
		"id": 1000 + p.number, "number": p.number, "state": state, "locked": false, "title": p.title, "body": p.shown(),
		"html_url": "https://github.com/acme/config/pull/1", "merged_at": merged, "merge_commit_sha": merge, "labels": labels,
		"head": end(p.head, source, p.commit()), "base": end(p.base, ours, "1111111111111111111111111111111111111111"),
	}
}

func githubList(f *fake, r *http.Request, _ *fakePull) (int, any) {
	q := r.URL.Query()
	owner, head, ok := strings.Cut(q.Get("head"), ":")
	if !ok || owner != "acme" {
		f.t.Errorf("head=%s: GitHub filters only by user:branch", q.Get("head"))
	}
	if s := q.Get("state"); s != "open" && s != "all" && s != "closed" {
		f.t.Errorf("state=%s", s)
	}
	return http.StatusOK, each(f.newest(func(p *fakePull) bool {
		open := p.state == "open"
		return p.head == head && p.base == q.Get("base") && (q.Get("state") == "all" || open == (q.Get("state") == "open"))
	}), githubShow)
}

func githubCreate(f *fake, r *http.Request, _ *fakePull) (int, any) {
	var in struct{ Title, Body, Head, Base string }
	f.read(r, &in)
	if in.Title == "" || in.Head == "" || in.Base == "" {
		f.t.Errorf("create: title, head and base are required: %+v", in)
	}
	p := f.open(in.Base, in.Head, in.Title, in.Body)
	if p == nil {
		return http.StatusUnprocessableEntity, map[string]any{
			"message": "Validation Failed", "documentation_url": "https://docs.github.com/rest",
			"errors": []any{map[string]any{"resource": "PullRequest", "code": "custom", "message": "A pull request already exists for acme:" + in.Head + "."}},
		}
	}
	return http.StatusCreated, githubShow(p)
}

func githubPatch(f *fake, r *http.Request, p *fakePull) (int, any) {
	var in struct{ Title, Body, State *string }
	f.read(r, &in)
	if in.Title != nil {
		p.title = *in.Title
	}
	if in.Body != nil {
		p.body = *in.Body
	}
	if in.State != nil {
		if *in.State != "open" && *in.State != "closed" {
			f.t.Errorf("state is %q", *in.State)
		}
		p.state = *in.State
	}
	return http.StatusOK, githubShow(p)
}
