package pullrequest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	cloudPulls  = "/2.0/repositories/acme/config/pullrequests"
	centerPulls = "/rest/api/latest/projects/ACME/repos/config/pull-requests"
)

var fakeBitbucketCloud = fakeHost{
	kind: "bitbucket-cloud", repository: "https://bitbucket.org/acme/config.git",
	header: map[string]string{"Authorization": "Bearer " + token},
	routes: []route{
		{http.MethodGet, cloudPulls, []string{"q", "state", "sort", "pagelen", "page"}, cloudList},
		{http.MethodGet, cloudPulls + "/{n}", nil, func(_ *fake, _ *http.Request, p *fakePull) (int, any) {
			return http.StatusOK, cloudShow(p, true)
		}},
		{http.MethodPost, cloudPulls, nil, cloudCreate},
		{http.MethodPut, cloudPulls + "/{n}", nil, cloudPut},
		{http.MethodPost, cloudPulls + "/{n}/decline", nil, func(f *fake, r *http.Request, p *fakePull) (int, any) {
			if p.state != "open" {
				return http.StatusConflict, map[string]any{"type": "error", "error": map[string]any{"message": "already closed"}}
			}
			p.state = "closed"
			return http.StatusOK, cloudShow(p, true)
		}},
		{http.MethodPost, cloudPulls + "/{n}/comments", nil, func(f *fake, r *http.Request, p *fakePull) (int, any) {
			var in struct{ Content struct{ Raw string } }
			f.read(r, &in)
			p.comments = append(p.comments, in.Content.Raw)
			return http.StatusCreated, map[string]any{"id": 1}
		}},
	},
}

func cloudShow(p *fakePull, whole bool) map[string]any {
	end := func(branch, commit, repo string) any {
		return map[string]any{
			"branch": map[string]any{"name": branch}, "commit": map[string]any{"hash": commit[28:]},
			"repository": map[string]any{"full_name": repo, "type": "repository"},
		}
	}
	source := "acme/config"
	if p.fork {
		source = "mallory/config"
	}
	var merge any
	if p.state == "merged" {
		merge = map[string]any{"hash": p.mergeCommit()}
	}
	shown := map[string]any{
		"type": "pullrequest", "id": p.number, "title": p.title, "description": p.shown(), "merge_commit": merge,
		"state":  map[string]string{"open": "OPEN", "closed": "DECLINED", "merged": "MERGED"}[p.state],
		"source": end(p.head, p.commit(), source), "destination": end(p.base, "1111111111111111111111111111111111111111", "acme/config"),
		"links": map[string]any{"html": map[string]any{"href": "https://bitbucket.org/acme/config/pull-requests/1"}},
	}
	if whole { // a list leaves them out
		reviewers := []any{}
		for _, r := range p.reviewers {
			reviewers = append(reviewers, map[string]any{"type": "user", "uuid": r})
		}
		shown["reviewers"] = reviewers
	}
	return shown
}

func cloudList(f *fake, r *http.Request, _ *fakePull) (int, any) {
	q := r.URL.Query()
	for _, s := range q["state"] {
		if !slices.Contains([]string{"OPEN", "MERGED", "DECLINED", "SUPERSEDED"}, s) {
			f.t.Errorf("state=%s", s)
		}
	}
	all := f.newest(func(p *fakePull) bool {
		want := fmt.Sprintf("source.branch.name = %q AND destination.branch.name = %q", p.head, p.base)
		return q.Get("q") == want && slices.Contains(q["state"], cloudShow(p, false)["state"].(string))
	})
	return http.StatusOK, map[string]any{"values": each(all, func(p *fakePull) any { return cloudShow(p, false) }), "pagelen": 50, "page": 1}
}

func cloudCreate(f *fake, r *http.Request, _ *fakePull) (int, any) {
	type end struct {
		Branch struct{ Name string }
	}
	var in struct {
		Title, Description  string
		Source, Destination end
		Remove              bool `json:"close_source_branch"`
	}
	f.read(r, &in)
	if in.Title == "" || in.Source.Branch.Name == "" {
		f.t.Errorf("create: title and source are required: %+v", in)
	}
	p := f.open(in.Destination.Branch.Name, in.Source.Branch.Name, in.Title, in.Description)
	if p == nil {
		return http.StatusBadRequest, map[string]any{"type": "error", "error": map[string]any{"message": "there is one already", "fields": map[string]any{"source": []string{"in use"}}}}
	}
	p.removes = in.Remove
	return http.StatusCreated, cloudShow(p, true)
}

func cloudPut(f *fake, r *http.Request, p *fakePull) (int, any) {
	var in struct {
		Title, Description string
		Remove             bool `json:"close_source_branch"`
		Reviewers          []struct{ UUID string }
	}
	f.read(r, &in)
	if in.Title == "" {
		f.t.Error("a title is required")
	}
	p.title, p.body, p.removes, p.reviewers = in.Title, in.Description, in.Remove, nil
	for _, one := range in.Reviewers {
		p.reviewers = append(p.reviewers, one.UUID)
	}
	return http.StatusOK, cloudShow(p, true)
}

var fakeDataCenter = fakeHost{
	kind: "bitbucket-datacenter", repository: "https://git.example.com/scm/ACME/config.git",
	header: map[string]string{"Authorization": "Bearer " + token, "X-Atlassian-Token": "no-check"},
	routes: []route{
		{http.MethodGet, centerPulls, []string{"direction", "at", "state", "order", "limit", "start"}, centerList},
		{http.MethodGet, centerPulls + "/{n}", nil, func(_ *fake, _ *http.Request, p *fakePull) (int, any) {
			return http.StatusOK, centerShow(p)
		}},
		{http.MethodPost, centerPulls, nil, centerCreate},
		{http.MethodPut, centerPulls + "/{n}", nil, centerPut},
		{http.MethodPost, centerPulls + "/{n}/decline", []string{"version"}, func(f *fake, r *http.Request, p *fakePull) (int, any) {
			if v, err := strconv.ParseInt(r.URL.Query().Get("version"), 10, 64); err != nil || v != p.version {
				return staleCenter(p)
			}
			p.state = "closed"
			p.version++
			return http.StatusOK, centerShow(p)
		}},
		{http.MethodPost, centerPulls + "/{n}/comments", nil, func(f *fake, r *http.Request, p *fakePull) (int, any) {
			var in struct{ Text string }
			f.read(r, &in)
			p.comments = append(p.comments, in.Text)
			return http.StatusCreated, map[string]any{"id": 1}
		}},
	},
}

func staleCenter(p *fakePull) (int, any) {
	return http.StatusConflict, map[string]any{"errors": []any{map[string]any{
		"context": nil, "message": "You are attempting to modify a pull request based on out-of-date information.",
		"exceptionName": "com.atlassian.bitbucket.pull.PullRequestOutOfDateException", "currentVersion": p.version,
	}}}
}

func centerShow(p *fakePull) any {
	end := func(branch, commit string, repo int) any {
		return map[string]any{
			"id": "refs/heads/" + branch, "displayId": branch, "latestCommit": commit,
			"repository": map[string]any{"id": repo, "slug": "config", "project": map[string]any{"key": "ACME"}},
		}
	}
	source := 7
	if p.fork {
		source = 8
	}
	reviewers := []any{}
	for _, r := range p.reviewers {
		reviewers = append(reviewers, map[string]any{"user": map[string]any{"name": r}, "role": "REVIEWER"})
	}
	properties := map[string]any{}
	if p.state == "merged" {
		properties["mergeCommit"] = map[string]any{"id": p.mergeCommit()}
	}
	return map[string]any{
		"id": p.number, "version": p.version, "title": p.title, "description": p.shown(), "open": p.state == "open",
		"state":   map[string]string{"open": "OPEN", "closed": "DECLINED", "merged": "MERGED"}[p.state],
		"fromRef": end(p.head, p.commit(), source), "toRef": end(p.base, "1111111111111111111111111111111111111111", 7),
		"reviewers": reviewers, "properties": properties,
		"links": map[string]any{"self": []any{map[string]any{"href": "https://git.example.com/projects/ACME/repos/config/pull-requests/1"}}},
	}
}

func centerList(f *fake, r *http.Request, _ *fakePull) (int, any) {
	q := r.URL.Query()
	if q.Get("direction") != "OUTGOING" || !strings.HasPrefix(q.Get("at"), "refs/heads/") || q.Get("order") != "NEWEST" {
		f.t.Errorf("list: %v", q)
	}
	if s := q.Get("state"); s != "OPEN" && s != "ALL" {
		f.t.Errorf("state=%s", s)
	}
	all := f.newest(func(p *fakePull) bool {
		return "refs/heads/"+p.head == q.Get("at") && (q.Get("state") == "ALL" || p.state == "open")
	})
	return http.StatusOK, map[string]any{"values": each(all, centerShow), "size": len(all), "isLastPage": true, "start": 0, "limit": 100}
}

func centerCreate(f *fake, r *http.Request, _ *fakePull) (int, any) {
	type ref struct {
		ID         string
		Repository struct {
			Slug    string
			Project struct{ Key string }
		}
	}
	var in struct {
		Title, Description string
		FromRef, ToRef     ref
	}
	f.read(r, &in)
	for _, end := range []ref{in.FromRef, in.ToRef} {
		if !strings.HasPrefix(end.ID, "refs/heads/") || end.Repository.Slug != "config" || end.Repository.Project.Key != "ACME" {
			f.t.Errorf("create: %+v", end)
		}
	}
	p := f.open(strings.TrimPrefix(in.ToRef.ID, "refs/heads/"), strings.TrimPrefix(in.FromRef.ID, "refs/heads/"), in.Title, in.Description)
	if p == nil {
		return http.StatusConflict, map[string]any{"errors": []any{map[string]any{
			"context": nil, "message": "Only one pull request may be open for a given source and target branch",
			"exceptionName": "com.atlassian.bitbucket.pull.DuplicatePullRequestException",
		}}}
	}
	return http.StatusCreated, centerShow(p)
}

func centerPut(f *fake, r *http.Request, p *fakePull) (int, any) {
	var in struct {
		Version            *int64
		Title, Description string
		Reviewers          []struct{ User struct{ Name string } }
	}
	f.read(r, &in)
	if in.Version == nil || *in.Version != p.version {
		return staleCenter(p)
	}
	p.title, p.body, p.reviewers = in.Title, in.Description, nil
	for _, one := range in.Reviewers {
		p.reviewers = append(p.reviewers, one.User.Name)
	}
	p.version++
	return http.StatusOK, centerShow(p)
}
