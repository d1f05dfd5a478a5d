package pullrequest_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/services/automator/pullrequest"
	"github.com/slipway-cd/slipway/shared/service"
)

// said answers every request in the same way.
func said(status int, header map[string]string, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
		return true
	}
}

// TestWhatHostsSayIsTold keeps the errors of all hosts in a golden file.
func TestWhatHostsSayIsTold(t *testing.T) {
	var told strings.Builder
	for _, c := range []struct {
		host   fakeHost
		status int
		header map[string]string
		body   string
		want   error
	}{
		{fakeGitHub, 401, nil, `{"message":"Bad credentials","documentation_url":"https://docs.github.com/rest"}`, pullrequest.ErrUnauthorized},
		{fakeGitHub, 403, nil, `{"message":"Resource not accessible by personal access token"}`, pullrequest.ErrUnauthorized},
		{fakeGitHub, 404, nil, `{"message":"Not Found"}`, pullrequest.ErrNotFound},
		{fakeGitHub, 422, nil, `{"message":"Validation Failed","errors":[{"resource":"PullRequest","field":"head","code":"invalid"}]}`, pullrequest.ErrRefused},
		{fakeGitHub, 301, map[string]string{"Location": "/repositories/1/pulls"}, `{"message":"Moved Permanently"}`, pullrequest.ErrRefused},
		{fakeGitHub, 502, nil, "<html><h1>Unicorn</h1></html>", nil},
		{fakeGitLab, 401, nil, `{"message":"401 Unauthorized"}`, pullrequest.ErrUnauthorized},
		{fakeGitLab, 403, nil, `{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by the access token."}`, pullrequest.ErrUnauthorized},
		{fakeGitLab, 400, nil, `{"message":{"title":["is too long (maximum is 255 characters)"]}}`, pullrequest.ErrRefused},
		{fakeGitea, 403, nil, `{"message":"token does not have at least one of required scope(s): [write:repository]","url":"x"}`, pullrequest.ErrUnauthorized},
		{fakeGitea, 422, nil, `{"message":"Invalid PullRequest: There are no changes between the head and the base"}`, pullrequest.ErrRefused},
		{fakeBitbucketCloud, 400, nil, `{"type":"error","error":{"message":"Bad request","fields":{"source":["branch not found"]},"detail":"slipway/x is gone"}}`, pullrequest.ErrRefused},
		{fakeBitbucketCloud, 403, nil, `{"type":"error","error":{"message":"Your credentials lack one or more required privilege scopes.","detail":{"required":["pullrequest:write"]}}}`, pullrequest.ErrUnauthorized},
		{fakeDataCenter, 409, nil, `{"errors":[{"context":null,"message":"This pull request is up to date","exceptionName":"com.atlassian.bitbucket.pull.EmptyPullRequestException"}]}`, pullrequest.ErrRefused},
		{fakeDataCenter, 401, nil, `{"errors":[{"context":null,"message":"Authentication failed. Please check your credentials and try again."}]}`, pullrequest.ErrUnauthorized},
		{fakeDataCenter, 503, map[string]string{"Retry-After": "30"}, "the token s3cret-t0ken\n\x1b[31m is not the reason", nil},
	} {
		f, h := c.host.start(t)
		reply := said(c.status, c.header, c.body)
		f.before = func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method != http.MethodGet && reply(w, r)
		}
		_, err := h.Open(t.Context(), request("one"))
		var fault *pullrequest.StatusError
		if !errors.As(err, &fault) || fault.Status != c.status || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s %d: %v, want %v", c.host.kind, c.status, err, c.want)
			continue
		}
		for _, kind := range []error{pullrequest.ErrUnauthorized, pullrequest.ErrNotFound, pullrequest.ErrRefused, pullrequest.ErrRateLimited} {
			if !errors.Is(c.want, kind) && errors.Is(err, kind) {
				t.Errorf("%s %d is taken for %v: %v", c.host.kind, c.status, kind, err)
			}
		}
		text := err.Error()
		if !fault.RetryAt.IsZero() {
			text = strings.ReplaceAll(text, fault.RetryAt.UTC().Format(time.RFC3339), "T")
		}
		if strings.Contains(text, token) {
			t.Errorf("the error holds the token: %s", text)
		}
		told.WriteString(text + "\n")
	}
	golden(t, "errors.txt", told.String())
}

func TestWordsOfAHostAreBoundedAndWithoutSecrets(t *testing.T) {
	t.Setenv("PULL_TOKEN", token)
	r := fakeGitea.config()
	r.Credentials = service.Credentials{User: "maria", Password: &service.Secret{Env: "PULL_TOKEN"}}
	both := base64.StdEncoding.EncodeToString([]byte("maria:" + token))
	f := &fake{t: t, before: said(500, nil, "you sent "+both+" and "+token+"\x00\n"+strings.Repeat("ü", 10_000))}
	h, err := pullrequest.New(r, pullrequest.Options{Transport: f})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = h.Find(t.Context(), "main", head)
	if err == nil || len(err.Error()) > 1000 || strings.Contains(err.Error(), token) || strings.Contains(err.Error(), both) || strings.ContainsAny(err.Error(), "\x00\n") {
		t.Fatalf("%q", err)
	}
	f.header = map[string]string{"Authorization": "Basic " + both}
	_, _, _ = h.Find(t.Context(), "main", head)
}

func TestCredentialsGoNowhereElse(t *testing.T) {
	onEveryHost(t, func(t stage) {
		kind, f, h := t.kind, t.fake, t.host
		for _, to := range []string{"https://evil.example.com/pulls", "http://" + strings.TrimPrefix(kind.repository, "https://"), "//api.evil.example.com/x"} {
			f.requests = nil
			f.before = said(http.StatusFound, map[string]string{"Location": to}, "")
			_, _, err := h.Find(t.Context(), "main", head)
			if err == nil || !strings.Contains(err.Error(), "credentials don't go there") || len(f.requests) != 1 {
				t.Errorf("sent on to %s: %v after %q", to, err, f.requests)
			}
		}
		f.requests = nil
		f.before = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/moved/") {
				return false
			}
			return r.Method != http.MethodGet && said(http.StatusTemporaryRedirect, map[string]string{"Location": "/moved/"}, "")(w, r)
		}
		if _, err := h.Open(t.Context(), request("one")); !errors.Is(err, pullrequest.ErrRefused) || !strings.Contains(err.Error(), "moved") || f.writes() != 1 {
			t.Errorf("a write that is sent on: %v with %d writes", err, f.writes())
		}
	})
}

func TestLimitsAreKept(t *testing.T) {
	now := time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)
	in := func(d time.Duration) string { return fmt.Sprint(now.Add(d).Unix()) }
	for name, c := range map[string]struct {
		host   fakeHost
		status int
		header map[string]string
		body   string
		wait   time.Duration
	}{
		"seconds":               {fakeGitLab, 429, map[string]string{"Retry-After": "30"}, "", 30 * time.Second},
		"a date":                {fakeGitLab, 429, map[string]string{"Retry-After": now.Add(time.Hour).Format(http.TimeFormat)}, "", time.Hour},
		"GitLab's reset":        {fakeGitLab, 429, map[string]string{"RateLimit-Remaining": "0", "RateLimit-Reset": in(time.Minute)}, "", time.Minute},
		"GitHub's first limit":  {fakeGitHub, 403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": in(20 * time.Minute)}, `{"message":"API rate limit exceeded"}`, 20 * time.Minute},
		"GitHub's second limit": {fakeGitHub, 403, map[string]string{"X-RateLimit-Remaining": "99"}, `{"message":"You have exceeded a secondary rate limit"}`, time.Minute},
		"GitHub says how long":  {fakeGitHub, 403, map[string]string{"Retry-After": "7"}, `{"message":"wait"}`, 7 * time.Second},
		"Data Center's bucket":  {fakeDataCenter, 429, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Interval-Seconds": "5"}, "", 5 * time.Second},
		"nothing is said":       {fakeBitbucketCloud, 429, nil, "Rate limit for this resource has been exceeded", time.Minute},
		"nonsense":              {fakeGitea, 429, map[string]string{"Retry-After": "soon"}, "", time.Minute},
		"a year":                {fakeGitea, 429, map[string]string{"Retry-After": "31536000"}, "", 2 * time.Hour},
		"the past":              {fakeGitea, 429, map[string]string{"Retry-After": "-5"}, "", time.Minute},
		"more than can be":      {fakeGitea, 429, map[string]string{"Retry-After": "9223372036854775807"}, "", 2 * time.Hour},
	} {
		t.Setenv("PULL_TOKEN", token)
		clock := now
		f := &fake{t: t, routes: c.host.routes, before: said(c.status, c.header, c.body)}
		h, err := pullrequest.New(c.host.config(), pullrequest.Options{Transport: f, Now: func() time.Time { return clock }})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second asks nobody
			_, _, err = h.Find(t.Context(), "main", head)
			var fault *pullrequest.StatusError
			if !errors.Is(err, pullrequest.ErrRateLimited) || !errors.As(err, &fault) || !fault.RetryAt.Equal(now.Add(c.wait)) || len(f.requests) != 1 {
				t.Errorf("%s: %v after %d requests, want to wait %s", name, err, len(f.requests), c.wait)
			}
		}
		f.before = nil
		clock = now.Add(c.wait)
		if _, _, err := h.Find(t.Context(), "main", head); err != nil {
			t.Errorf("%s: after the wait: %v", name, err)
		}
	}
}

func TestASpentLimitIsNotOverdrawn(t *testing.T) {
	now := time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)
	t.Setenv("PULL_TOKEN", token)
	f := &fake{t: t, routes: fakeGitHub.routes, before: func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.Header().Set("X-RateLimit-Reset", fmt.Sprint(now.Add(time.Minute).Unix()))
		return false
	}}
	h, err := pullrequest.New(fakeGitHub.config(), pullrequest.Options{Transport: f, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Find(t.Context(), "main", head); !errors.Is(err, pullrequest.ErrRateLimited) || len(f.requests) != 1 {
		t.Fatalf("%v after %q", err, f.requests)
	}
}

func TestAnAnswerThatCantBeReadIsAnError(t *testing.T) {
	onEveryHost(t, func(t stage) {
		f, h := t.fake, t.host
		for _, body := range []string{"", "null garbage", `[{"number":1,"state":"open"}]`, `{"values":[{"id":0,"state":"OPEN"}]}`, `[{"iid":1,"number":1,"state":"odd","head":{},"base":{}}]`} {
			f.before = said(http.StatusOK, nil, body)
			if pr, err := h.Open(t.Context(), request("one")); err == nil {
				t.Errorf("%q opened %+v", body, pr)
			}
		}
		f.before = said(http.StatusOK, nil, strings.Repeat(" ", 33<<20))
		if _, _, err := h.Find(t.Context(), "main", head); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("an answer without end: %v", err)
		}
	})
}

// FuzzAnswers has every host answer with anything.
func FuzzAnswers(f *testing.F) {
	for _, p := range []*fakePull{{number: 1, base: "main", head: head, state: "open"}, {number: 2, base: "main", head: head, state: "merged", fork: true}} {
		for i, show := range []any{githubShow(p), gitlabShow(p), giteaShow(p), cloudShow(p, true), centerShow(p)} {
			f.Add(i, 200, marshal([]any{show}))
			f.Add(i, 200, marshal(show))
			f.Add(i, 201, marshal(map[string]any{"values": []any{show}}))
		}
	}
	f.Add(0, 422, []byte(`{"message":{"a":[["b"]]},"errors":[[[[[[["deep"]]]]]]]}`))
	f.Add(3, 302, []byte(`x`))
	f.Setenv("PULL_TOKEN", token)
	f.Fuzz(func(t *testing.T, host, status int, body []byte) {
		kind := fakeHosts[uint(host)%uint(len(fakeHosts))]
		if status < 200 || status > 599 {
			return
		}
		fk := &fake{t: t, before: said(status, nil, string(body))}
		h, err := pullrequest.New(kind.config(), pullrequest.Options{Transport: fk})
		if err != nil {
			t.Fatal(err)
		}
		pr, err := h.Open(t.Context(), request("one"))
		if err == nil && (pr.Number <= 0 || pr.Head == "" || pr.Base == "") {
			t.Errorf("opened %+v", pr)
		}
		_, _, findErr := h.Find(t.Context(), "main", head)
		for _, err := range []error{err, findErr, h.Close(t.Context(), pr, "over"), h.Update(t.Context(), pr, request("two"))} {
			if err != nil && (len(err.Error()) > 2000 || strings.Contains(err.Error(), token)) {
				t.Errorf("%d bytes of error: %.300s", len(err.Error()), err)
			}
		}
	})
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%s differs (run with -update to take it): %v\n%s", name, err, got)
	}
}
