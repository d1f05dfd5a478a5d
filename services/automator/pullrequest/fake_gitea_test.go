package pullrequest_test

import (
	"net/http"
	"slices"
	"strings"
)

var fakeGitea = fakeHost{
	kind: "gitea", repository: "http://git.example.com:3000/acme/config", labels: true,
	header: map[string]string{"Authorization": "token " + token},
	routes: []route{
		{http.MethodGet, "/api/v1/repos/acme/config/pulls", []string{"state", "base_branch", "limit", "page"}, giteaList},
		{http.MethodGet, "/api/v1/repos/acme/config/pulls/{n}", nil, func(_ *fake, _ *http.Request, p *fakePull) (int, any) {
			return http.StatusOK, giteaShow(p)
		}},
		{http.MethodGet, "/api/v1/repos/acme/config/pulls/main/slipway/production-shop-web", nil, func(f *fake, r *http.Request, _ *fakePull) (int, any) {
			for _, p := range f.all {
				if !p.fork && strings.HasSuffix(r.URL.Path, "/"+p.base+"/"+p.head) {
					return http.StatusOK, giteaShow(p)
				}
			}
			return http.StatusNotFound, map[string]any{"message": "not found"}
		}},
		{http.MethodPost, "/api/v1/repos/acme/config/pulls", nil, giteaCreate},
		{http.MethodPatch, "/api/v1/repos/acme/config/pulls/{n}", nil, githubPatch},
		{http.MethodGet, "/api/v1/repos/acme/config/labels", []string{"page", "limit"}, func(f *fake, r *http.Request, _ *fakePull) (int, any) {
			all := []any{}
			for i, l := range f.labels {
				all = append(all, map[string]any{"id": 10 + i, "name": l, "color": "0b6e99"})
			}
			if r.URL.Query().Get("page") != "1" {
				all = all[:0]
			}
			return http.StatusOK, all
		}},
		{http.MethodPost, "/api/v1/repos/acme/config/labels", nil, func(f *fake, r *http.Request, _ *fakePull) (int, any) {
			var in struct{ Name, Color string }
			f.read(r, &in)
			if slices.Contains(f.labels, in.Name) || in.Color == "" {
				f.t.Errorf("made label %+v", in)
			}
			f.labels = append(f.labels, in.Name)
			return http.StatusCreated, map[string]any{"id": 9 + len(f.labels), "name": in.Name}
		}},
		{http.MethodPost, "/api/v1/repos/acme/config/issues/{n}/labels", nil, func(f *fake, r *http.Request, p *fakePull) (int, any) {
			var in struct{ Labels []int }
			f.read(r, &in)
			for _, id := range in.Labels {
				p.labels = append(p.labels, f.labels[id-10])
			}
			return http.StatusOK, []any{}
		}},
		{http.MethodPost, "/api/v1/repos/acme/config/issues/{n}/comments", nil, func(f *fake, r *http.Request, p *fakePull) (int, any) {
			var in struct{ Body string }
			f.read(r, &in)
			p.comments = append(p.comments, in.Body)
			return http.StatusCreated, map[string]any{"id": 1}
		}},
	},
}

func giteaShow(p *fakePull) any {
	source, state, ref := 7, p.state, p.head
	if p.fork {
		source = 8
	}
	if state == "merged" {
		// The branch is gone, as Gitea can be told to do.
		state, ref = "closed", "refs/pull/1/head"
	}
	labels := []any{}
	for _, l := range p.labels {
		labels = append(labels, map[string]any{"id": 1, "name": l})
	}
	return map[string]any{
		"id": 1000 + p.number, "number": p.number, "state": state, "title": p.title, "body": p.shown(), "labels": labels,
		"html_url": "http://git.example.com:3000/acme/config/pulls/1", "merged": p.state == "merged", "merge_commit_sha": p.mergeCommit(),
		"head": map[string]any{"label": p.head, "ref": ref, "sha": p.commit(), "repo_id": source},
		"base": map[string]any{"label": p.base, "ref": p.base, "sha": "1111111111111111111111111111111111111111", "repo_id": 7},
	}
}

func giteaList(f *fake, r *http.Request, _ *fakePull) (int, any) {
	q := r.URL.Query()
	if s := q.Get("state"); s != "open" && s != "all" && s != "closed" {
		f.t.Errorf("state=%s", s)
	}
	if q.Get("page") != "1" {
		return http.StatusOK, []any{}
	}
	return http.StatusOK, each(f.newest(func(p *fakePull) bool {
		return p.base == q.Get("base_branch") && (q.Get("state") == "all" || p.state == "open")
	}), giteaShow)
}

func giteaCreate(f *fake, r *http.Request, p *fakePull) (int, any) {
	if status, body := githubCreate(f, r, p); status != http.StatusCreated {
		return http.StatusConflict, map[string]any{"message": "pull request already exists for these targets", "url": "http://git.example.com:3000/api/swagger", "was": body}
	}
	return http.StatusCreated, giteaShow(f.all[len(f.all)-1])
}
