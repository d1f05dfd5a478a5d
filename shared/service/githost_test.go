package service_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/service"
)

func TestWherePullRequestsAreMade(t *testing.T) {
	repo := service.Credentials{Token: &service.Secret{Env: "REPO"}}
	api := service.Credentials{Token: &service.Secret{Env: "API"}}
	for _, c := range []struct {
		url       string
		host      service.GitHost
		kind, api string
		fault     string // part of the error; then nothing else counts
	}{
		{url: "https://github.com/acme/config.git", kind: "github", api: "https://api.github.com"},
		{url: "git@github.com:acme/config.git", kind: "github", api: "https://api.github.com"},
		{url: "https://gitlab.com/acme/sub/config", kind: "gitlab", api: "https://gitlab.com/api/v4"},
		{url: "https://bitbucket.org/acme/config", kind: "bitbucket-cloud", api: "https://api.bitbucket.org/2.0"},
		{url: "https://acme.ghe.com/acme/config", host: service.GitHost{Kind: "github"}, kind: "github", api: "https://api.acme.ghe.com"},
		{url: "https://git.example.com/acme/config", host: service.GitHost{Kind: "github"}, kind: "github", api: "https://git.example.com/api/v3"},
		{url: "http://git.example.com:3000/acme/config", host: service.GitHost{Kind: "gitea"}, kind: "gitea", api: "http://git.example.com:3000/api/v1"},
		{url: "ssh://git@git.example.com:2222/acme/config.git", host: service.GitHost{Kind: "forgejo"}, kind: "forgejo", api: "https://git.example.com/api/v1"},
		{url: "ssh://git@[fd00::1]:7999/acme/config.git", host: service.GitHost{Kind: "gitea"}, kind: "gitea", api: "https://[fd00::1]/api/v1"},
		{url: "https://git.example.com/scm/acme/config", host: service.GitHost{Kind: "bitbucket-datacenter"}, kind: "bitbucket-datacenter", api: "https://git.example.com/rest/api/latest"},
		{url: "https://git.example.com/acme/config", host: service.GitHost{Kind: "gitlab", API: "https://git.example.com:8443/gitlab/api/v4"}, kind: "gitlab", api: "https://git.example.com:8443/gitlab/api/v4"},
		{url: "https://git.example.com/acme/config", host: service.GitHost{Kind: "gitlab", API: "https://api.example.com/api/v4", Credentials: api}, kind: "gitlab", api: "https://api.example.com/api/v4"},

		{url: "https://git.example.com/acme/config", fault: "not known for git.example.com"},
		{url: "https://git.example.com/acme/config", host: service.GitHost{Kind: "svn"}, fault: `"svn" is none of github, gitlab`},
		{url: "https://git.example.com/acme/config", host: service.GitHost{Kind: "gitlab", API: "https://evil.example.com/api/v4"}, fault: "don't go to evil.example.com"},
		{url: "https://git.example.com/acme/config", host: service.GitHost{Kind: "gitlab", API: "http://git.example.com/api/v4"}, fault: "plain http"},
		{url: "https://git.example.com/acme/config", host: service.GitHost{Kind: "gitlab", API: "https://git.example.com"}, fault: "doesn't end in /api/v4"},
		{url: "https://git.example.com/acme/config", host: service.GitHost{Kind: "gitea", API: "git.example.com/api/v1"}, fault: "http:// or https://"},
		{url: "https://git.example.com/acme/config", host: service.GitHost{Kind: "gitea", API: "https://u:pa55@git.example.com/api/v1"}, fault: "don't belong in the address"},
		{url: "https://notgithub.com/acme/config", fault: "not known"},
		{url: "https://github.com.example.com/acme/config", fault: "not known"},
	} {
		h, err := service.Repository{URL: c.url, Credentials: repo, Host: c.host}.PullRequests()
		if c.fault != "" {
			if err == nil || !strings.Contains(err.Error(), c.fault) || strings.Contains(err.Error(), "pa55") {
				t.Errorf("%s %+v: %v, want an error with %q", c.url, c.host, err, c.fault)
			}
			continue
		}
		if err != nil || h.Kind != c.kind || h.API != c.api {
			t.Errorf("%s %+v: %s at %s, %v; want %s at %s", c.url, c.host, h.Kind, h.API, err, c.kind, c.api)
		}
		want := repo
		if c.host.Credentials != (service.Credentials{}) {
			want = api
		}
		if h.Credentials != want {
			t.Errorf("%s %+v: credentials %+v", c.url, c.host, h.Credentials)
		}
	}
	if _, err := (service.Repository{URL: "https://git.example.com/a/b"}).PullRequests(); !errors.Is(err, service.ErrNoGitHost) {
		t.Errorf("%v, want ErrNoGitHost", err)
	}
}

func TestAHostIsCheckedWithTheConfig(t *testing.T) {
	_, err := service.Load(write(t, strings.Replace(good, "  roots:", "  host: {api: \"https://git.example.com/api/v1\"}\n  roots:", 1)))
	if !errors.Is(err, service.ErrConfig) || !strings.Contains(err.Error(), "repositories[0].host: kind: ") {
		t.Errorf("a host without its kind: %v", err)
	}
	c, err := service.Load(write(t, strings.Replace(good, "  roots:", "  host: {kind: gitea, credentials: {token: {env: T}}}\n  roots:", 1)))
	if err != nil || c.Repositories[0].Host.Kind != "gitea" {
		t.Errorf("a good host: %+v, %v", c.Repositories, err)
	}
}
