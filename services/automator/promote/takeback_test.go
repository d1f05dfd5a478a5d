package promote_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/services/automator/pullrequest"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

// protect has the branch take commits of people only.
func (b *bench) protect() {
	b.t.Helper()
	hook := "#!/bin/sh\n[ \"$1\" = refs/heads/main ] && [ \"$(git log -1 --format=%an $3)\" = Slipway ] || exit 0\necho 'main is protected: ask maria' >&2\nexit 1\n"
	must(b.t, os.WriteFile(filepath.Join(b.git.Bare, "hooks", "update"), []byte(hook), 0o755))
}

// behind is an application that went to 1.2.0 and has a host of pull requests.
func behind(t *testing.T, rule string) (*bench, *pulls) {
	t.Helper()
	b := deployed(t, ruled(rule), "1.1.0", "1.2.0")
	host := &pulls{}
	var err error
	b.deploy.Pulls, err = promote.OpenPulls(t.Context(), b.bus, func(string) (pullrequest.Host, error) { return host, nil })
	must(t, err)
	b.deploy.Waiting, err = promote.OpenWaiting(t.Context(), b.bus)
	must(t, err)
	run(t, b.deploy.Pulls.Run, b.deploy.Waiting.Run)
	b.repos.Waiting = b.deploy.Waiting
	return b, host
}

// rollbackBranch is that of a rollback without a version.
var rollbackBranch = branchOf(promote.Request{Kind: promote.Rollback})

// branchOf is that of what the bench asks for.
func branchOf(q promote.Request) string {
	app := events.Application{Cluster: "production", Namespace: "shop", Name: "web"}
	return "origin/" + pullrequest.RollbackBranch(app, events.ChainFor("test", string(q.Kind), q.To, q.Tag, q.Digest))
}

// mergeIt merges a branch as a person does.
func (b *bench) mergeIt(host *pulls, branch string) {
	b.t.Helper()
	b.branches()
	b.git.Pull()
	b.git.Git("merge", "-q", "--no-ff", "-m", "a person merges", branch)
	b.git.Git("push", "-q", "origin", "HEAD:main")
	host.list[len(host.list)-1].State = pullrequest.Merged
}

func TestARollbackThatTheBranchRefusesBecomesAPullRequest(t *testing.T) {
	for name, rule := range map[string]string{"by its protection": "", "by the rule": "rollback: pullRequest"} {
		t.Run(name, func(t *testing.T) {
			b, host := behind(t, rule)
			if rule == "" {
				b.protect()
			}
			for range 3 { // worked on again after crashes
				must(t, b.ask(promote.Request{Kind: promote.Rollback, Reason: "5xx"}))
			}
			if got := host.states(); got != "slipway: roll back production/shop/web to 1.1.0 open" || b.uses() != "1.2.0" {
				t.Fatalf("pull requests: %s; uses %s: %q", got, b.uses(), b.decisions())
			}
			got := b.last()
			if !strings.HasPrefix(got, "propose: it waits to be merged: https://git.example.com/7") || (rule == "") != strings.Contains(got, "main is protected: ask maria") {
				t.Errorf("told %q", got)
			}
			// It is suspended, and the version held, from the request on.
			b.pushed("1.3.0", digestOf(3))
			must(t, b.work("ghcr.io/acme/web:1.3.0"))
			if got := b.last(); got != "skip: the application is suspended: its rollback waits to be merged: https://git.example.com/7" {
				t.Errorf("decided %q", got)
			}
			b.mergeIt(host, rollbackBranch)
			must(t, os.RemoveAll(filepath.Join(b.git.Bare, "hooks", "update")))
			must(t, b.work("head"))
			if _, waits := b.deploy.Waiting.Of("production/shop/web"); waits || strings.Contains(b.branches(), "slipway/") {
				t.Errorf("it still waits; branches %s", b.branches())
			}
			if got := b.holds(); b.uses() != "1.3.0" || got != "placed sha256:11" {
				t.Errorf("uses %s, holds %s: %q", b.uses(), got, b.decisions())
			}
			b.pushed("1.9.0", digestOf(1))
			must(t, b.work("ghcr.io/acme/web:1.9.0"))
			if b.uses() != "1.3.0" {
				t.Errorf("the held digest came back: %q", b.decisions())
			}
		})
	}
}

func TestAHoldThatTheBranchRefusesIsInForceAtOnce(t *testing.T) {
	b, host := behind(t, "")
	b.protect()
	must(t, b.ask(promote.Request{Kind: promote.Place, Image: "ghcr.io/acme/web", Tag: "1.3.0", Reason: "not yet"}))
	must(t, os.RemoveAll(filepath.Join(b.git.Bare, "hooks", "update")))
	b.pushed("1.3.0", digestOf(3))
	must(t, b.work("ghcr.io/acme/web:1.3.0"))
	if got := b.last(); got != "hold: 1.3.0 is held by maria: not yet" || host.states() != "slipway: hold production/shop/web: 1.3.0 open" {
		t.Fatalf("decided %q, pull requests: %s", got, host.states())
	}
	held, err := b.repos.Holds(b.t.Context())
	must(b.t, err)
	if len(held) != 1 || held[0].Tag != "1.3.0" || held[0].Waits != "https://git.example.com/7" {
		t.Errorf("listed are %+v", held)
	}
	b.pushed("1.4.0", digestOf(4)) // the application goes on
	must(t, b.work("ghcr.io/acme/web:1.4.0"))
	if b.uses() != "1.4.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}

// What a person closes is no longer asked for, and the policies rule again.
func TestARollbackThatAPersonClosedEnds(t *testing.T) {
	b, host := behind(t, "rollback: pullRequest")
	now := time.Now()
	b.at(now)
	must(t, b.ask(promote.Request{Kind: promote.Rollback}))
	b.pushed("1.3.0", digestOf(3))
	must(t, b.work("ghcr.io/acme/web:1.3.0"))
	host.list[0].State = pullrequest.Closed
	b.at(now.Add(5 * time.Minute))
	must(t, b.work("merges production/shop/web")) // when its time has come
	if b.uses() != "1.3.0" || strings.Contains(b.branches(), "slipway/") {
		t.Errorf("uses %s, branches %s: %q", b.uses(), b.branches(), b.decisions())
	}
	if !strings.Contains(strings.Join(b.decisions(), "\n"), "skip: its pull request was closed: https://git.example.com/7") {
		t.Errorf("told %q", b.decisions())
	}
}

func TestWhoForgetsARollbackAndDiesLeavesItsApplicationToBeDecidedOn(t *testing.T) {
	b, _ := behind(t, "rollback: pullRequest")
	must(t, b.ask(promote.Request{Kind: promote.Rollback}))
	b.pushed("1.3.0", digestOf(3))
	must(t, b.work("ghcr.io/acme/web:1.3.0"))
	must(t, b.deploy.Waiting.Delete(t.Context(), "production/shop/web"))
	must(t, b.work("merges production/shop/web"))
	if b.uses() != "1.3.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}

// A second request adds to the first: none is lost.
func TestWhatWaitsStaysWithTheNextRequest(t *testing.T) {
	b, host := behind(t, "rollback: pullRequest")
	must(t, b.ask(promote.Request{Kind: promote.Rollback}))
	b.protect()
	must(t, b.ask(promote.Request{Kind: promote.Place, Image: "ghcr.io/acme/web", Tag: "1.9.0"}))
	b.branches()
	file, holds := b.git.Git("show", rollbackBranch+":apps/web/pod.yaml"), b.git.Git("show", rollbackBranch+":"+holdFile)
	if !strings.Contains(file, "web:1.1.0@") || !strings.Contains(holds, digestOf(1)) || !strings.Contains(holds, `"1.9.0"`) || len(host.list) != 1 {
		t.Errorf("pull requests %s\n%s\n%s", host.states(), file, holds)
	}
}

func TestAPullRequestThatTheHostRefusesIsTriedAgain(t *testing.T) {
	b, host := behind(t, "")
	b.protect()
	now := time.Now()
	b.at(now)
	host.err = &pullrequest.StatusError{Kind: "gitea", Method: http.MethodPost, Path: "/pulls", Status: http.StatusForbidden, Words: "no"}
	q := promote.Request{Kind: promote.Rollback}
	must(t, b.ask(q))
	if got := b.last(); !strings.Contains(got, "ask maria") || !strings.Contains(got, "403") || !strings.HasPrefix(got, "blocked: ") {
		t.Errorf("told %q", got)
	}
	// The hold is in force all the same.
	b.pushed("1.2.1", digestOf(1))
	must(t, b.work("ghcr.io/acme/web:1.2.1"))
	if got := b.last(); got != "skip: the application is suspended: its rollback waits for its pull request" {
		t.Errorf("decided %q", got)
	}
	host.err = nil
	must(t, b.ask(q)) // as it comes when its time has come
	if got := host.states(); got != "slipway: roll back production/shop/web to 1.1.0 open" {
		t.Errorf("pull requests: %s", got)
	}
}

// A release has no hold by which its merge is seen in Git.
func TestAReleaseThatIsMergedEnds(t *testing.T) {
	b, host := behind(t, "")
	must(t, b.ask(promote.Request{Kind: promote.Place, Image: "ghcr.io/acme/web", Tag: "1.3.0"}))
	b.protect()
	now := time.Now()
	b.at(now)
	release := promote.Request{Kind: promote.Release, Image: "ghcr.io/acme/web", Tag: "1.3.0"}
	must(t, b.ask(release))
	must(t, os.RemoveAll(filepath.Join(b.git.Bare, "hooks", "update")))
	b.mergeIt(host, branchOf(release))
	b.at(now.Add(5 * time.Minute))
	must(t, b.work("head", "merges production/shop/web"))
	held, err := b.repos.Holds(b.t.Context())
	must(t, err)
	if _, waits := b.deploy.Waiting.Of("production/shop/web"); waits || len(held) != 0 || strings.Contains(strings.Join(b.decisions(), "\n"), "was closed") {
		t.Errorf("it waits: %v, holds %+v: %q", waits, held, b.decisions())
	}
}

func TestAReleaseThatTheBranchRefusesIsToldInItsWords(t *testing.T) {
	b := start(t, nil)
	b.protect()
	b.pushed("1.1.0", digestA)
	for range 2 {
		if err := b.work("ghcr.io/acme/web:1.1.0"); err == nil {
			t.Fatal("it is not tried again")
		}
	}
	if got := b.decisions(); len(got) != 2 || !strings.HasPrefix(got[1], "blocked: ") || !strings.Contains(got[1], "main is protected: ask maria") {
		t.Errorf("told %q", got)
	}
	must(t, os.RemoveAll(filepath.Join(b.git.Bare, "hooks", "update")))
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if b.uses() != "1.1.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}

// askedAgain works on the head, and on what that has asked for once more.
func (b *bench) askedAgain() {
	b.t.Helper()
	came, again := b.items(), []string(nil)
	came() // of the pushes
	must(b.t, b.work("head"))
	run(b.t, b.due.Run)
	bustest.Until(b.t, "it is asked for once more", func() bool {
		again = slices.DeleteFunc(append(again, came()...), func(item string) bool { return strings.HasPrefix(item, "merges ") })
		return len(again) > 0
	})
	must(b.t, b.work(again...))
	b.branches()
}

// To merge what was made of a commit that is gone would bring that back.
func TestARollbackIsAskedForAnewAfterAForcedPush(t *testing.T) {
	b, host := behind(t, "rollback: pullRequest")
	b.git.Pull()
	b.git.Commit("a secret", map[string]string{"secret.txt": "x\n"})
	must(t, b.work("head"))
	must(t, b.ask(promote.Request{Kind: promote.Rollback}))
	b.forces()
	b.askedAgain()
	if files := b.git.Git("ls-tree", "-r", "--name-only", rollbackBranch); strings.Contains(files, "secret.txt") || b.git.Git("rev-parse", rollbackBranch+"~1") != b.git.Git("rev-parse", "origin/main") {
		t.Errorf("the branch has %s", files)
	}
	if got := host.states(); got != "slipway: roll back production/shop/web to 1.1.0 open" {
		t.Errorf("pull requests: %s", got)
	}
}

// Who changes the lines beside it doesn't have it conflict.
func TestARollbackIsAskedForAnewWhereItsFilesChange(t *testing.T) {
	b, host := behind(t, "rollback: pullRequest")
	must(t, b.ask(promote.Request{Kind: promote.Rollback}))
	b.git.Pull()
	b.git.Commit("a note", map[string]string{"apps/web/pod.yaml": strings.Replace(b.file(), "# here", "# or there", 1)})
	b.askedAgain()
	file := b.git.Git("show", rollbackBranch+":apps/web/pod.yaml")
	if !strings.Contains(file, "web:1.1.0@"+digestOf(0)+" # or there") || len(host.list) != 1 || host.list[0].State != pullrequest.Open {
		t.Errorf("pull requests: %s\n%s", host.states(), file)
	}
	b.git.Commit("another file", map[string]string{"README.md": "# Read\n"})
	tip := b.git.Git("rev-parse", rollbackBranch)
	must(t, b.work("head"))
	b.branches()
	if b.git.Git("rev-parse", rollbackBranch) != tip {
		t.Error("it was made anew for what it doesn't touch")
	}
}

// What a person moves meanwhile isn't taken back; what was bad stays out.
func TestARollbackEndsWhereSomebodyMovesWhatItTakesBack(t *testing.T) {
	b, host := behind(t, "rollback: pullRequest")
	must(t, b.ask(promote.Request{Kind: promote.Rollback}))
	b.git.Pull()
	b.git.Commit("mended by hand", map[string]string{"apps/web/pod.yaml": pod("ghcr.io/acme/web:1.2.5")})
	b.askedAgain()
	if got := b.holds(); b.uses() != "1.2.5" || got != "placed sha256:11" || host.list[0].State != pullrequest.Closed {
		t.Errorf("uses %s, holds %s, pull requests: %s", b.uses(), got, host.states())
	}
	must(t, b.work("head"))
	if _, waits := b.deploy.Waiting.Of("production/shop/web"); waits || strings.Contains(b.branches(), "slipway/") {
		t.Errorf("it still waits; branches %s", b.branches())
	}
	if !strings.Contains(strings.Join(b.decisions(), "\n"), "skip: ghcr.io/acme/web was moved to 1.2.5 meanwhile") {
		t.Errorf("told %q", b.decisions())
	}
	b.pushed("1.3.0", digestOf(3))
	must(t, b.work("ghcr.io/acme/web:1.3.0"))
	if b.uses() != "1.3.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}
