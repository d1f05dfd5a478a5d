package pullrequest_test

import (
	"net/http"
	"strings"
)

const gitlabRequests = "/api/v4/projects/acme%2Fteams%2Fconfig/merge_requests"

var fakeGitLab = fakeHost{
	kind: "gitlab", repository: "https://git.example.com/acme/teams/config.git", labels: true,
	header: map[string]string{"Authorization": "Bearer " + token},
	routes: []route{
		{http.MethodGet, gitlabRequests, []string{"state", "source_branch", "target_branch", "order_by", "sort", "per_page", "page"}, gitlabList},
		{http.MethodGet, gitlabRequests + "/{n}", nil, func(_ *fake, _ *http.Request, p *fakePull) (int, any) {
			return http.StatusOK, gitlabShow(p)
		}},
		{http.MethodPost, gitlabRequests, nil, gitlabCreate},
		{http.MethodPut, gitlabRequests + "/{n}", nil, gitlabPut},
		{http.MethodPost, gitlabRequests + "/{n}/notes", nil, func(f *fake, r *http.Request, p *fakePull) (int, any) {
			var in struct{ Body string }
			f.read(r, &in)
			p.comments = append(p.comments, in.Body)
			return http.StatusCreated, map[string]any{"id": 1}
		}},
	},
}

func gitlabShow(p *fakePull) any {
	source := 7
	if p.fork {
		source = 8
	}
	state := p.state
	if state == "open" {
		state = "opened"
	}
	return map[string]any{
		"id": 1000 + p.number, "iid": p.number, "project_id": 7, "title": p.title, "description": p.shown(), "state": state,
		"source_branch": p.head, "target_branch": p.base, "source_project_id": source, "target_project_id": 7,
		"sha": p.commit(), "merge_commit_sha": p.mergeCommit(), "squash_commit_sha": nil, "labels": p.labels,
		"web_url": "https://git.example.com/acme/teams/config/-/merge_requests/1", "draft": false,
	}
}

func gitlabList(f *fake, r *http.Request, _ *fakePull) (int, any) {
	q := r.URL.Query()
	if s := q.Get("state"); s != "opened" && s != "all" && s != "merged" && s != "closed" {
		f.t.Errorf("state=%s", s)
	}
	return http.StatusOK, each(f.newest(func(p *fakePull) bool {
		return p.head == q.Get("source_branch") && p.base == q.Get("target_branch") && (q.Get("state") == "all" || p.state == "open")
	}), gitlabShow)
}

func gitlabCreate(f *fake, r *http.Request, _ *fakePull) (int, any) {
	var in struct {
		Source      string `json:"source_branch"`
		Target      string `json:"target_branch"`
		Title       string `json:"title"`
		Description string `json:"description"`
		Labels      string `json:"labels"`
		Remove      bool   `json:"remove_source_branch"`
	}
	f.read(r, &in)
	if in.Title == "" || in.Source == "" || in.Target == "" {
		f.t.Errorf("create: source_branch, target_branch and title are required: %+v", in)
	}
	p := f.open(in.Target, in.Source, in.Title, in.Description)
	if p == nil {
		return http.StatusConflict, map[string]any{"message": []string{"Another open merge request already exists for this source branch: !1"}}
	}
	p.removes = in.Remove
	if in.Labels != "" {
		p.labels = strings.Split(in.Labels, ",")
	}
	return http.StatusCreated, gitlabShow(p)
}

func gitlabPut(f *fake, r *http.Request, p *fakePull) (int, any) {
	var in struct {
		Title       *string `json:"title"`
		Description *string `json:"description"`
		AddLabels   string  `json:"add_labels"`
		Event       string  `json:"state_event"`
	}
	f.read(r, &in)
	if in.Title != nil {
		p.title = *in.Title
	}
	if in.Description != nil {
		p.body = *in.Description
	}
	if in.AddLabels != "" {
		p.labels = append(p.labels, strings.Split(in.AddLabels, ",")...)
	}
	switch in.Event {
	case "":
	case "close":
		p.state = "closed"
	default:
		f.t.Errorf("state_event is %q", in.Event)
	}
	return http.StatusOK, gitlabShow(p)
}
