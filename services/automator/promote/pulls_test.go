package promote_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/services/automator/pullrequest"
)

// pulls is a host's memory of pull requests; the real one is e2e's.
type pulls struct {
	mu    sync.Mutex
	list  []*pullrequest.PR
	calls int
	err   error
}

func (p *pulls) MaxBody() int { return 60_000 }

func (p *pulls) Find(_ context.Context, base, head string) (pullrequest.PR, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	for _, pr := range slices.Backward(p.list) {
		if pr.Base == base && pr.Head == head {
			return *pr, true, p.err
		}
	}
	return pullrequest.PR{}, false, p.err
}

func (p *pulls) Open(ctx context.Context, r pullrequest.Request) (pullrequest.PR, error) {
	pr, found, err := p.Find(ctx, r.Base, r.Head)
	if err != nil {
		return pr, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if found && pr.State == pullrequest.Open {
		pr := p.list[pr.Number-1]
		pr.Title, pr.Body = r.Title, r.Body
		return *pr, nil
	}
	made := &pullrequest.PR{Number: int64(len(p.list) + 1), URL: "https://git.example.com/7", State: pullrequest.Open, Base: r.Base, Head: r.Head, Title: r.Title, Body: r.Body}
	p.list = append(p.list, made)
	return *made, nil
}

func (p *pulls) Update(context.Context, pullrequest.PR, pullrequest.Request) error { return p.err }

func (p *pulls) Close(_ context.Context, pr pullrequest.PR, _ string) error {
	if p.err == nil {
		p.list[pr.Number-1].State = pullrequest.Closed
	}
	return p.err
}

// states are the titles and states of all pull requests.
func (p *pulls) states() string {
	var all []string
	for _, pr := range p.list {
		all = append(all, strings.TrimPrefix(pr.Title, "slipway: move production/shop/web to ")+" "+string(pr.State))
	}
	return strings.Join(all, ", ")
}

func pulling(t *testing.T) (*bench, *pulls) {
	t.Helper()
	return pullingWith(t, ruled("mode: pullRequest"))
}

func pullingWith(t *testing.T, files map[string]string) (*bench, *pulls) {
	t.Helper()
	b := start(t, files)
	host := &pulls{}
	var err error
	b.deploy.Pulls, err = promote.OpenPulls(t.Context(), b.bus, func(string) (pullrequest.Host, error) { return host, nil })
	must(t, err)
	run(t, b.deploy.Pulls.Run)
	return b, host
}

// proposed has a pull request for 1.1.0, at a time.
func proposed(t *testing.T) (b *bench, host *pulls, now time.Time) {
	t.Helper()
	b, host = pulling(t)
	now = time.Now()
	b.at(now)
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	b.branches()
	b.git.Pull()
	return b, host, now
}

const branch = "origin/slipway/production-shop-web"

func (b *bench) branches() string {
	b.git.Git("fetch", "-q", "--prune", "origin")
	return b.git.Git("branch", "-r")
}

func TestAPullRequestIsOpenedUpdatedInPlaceAndMerged(t *testing.T) {
	b, host := pulling(t)
	b.pushed("1.1.0", digestA)
	for range 3 {
		must(t, b.work("ghcr.io/acme/web:1.1.0"))
	}
	if got := host.states(); got != "1.1.0 open" || b.uses() != "1.0.0" {
		t.Fatalf("pull requests: %s; uses %s: %q", got, b.uses(), b.decisions())
	}
	b.pushed("1.2.0", digestB)
	must(t, b.work("ghcr.io/acme/web:1.2.0"))
	b.branches()
	if got := host.states(); got != "1.2.0 open" || !strings.Contains(b.git.Git("show", branch+":apps/web/pod.yaml"), "web:1.2.0@"+digestB) {
		t.Fatalf("pull requests: %s", got)
	}
	// A person merges it.
	b.git.Pull()
	b.git.Git("merge", "-q", "--no-ff", "--no-edit", branch)
	b.git.Git("push", "-q", "origin", "HEAD:main")
	host.list[0].State = pullrequest.Merged
	must(t, b.work("head"))
	if b.uses() != "1.2.0" || strings.Contains(b.branches(), "slipway/") {
		t.Errorf("uses %s, branches %s", b.uses(), b.branches())
	}
	merged := b.told(events.ChangeMergedType)
	if len(merged) != 1 || merged[0].ChainID != "chain-1.2.0" {
		t.Errorf("told %+v", merged)
	}
	if created := b.told(events.ChangeCreatedType); len(created) != 2 {
		t.Errorf("%d openings were told, want 2", len(created))
	}
}

// Gitea moves the branch, and tells of it, before it says that the pull request
// is merged. Neither is it closed then, nor is a newer version put into it.
func TestAPullRequestThatIsBeingMergedIsLeftToItsHost(t *testing.T) {
	b, host, now := proposed(t)
	b.git.Git("merge", "-q", "--no-ff", "--no-edit", branch)
	b.git.Git("push", "-q", "origin", "HEAD:main")
	must(t, b.work("head"))
	b.pushed("1.2.0", digestB)
	must(t, b.work("ghcr.io/acme/web:1.2.0"))
	if got := host.states(); got != "1.1.0 open" {
		t.Fatalf("pull requests: %s", got)
	}
	if due := b.dueAt(web); due.IsZero() || due.After(now.Add(time.Minute)) {
		t.Fatalf("it is looked at again %v, now is %v", due, now)
	}
	host.list[0].State = pullrequest.Merged
	must(t, b.work(web)) // when its time has come
	if got := host.states(); got != "1.1.0 merged, 1.2.0 open" {
		t.Errorf("pull requests: %s", got)
	}
}

// A person may have made the same change beside it.
func TestAPullRequestOfWhatTheBranchHasIsClosed(t *testing.T) {
	b, host, now := proposed(t)
	b.git.Git("merge", "-q", "--squash", branch)
	b.git.Git("commit", "-q", "-m", "by hand")
	b.git.Git("push", "-q", "origin", "HEAD:main")
	for _, at := range []time.Time{now, now.Add(30 * time.Second), now.Add(2 * time.Minute)} {
		if got := host.states(); got != "1.1.0 open" {
			t.Errorf("before %v: %s", at.Sub(now), got)
		}
		b.at(at)
		must(t, b.work("head", web))
	}
	if got := host.states(); got != "1.1.0 closed" || strings.Contains(b.branches(), "slipway/") {
		t.Errorf("pull requests: %s, branches %s", got, b.branches())
	}
}

// A host that refuses to close one is asked again, though nothing else asks for
// a look at the application.
func TestAPullRequestThatCantBeClosedNowIsClosedLater(t *testing.T) {
	b, host, _ := proposed(t)
	b.git.Commit("none of that", map[string]string{holdFile: hold(`tag: "1.1.0"`)})
	host.err = &pullrequest.StatusError{Kind: "gitea", Method: http.MethodPatch, Path: "/pulls/1", Status: http.StatusForbidden, Words: "no"}
	must(t, b.work("head"))
	if b.dueAt(web).IsZero() {
		t.Fatal("nobody tries again")
	}
	host.err = nil
	must(t, b.work(web)) // when its time has come
	if got := host.states(); got != "1.1.0 closed" || strings.Contains(b.branches(), "slipway/") {
		t.Errorf("pull requests: %s, branches %s", got, b.branches())
	}
}

// A host may make a commit of its own of a pull request, with the title alone.
func TestAPullRequestThatIsSquashedIsTold(t *testing.T) {
	for name, message := range map[string]string{"with its description": "", "with its title alone": "slipway: move production/shop/web to 1.1.0 (#1)"} {
		t.Run(name, func(t *testing.T) {
			b, host := pulling(t)
			b.pushed("1.1.0", digestA)
			must(t, b.work("ghcr.io/acme/web:1.1.0"))
			b.branches()
			if message == "" {
				message = b.git.Git("log", "-1", "--format=%B", branch)
			}
			b.git.Pull()
			b.git.Git("merge", "-q", "--squash", branch)
			b.git.Git("commit", "-q", "-m", message)
			b.git.Git("push", "-q", "origin", "HEAD:main")
			host.list[0].State, host.list[0].Merge = pullrequest.Merged, b.git.Git("rev-parse", "HEAD")
			b.git.Commit("a person goes on", map[string]string{"README.md": "x"})
			must(t, b.work("head"))
			merged := b.told(events.ChangeMergedType)
			if len(merged) != 1 || merged[0].ChainID != "chain-1.1.0" || merged[0].Payload.(events.ChangeMerged).Commit != host.list[0].Merge {
				t.Errorf("told %+v", merged)
			}
		})
	}
}

func two(rule string) map[string]string {
	files := ruled(rule)
	files["cluster/api.yaml"] = application("api", "shop", "apps/api")
	files["apps/api/pod.yaml"] = pod("ghcr.io/acme/api:1.0.0")
	return files
}

const batchBranch = "origin/slipway/batch_shop-0-_d9112cdeeb"

func TestOnePullRequestForAllOfARule(t *testing.T) {
	b, host := pullingWith(t, two("mode: pullRequest, pullRequests: batch"))
	b.pushed("1.1.0", digestA)
	b.pushedImage("ghcr.io/acme/api", "1.5.0", digestB)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	must(t, b.work("ghcr.io/acme/api:1.5.0"))
	b.branches()
	web, api := b.git.Git("show", batchBranch+":apps/web/pod.yaml"), b.git.Git("show", batchBranch+":apps/api/pod.yaml")
	if got := host.states(); got != "slipway: move 2 images open" || !strings.Contains(web, "web:1.1.0@"+digestA) || !strings.Contains(api, "api:1.5.0@"+digestB) {
		t.Fatalf("pull requests: %s\n%s\n%s", got, web, api)
	}
	// One application moves on, the other is held: the same one is updated.
	b.pushed("1.2.0", digestB)
	must(t, b.work("ghcr.io/acme/web:1.2.0"))
	b.git.Pull()
	b.git.Commit("not that", map[string]string{".slipway/holds/production/shop/api.yaml": strings.ReplaceAll(hold(`tag: "1.5.0"`), "web", "api")})
	must(t, b.work("head"))
	b.branches()
	if got := host.states(); got != "1.2.0 open" || !strings.Contains(b.git.Git("show", batchBranch+":apps/api/pod.yaml"), "api:1.0.0") {
		t.Fatalf("pull requests: %s", got)
	}
	b.git.Pull()
	b.git.Git("merge", "-q", "--no-ff", "--no-edit", batchBranch)
	b.git.Git("push", "-q", "origin", "HEAD:main")
	host.list[0].State = pullrequest.Merged
	must(t, b.work("head"))
	if merged := b.told(events.ChangeMergedType); b.uses() != "1.2.0" || strings.Contains(b.branches(), "slipway/") || len(merged) != 1 {
		t.Errorf("uses %s, branches %s, told %+v", b.uses(), b.branches(), merged)
	}
}

// What can't be edited in one application keeps nobody else's commit back.
func TestAPullRequestThatCantBeMadeIsToldAndHoldsUpNobody(t *testing.T) {
	files := two("mode: pullRequest")
	files["apps/web/pod.yaml"] = pod(`"ghcr.io/\u0061cme/web:1.0.0"`)
	b, host := pullingWith(t, files)
	b.at(time.Now())
	b.pushed("1.1.0", digestA)
	b.pushedImage("ghcr.io/acme/api", "1.5.0", digestB)
	must(t, b.work("ghcr.io/acme/web:1.1.0", "ghcr.io/acme/api:1.5.0"))
	if got := host.states(); got != "slipway: move production/shop/api to 1.5.0 open" {
		t.Errorf("pull requests: %s", got)
	}
	if !slices.ContainsFunc(b.decisions(), func(d string) bool {
		return strings.HasPrefix(d, "blocked: the pull request can't be made: production/shop/web: apps/web/pod.yaml:6:")
	}) {
		t.Errorf("decided %q", b.decisions())
	}
}

func TestAPullRequestThatIsNotWantedAnyMoreIsClosed(t *testing.T) {
	b, host := pulling(t)
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	b.git.Pull()
	b.git.Commit("none of that", map[string]string{holdFile: hold(`tag: "1.1.0"`)})
	must(t, b.work("head"))
	if got := host.states(); got != "1.1.0 closed" || strings.Contains(b.branches(), "slipway/") {
		t.Errorf("pull requests: %s, branches %s", got, b.branches())
	}
}

func TestAPullRequestOfAnApplicationThatIsGoneIsClosed(t *testing.T) {
	b, host := pullingWith(t, two("mode: pullRequest"))
	b.pushed("1.1.0", digestA)
	b.pushedImage("ghcr.io/acme/api", "1.5.0", digestB)
	must(t, b.work("ghcr.io/acme/web:1.1.0", "ghcr.io/acme/api:1.5.0"))
	b.git.Pull()
	b.git.Git("rm", "-q", "cluster/api.yaml")
	b.git.Git("commit", "-q", "-m", "no api")
	b.git.Git("push", "-q", "origin", "HEAD:main")
	must(t, b.work("head"))
	if got := host.states(); got != "slipway: move production/shop/api to 1.5.0 closed, 1.1.0 open" {
		t.Errorf("pull requests: %s", got)
	}
	if branches := b.branches(); strings.Contains(branches, "shop-api") || !strings.Contains(branches, "shop-web") {
		t.Errorf("branches %s", branches)
	}
}

// A rule's pull request goes on with others where those that it was for are gone.
func TestAPullRequestOfARuleOutlivesItsApplications(t *testing.T) {
	b, host := pullingWith(t, two("mode: pullRequest, pullRequests: batch"))
	b.pushedImage("ghcr.io/acme/api", "1.5.0", digestB)
	must(t, b.work("ghcr.io/acme/api:1.5.0"))
	b.git.Pull()
	b.git.Git("rm", "-q", "cluster/api.yaml")
	b.git.Git("commit", "-q", "-m", "no api")
	b.git.Git("push", "-q", "origin", "HEAD:main")
	b.pushed("1.1.0", digestA)
	must(t, b.work("head", "ghcr.io/acme/web:1.1.0"))
	b.branches()
	if got := host.states(); got != "1.1.0 open" || !strings.Contains(b.git.Git("show", batchBranch+":apps/web/pod.yaml"), "web:1.1.0@"+digestA) {
		t.Errorf("pull requests: %s", got)
	}
}

func TestAPullRequestThatAPersonClosedIsNotOpenedAgain(t *testing.T) {
	b, host := pulling(t)
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	host.list[0].State = pullrequest.Closed
	b.git.Pull()
	b.git.Commit("beside it", map[string]string{"apps/web/other.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"})
	must(t, b.work("head", "ghcr.io/acme/web:1.1.0"))
	if got := host.states(); got != "1.1.0 closed" {
		t.Errorf("pull requests: %s", got)
	}
	b.pushed("1.2.0", digestB)
	must(t, b.work("ghcr.io/acme/web:1.2.0"))
	if got := host.states(); got != "1.1.0 closed, 1.2.0 open" {
		t.Errorf("pull requests: %s", got)
	}
}

func TestAHostThatRefusesHoldsUpNobody(t *testing.T) {
	b, host := pulling(t)
	host.err = &pullrequest.StatusError{Kind: "gitea", Method: http.MethodGet, Path: "/pulls", Status: http.StatusForbidden, Words: "no"}
	now := time.Now()
	b.at(now)
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if got := b.last(); !strings.HasPrefix(got, "blocked: gitea: GET /pulls: 403") {
		t.Fatalf("decided %q", got)
	}
	// A hiccup costs seconds; who goes on refusing is asked every few minutes.
	var pauses []time.Duration
	for range 8 {
		pauses = append(pauses, b.dueAt(web).Sub(now))
		must(t, b.work(web))
	}
	if pauses[0] > 10*time.Second || !slices.IsSorted(pauses) || pauses[7] != 5*time.Minute {
		t.Errorf("it is asked again after %v", pauses)
	}
	host.err = nil
	must(t, b.work(web)) // when its time has come
	if got := host.states(); got != "1.1.0 open" {
		t.Errorf("pull requests: %s", got)
	}
	host.err = errors.New("no such host")
	b.pushed("1.2.0", digestB)
	if err := b.work("ghcr.io/acme/web:1.2.0"); err == nil {
		t.Error("a host that can't be reached is not tried again")
	}
}
