package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/services/automator/pullrequest"
	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/service"
)

// proposals is a config repo on a real Gitea, with what the automator has to
// make pull requests there.
type proposals struct {
	*testing.T
	gitea  *parts.GitHost
	repo   service.Repository
	mirror *gitrepo.Mirror
	host   pullrequest.Host
	work   string // a person's clone
}

func newProposals(t *testing.T) *proposals {
	t.Helper()
	gitea, err := parts.StartGitea(t.Context(), parts.GiteaOptions{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { _ = gitea.Stop() })
	p := &proposals{T: t, gitea: gitea, work: t.TempDir()}
	clone, err := gitea.CreateRepo(t.Context(), "config")
	must(t, err)
	p.git("init", "--quiet", "--initial-branch=main")
	p.git("remote", "add", "origin", strings.Replace(clone, "://", "://"+gitea.User+":"+gitea.Token+"@", 1))
	for _, app := range []string{"merge", "squash", "bare", "rebase", "rebase-merge", "close"} {
		must(t, os.WriteFile(filepath.Join(p.work, app+".yaml"), []byte("image: ghcr.io/acme/web:1.4.1\n"), 0o644))
	}
	p.git("add", "-A")
	p.git("commit", "--quiet", "-m", "begin")
	p.git("push", "--quiet", "origin", "main")
	// Until Gitea has worked off the push, the repository is empty to its API
	// and has no pull requests.
	must(t, parts.Eventually(t.Context(), 30*time.Second, func() error {
		var repo struct{ Empty bool }
		if err := gitea.API(t.Context(), http.MethodGet, p.path(""), nil, &repo); err != nil || repo.Empty {
			return errors.Join(errors.New("the repository is still empty"), err)
		}
		return nil
	}))

	token := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(token, []byte(gitea.Token+"\n"), 0o600))
	p.repo = service.Repository{URL: clone, Branch: "main", Host: service.GitHost{Kind: "gitea"}}
	p.repo.Credentials.Token = &service.Secret{File: token}
	p.host, err = pullrequest.New(p.repo, pullrequest.Options{})
	must(t, err)
	p.mirror, err = gitrepo.Open(t.Context(), gitrepo.Options{URL: clone, Branch: "main", Dir: t.TempDir(), User: gitea.User, Password: gitea.Token})
	must(t, err)
	return p
}

func (p *proposals) git(args ...string) string {
	p.Helper()
	cmd := exec.CommandContext(p.Context(), "git", append([]string{"-c", "user.name=Maria", "-c", "user.email=maria@example.com"}, args...)...)
	cmd.Dir = p.work
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
	return strings.TrimSpace(string(out))
}

// path is one of Gitea's API for the repository.
func (p *proposals) path(format string, args ...any) string {
	return "/repos/" + p.gitea.User + "/config" + fmt.Sprintf(format, args...)
}

// propose pushes a branch for one application, and says what its pull request
// shall be and which change is in it.
func (p *proposals) propose(name, tag string) (pullrequest.Request, promote.Change, *gitrepo.Commit) {
	p.Helper()
	app := events.Application{Cluster: "production", Namespace: "shop", Name: name}
	c := promote.Change{
		Chain: "chain-" + name + "-" + tag, Application: app, Image: events.ImageRepository{Host: "ghcr.io", Path: "acme/web"},
		From: "1.4.1", To: tag + "@sha256:" + strings.Repeat("9f2c4b1d", 8),
	}
	message := promote.Message([]promote.Change{c})
	base, err := p.mirror.Fetch(p.Context())
	must(p, err)
	made, err := p.mirror.PushBranch(p.Context(), base, pullrequest.Branch(app), "", gitrepo.Change{
		Files:   map[string][]byte{name + ".yaml": []byte("image: ghcr.io/acme/web:" + c.To + "\n")},
		Message: message, Name: "Slipway", Email: "slipway@example.com", When: time.Now(),
	})
	must(p, err)
	title, body, err := pullrequest.Describe(message, []pullrequest.Change{{
		Application: app, Image: c.Image, From: c.From, To: c.To, Rule: "policies/shop.yaml#1", Pusher: "octo|cat", Chain: c.Chain,
	}}, p.host.MaxBody())
	must(p, err)
	return pullrequest.Request{Base: "main", Head: pullrequest.Branch(app), Title: title, Body: body, Labels: []string{"slipway"}}, c, made
}

func (p *proposals) open(r pullrequest.Request) pullrequest.PR {
	p.Helper()
	pr, err := p.host.Open(p.Context(), r)
	must(p, err)
	return pr
}

// find waits until the pull request is as told: Gitea sees a push a moment
// after it was taken.
func (p *proposals) find(head string, is func(pullrequest.PR) bool) pullrequest.PR {
	p.Helper()
	var pr pullrequest.PR
	must(p, parts.Eventually(p.Context(), 20*time.Second, func() error {
		got, found, err := p.host.Find(p.Context(), "main", head)
		if err == nil && (!found || !is(got)) {
			err = fmt.Errorf("found %v: %+v", found, got)
		}
		pr = got
		return err
	}))
	return pr
}

func (p *proposals) branches() string {
	p.Helper()
	return p.git("ls-remote", "origin", "refs/heads/slipway/*")
}

// mergeWay is how people merge.
type mergeWay struct {
	app, do string
	// described says that the commit gets the description as its message, as
	// Gitea's page offers it; its API alone does not.
	described bool
	told      bool // the commits of main tell of the change
}

func TestPullRequestsOnAGitea(t *testing.T) {
	t.Parallel()
	p := newProposals(t)
	for _, way := range []mergeWay{
		{app: "merge", do: "merge", told: true},
		{app: "squash", do: "squash", described: true, told: true},
		{app: "bare", do: "squash"},
		{app: "rebase", do: "rebase", told: true},
		{app: "rebase-merge", do: "rebase-merge", told: true},
	} {
		t.Run(way.app, func(t *testing.T) {
			p := *p
			p.T = t
			p.isUpdatedAndMerged(way)
		})
	}
	t.Run("close", func(t *testing.T) {
		p := *p
		p.T = t
		p.isClosed("close")
	})
	t.Run("faults", func(t *testing.T) {
		p := *p
		p.T = t
		p.isRefused("close")
	})
}

// isUpdatedAndMerged is the life of a pull request that people take.
func (p *proposals) isUpdatedAndMerged(way mergeWay) {
	before := p.git("ls-remote", "origin", "refs/heads/main")[:40]
	r, _, first := p.propose(way.app, "1.4.2")
	pr := p.open(r)
	if pr.State != pullrequest.Open || pr.Commit != first.Hash() || pr.Base != "main" || pr.Head != r.Head || !strings.HasPrefix(pr.URL, p.gitea.URL) {
		p.Fatalf("opened %+v of %s", pr, first.Hash())
	}
	if again := p.open(r); again.Number != pr.Number {
		p.Fatalf("opened %d and %d for one branch", pr.Number, again.Number)
	}
	r, want, second := p.propose(way.app, "1.4.3")
	if first.Hash() == second.Hash() {
		p.Fatal("the branch didn't move")
	}
	must(p, p.host.Update(p.Context(), pr, r))
	got := p.find(r.Head, func(pr pullrequest.PR) bool { return pr.Commit == second.Hash() })
	if got.Number != pr.Number || got.Title != r.Title || strings.TrimSpace(got.Body) != strings.TrimSpace(r.Body) || got.State != pullrequest.Open {
		p.Fatalf("after the update %+v, want %+v", got, r)
	}
	var labels []struct{ Name string }
	must(p, p.gitea.API(p.Context(), http.MethodGet, p.path("/issues/%d/labels", pr.Number), nil, &labels))
	if len(labels) != 1 || labels[0].Name != "slipway" {
		p.Fatalf("labels %+v", labels)
	}

	// Gitea must have tried the merge before it does it.
	merge := map[string]any{"Do": way.do}
	if way.described {
		merge["MergeMessageField"] = got.Body
	}
	must(p, parts.Eventually(p.Context(), 30*time.Second, func() error {
		return p.gitea.API(p.Context(), http.MethodPost, p.path("/pulls/%d/merge", pr.Number), merge, nil)
	}))
	got = p.find(r.Head, func(pr pullrequest.PR) bool { return pr.State == pullrequest.Merged && pr.Merge != "" })
	after := p.git("ls-remote", "origin", "refs/heads/main")[:40]
	if got.Number != pr.Number || got.Merge != after {
		p.Fatalf("merged %+v, main is at %s", got, after)
	}
	must(p, p.host.Close(p.Context(), pr, "too late"))
	for range 2 {
		must(p, p.mirror.DeleteBranch(p.Context(), r.Head, second.Hash(), ""))
	}
	if strings.Contains(p.branches(), r.Head) {
		p.Fatalf("the host still has %s", p.branches())
	}
	if got := p.find(r.Head, func(pullrequest.PR) bool { return true }); got.State != pullrequest.Merged || got.Head != r.Head {
		p.Fatalf("without its branch the pull request is %+v", got)
	}
	if told := promote.ParseMessage(got.Title + "\n\n" + got.Body); !reflect.DeepEqual(told, []promote.Change{want}) {
		p.Errorf("the pull request tells of %v, want %v", told, want)
	}
	told := p.tells(before, after)
	if way.told && len(told) == 0 || slices.ContainsFunc(told, func(c promote.Change) bool { return !reflect.DeepEqual(c, want) }) {
		p.Errorf("main tells of %v, want %v", told, want)
	}
}

// tells are the changes that the commits from before to after tell of.
func (p *proposals) tells(before, after string) []promote.Change {
	p.Helper()
	p.git("fetch", "--quiet", "origin", "main")
	var told []promote.Change
	for commit := range strings.FieldsSeq(p.git("rev-list", before+".."+after)) {
		message := p.git("log", "-1", "--format=%B", commit)
		p.Logf("%s:\n%s", commit[:12], message)
		told = append(told, promote.ParseMessage(message)...)
	}
	return told
}

// isClosed is the life of one that is superseded.
func (p *proposals) isClosed(app string) {
	r, _, made := p.propose(app, "1.4.2")
	pr := p.open(r)
	for range 2 {
		must(p, p.host.Close(p.Context(), pr, "superseded by 1.4.3"))
	}
	must(p, p.mirror.DeleteBranch(p.Context(), r.Head, made.Hash(), ""))
	var comments []struct{ Body string }
	must(p, p.gitea.API(p.Context(), http.MethodGet, p.path("/issues/%d/comments", pr.Number), nil, &comments))
	if len(comments) != 1 || comments[0].Body != "superseded by 1.4.3" {
		p.Errorf("it says %+v", comments)
	}
	got := p.find(r.Head, func(pr pullrequest.PR) bool { return pr.State == pullrequest.Closed })
	if got.Number != pr.Number || got.Merge != "" {
		p.Errorf("closed %+v", got)
	}
	if err := p.host.Update(p.Context(), pr, r); !errors.Is(err, pullrequest.ErrNotOpen) {
		p.Errorf("updated a closed one: %v", err)
	}
	r, _, _ = p.propose(app, "1.4.3")
	next := p.open(r)
	if next.Number == pr.Number {
		p.Errorf("opened the closed one again: %+v", next)
	}
	must(p, p.host.Close(p.Context(), next, ""))
}

// isRefused is what Gitea says to wrong requests.
func (p *proposals) isRefused(app string) {
	r, _, _ := p.propose(app, "1.4.4")
	r.Head = "slipway/nothing"
	if _, err := p.host.Open(p.Context(), r); err == nil {
		p.Error("opened one without a branch")
	} else {
		p.Log(err)
	}
	elsewhere := p.repo
	elsewhere.URL = strings.Replace(elsewhere.URL, "/config", "/nothing", 1)
	host, err := pullrequest.New(elsewhere, pullrequest.Options{})
	must(p, err)
	if _, err := host.Open(p.Context(), r); !errors.Is(err, pullrequest.ErrNotFound) {
		p.Errorf("a repository that isn't there: %v", err)
	}
	wrong := filepath.Join(p.TempDir(), "token")
	must(p, os.WriteFile(wrong, []byte("0123456789012345678901234567890123456789"), 0o600))
	strange := p.repo
	strange.Credentials.Token = &service.Secret{File: wrong}
	host, err = pullrequest.New(strange, pullrequest.Options{})
	must(p, err)
	if _, err := host.Open(p.Context(), r); !errors.Is(err, pullrequest.ErrUnauthorized) || strings.Contains(err.Error(), "0123456789") {
		p.Errorf("a wrong token: %v", err)
	}
	if got := p.branches(); !strings.Contains(got, "slipway/production-shop-"+app) {
		p.Errorf("the branches are %s", got)
	}
}
