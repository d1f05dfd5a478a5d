package parts_test

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/e2e/parts"
)

const secret = "hush"

func contains(text, part string) bool { return strings.Contains(text, part) }

// withUser puts credentials into a URL.
func withUser(url, user, password string) string {
	return strings.Replace(url, "://", "://"+user+":"+password+"@", 1)
}

type pushed struct {
	Ref, Before, After       string
	Created, Deleted, Forced bool
	Repository               struct {
		FullName string `json:"full_name"`
		CloneURL string `json:"clone_url"`
	}
	Pusher struct{ Name string }
}

func TestGiteaSignsWhatItTellsOfAPush(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	gitea, err := parts.StartGitea(t.Context(), parts.GiteaOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	before := *gitea
	if err := gitea.Stop(); err != nil {
		t.Fatal(err)
	}
	if gitea, err = parts.StartGitea(t.Context(), parts.GiteaOptions{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	ends(t, gitea.Stop)
	if gitea.URL != before.URL || gitea.Token != before.Token || gitea.Password != before.Password {
		t.Fatalf("after a restart %+v, before %+v", gitea, before)
	}
	url, requests := ear(t)
	clone, err := gitea.CreateRepo(t.Context(), "config")
	if err != nil {
		t.Fatal(err)
	}
	if err := gitea.AddWebhook(t.Context(), "config", url, secret); err != nil {
		t.Fatal(err)
	}
	w := newWork(t, withUser(clone, gitea.User, gitea.Token))
	commit := w.commit("second")
	w.git("push", "--quiet", "origin", "main")
	request := next(t, requests)
	if got, want := request.header.Get("X-Gitea-Signature"), signature(secret, request.body); got != want {
		t.Fatalf("signed %q, not %q", got, want)
	}
	var event pushed
	if err := json.Unmarshal(request.body, &event); err != nil {
		t.Fatal(err)
	}
	if event.Ref != "refs/heads/main" || event.After != commit || event.Repository.CloneURL != clone {
		t.Fatalf("told of %+v, pushed %s to %s", event, commit, clone)
	}
}

// Gitea would write the keys of its people to the home of whoever runs it.
func TestGiteaLeavesTheKeysOfWhoRunsIt(t *testing.T) {
	t.Parallel()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	written := func() string {
		info, err := os.Stat(filepath.Join(home, ".ssh", "authorized_keys"))
		if err != nil {
			return err.Error()
		}
		return info.ModTime().String()
	}
	before := written()
	gitea, err := parts.StartGitea(t.Context(), parts.GiteaOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ends(t, gitea.Stop)
	if after := written(); after != before {
		t.Errorf("the keys were written: %s, before %s", after, before)
	}
}

func TestGitHTTPSignsWhatItTellsOfAPush(t *testing.T) {
	t.Parallel()
	url, requests := ear(t)
	git, err := parts.StartGitHTTP(t.Context(), parts.GitHTTPOptions{
		Dir: t.TempDir(), HookURL: url, HookSecret: secret, User: "maria", Password: "s3cret",
	})
	if err != nil {
		t.Fatal(err)
	}
	ends(t, git.Stop)
	clone, err := git.CreateRepo(t.Context(), "acme/config")
	if err != nil {
		t.Fatal(err)
	}
	w := newWork(t, withUser(clone, "maria", "s3cret"))
	first := w.git("rev-parse", "HEAD")
	w.git("push", "--quiet", "origin", "main")
	second := w.commit("second")
	w.git("push", "--quiet", "origin", "main")
	w.git("reset", "--quiet", "--hard", first)
	third := w.commit("third")
	w.git("push", "--quiet", "--force", "origin", "main")
	w.git("push", "--quiet", "origin", "main:refs/heads/other")
	w.git("push", "--quiet", "origin", ":other")

	const none = "0000000000000000000000000000000000000000"
	for _, want := range []pushed{
		{Ref: "refs/heads/main", Before: none, After: first, Created: true},
		{Ref: "refs/heads/main", Before: first, After: second},
		{Ref: "refs/heads/main", Before: second, After: third, Forced: true},
		{Ref: "refs/heads/other", Before: none, After: third, Created: true},
		{Ref: "refs/heads/other", Before: third, After: none, Deleted: true},
	} {
		want.Repository.FullName, want.Repository.CloneURL, want.Pusher.Name = "acme/config", clone, "maria"
		request := next(t, requests)
		var got pushed
		if err := json.Unmarshal(request.body, &got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("told of %+v, pushed %+v", got, want)
		}
		h := request.header
		if h.Get("X-Hub-Signature-256") != "sha256="+signature(secret, request.body) || h.Get("X-GitHub-Event") != "push" || len(h.Get("X-GitHub-Delivery")) != 36 {
			t.Errorf("the headers are %v", h)
		}
	}
}

func TestGitHTTPRefusesStrangers(t *testing.T) {
	t.Parallel()
	git, err := parts.StartGitHTTP(t.Context(), parts.GitHTTPOptions{Dir: t.TempDir(), User: "maria", Password: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	ends(t, git.Stop)
	clone, err := git.CreateRepo(t.Context(), "config")
	if err != nil {
		t.Fatal(err)
	}
	for name, remote := range map[string]string{"nobody": clone, "a wrong password": withUser(clone, "maria", "guess")} {
		if out, err := newWork(t, remote).try("push", "origin", "main"); err == nil {
			t.Errorf("%s may push: %s", name, out)
		}
	}
}

func TestGitHTTPTakesAPushWhateverTheHookMeets(t *testing.T) {
	t.Parallel()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer broken.Close()
	dir := t.TempDir()
	git, err := parts.StartGitHTTP(t.Context(), parts.GitHTTPOptions{Dir: dir, HookURL: broken.URL, HookSecret: secret})
	if err != nil {
		t.Fatal(err)
	}
	clone, err := git.CreateRepo(t.Context(), "config")
	if err != nil {
		t.Fatal(err)
	}
	w := newWork(t, clone)
	// More than git keeps before it sends chunks.
	w.git("config", "http.postBuffer", "70000")
	var much strings.Builder
	for much.Len() < 300_000 {
		much.WriteString(rand.Text())
	}
	commit := w.commit(much.String())
	w.git("push", "origin", "main")
	if err := git.Stop(); err != nil {
		t.Fatal(err)
	}
	again, err := parts.StartGitHTTP(t.Context(), parts.GitHTTPOptions{Dir: dir, Addr: strings.TrimPrefix(git.URL, "http://")})
	if err != nil {
		t.Fatal(err)
	}
	ends(t, again.Stop)
	if got := w.git("ls-remote", "origin", "refs/heads/main"); !strings.HasPrefix(got, commit) {
		t.Fatalf("after a restart main is %q, pushed %s", got, commit)
	}
}
