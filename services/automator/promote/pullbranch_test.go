package promote_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/services/automator/pullrequest"
)

// onto says whether the branch of a pull request is one commit on the head of main.
func (b *bench) onto() bool {
	b.t.Helper()
	b.branches()
	return b.git.Git("rev-parse", branch+"~1") == b.git.Git("rev-parse", "origin/main")
}

// mergesIt merges the pull request with a commit of its own, as most people do.
func (b *bench) mergesIt(host *pulls) {
	b.t.Helper()
	b.git.Pull()
	b.git.Git("merge", "-q", "--no-ff", "-m", "Merge pull request #1", branch)
	b.git.Git("push", "-q", "origin", "HEAD:main")
	host.list[0].State, host.list[0].Commit = pullrequest.Merged, b.git.Git("rev-parse", branch)
}

// To merge what was made of a commit that is gone would bring that back.
func TestAPullRequestIsMadeAnewAfterAForcedPush(t *testing.T) {
	b, host := pulling(t)
	b.git.Commit("a secret", map[string]string{"secret.txt": "x\n"})
	must(t, b.work("head"))
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	b.forces()
	must(t, b.work("head"))
	if got := host.states(); got != "1.1.0 open" || !b.onto() {
		t.Errorf("pull requests: %s; on the head: %v", got, b.onto())
	}
	if files := b.git.Git("ls-tree", "-r", "--name-only", branch); strings.Contains(files, "secret.txt") {
		t.Errorf("the branch has %s", files)
	}
}

// A merge with a commit of its own is how most people merge: what it brought is taken
// back, and held, as what was pushed.
func TestWhatWasMergedIsTakenBackAsWhatWasPushed(t *testing.T) {
	for name, back := range map[string]func(b *bench) error{
		"by a person's revert, seen after the merge": func(b *bench) error {
			must(b.t, b.work("head"))
			b.git.Git("revert", "--no-edit", "-m", "1", "HEAD")
			b.git.Git("push", "-q", "origin", "HEAD:main")
			return b.work("head")
		},
		"by a person's revert, seen with the merge": func(b *bench) error {
			b.git.Git("revert", "--no-edit", "-m", "1", "HEAD")
			b.git.Git("push", "-q", "origin", "HEAD:main")
			return b.work("head")
		},
		"by a rollback that names no version": func(b *bench) error {
			must(b.t, b.work("head"))
			return b.ask(promote.Request{Kind: promote.Rollback})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, host, _ := proposed(t)
			b.git.Commit("beside it", map[string]string{"README.md": "x\n"})
			b.mergesIt(host)
			must(t, back(b))
			if b.uses() != "1.0.0" || !strings.Contains(b.git.Git("show", "HEAD:"+holdFile), digestA) {
				t.Errorf("uses %s, decided %q", b.uses(), b.decisions())
			}
			must(t, b.work("head", "ghcr.io/acme/web:1.1.0"))
			if got := host.states(); got != "1.1.0 merged" || strings.Contains(b.branches(), "slipway/") {
				t.Errorf("pull requests: %s, branches %s", got, b.branches())
			}
		})
	}
}

// A squash may have a message that says nothing, and people move versions by hand: what was
// there before is in the files.
func TestARollbackGoesBackToWhatTheFilesHadBefore(t *testing.T) {
	b, host, _ := proposed(t)
	b.git.Git("merge", "-q", "--squash", branch)
	b.git.Git("commit", "-q", "-m", "new web")
	b.git.Git("push", "-q", "origin", "HEAD:main")
	host.list[0].State = pullrequest.Merged
	must(t, b.work("head"))
	b.git.Pull()
	b.git.Git("checkout", "-q", "-b", "tried") // and thought better of before it was merged
	for _, tag := range []string{"1.0.5", "1.1.0@" + digestA} {
		must(t, os.WriteFile(filepath.Join(b.git.Dir, "apps/web/pod.yaml"), []byte(pod("ghcr.io/acme/web:"+tag)), 0o600))
		b.git.Git("commit", "-q", "-a", "-m", tag)
	}
	b.git.Git("checkout", "-q", "main")
	b.git.Git("merge", "-q", "--no-ff", "-m", "merge", "tried")
	b.git.Git("push", "-q", "origin", "HEAD:main")
	b.git.Commit("a comment", map[string]string{"apps/web/pod.yaml": "# mine\n" + pod("ghcr.io/acme/web:1.1.0@"+digestA)})
	b.git.Commit("beside it", map[string]string{"README.md": "x\n"})
	must(t, b.work("head"))
	must(t, b.ask(promote.Request{Kind: promote.Rollback}))
	if b.uses() != "1.0.0" || !strings.Contains(b.git.Git("show", "HEAD:"+holdFile), digestA) || !strings.HasPrefix(b.git.Git("show", "HEAD:apps/web/pod.yaml"), "# mine") {
		t.Fatalf("uses %s, decided %q", b.uses(), b.decisions())
	}
	// Once more, there is nothing before it that isn't held.
	must(t, b.ask(promote.Request{Kind: promote.Rollback, ID: "again"}))
	if got := b.last(); !strings.Contains(got, "isn't held: name the image and the version") {
		t.Errorf("decided %q", got)
	}
}

// A squash whose message says nothing is not seen to be ours: what it brought may come again,
// by another request. That it was there is told.
func TestWhatWasMergedAndTakenBackUnseenIsProposedAgain(t *testing.T) {
	b, host, _ := proposed(t)
	b.git.Git("merge", "-q", "--squash", branch)
	b.git.Git("commit", "-q", "-m", "new web")
	host.list[0].State, host.list[0].Commit, host.list[0].Merge = pullrequest.Merged, b.git.Git("rev-parse", branch), b.git.Git("rev-parse", "HEAD")
	b.git.Git("revert", "--no-edit", "HEAD")
	b.git.Git("push", "-q", "origin", "HEAD:main")
	must(t, b.work("head"))
	if got := host.states(); got != "1.1.0 merged, 1.1.0 open" {
		t.Errorf("pull requests: %s", got)
	}
	if got := b.merged(); len(got) != 1 || got[0] != host.list[0].Merge {
		t.Errorf("told of %v", got)
	}
}

// Who dies after the push leaves a branch, of which the next one knows.
func TestABranchOfWhatWasNeverOpenedIsNotLeft(t *testing.T) {
	b, host := pulling(t)
	b.pushed("1.1.0", digestA)
	host.err = errors.New("the connection broke")
	if err := b.work("ghcr.io/acme/web:1.1.0"); err == nil || !strings.Contains(b.branches(), "slipway/") {
		t.Fatalf("%v; branches %s", err, b.branches())
	}
	host.err = nil
	b.git.Pull()
	b.git.Commit("none of that", map[string]string{holdFile: hold(`tag: "1.1.0"`)})
	must(t, b.work("head"))
	if got := host.states(); got != "" || strings.Contains(b.branches(), "slipway/") {
		t.Errorf("pull requests: %q, branches %s", got, b.branches())
	}
}

// What people push to the branch is theirs: nothing is put over it, and it isn't deleted.
func TestWhatPeoplePushToItsBranchStays(t *testing.T) {
	b, host, _ := proposed(t)
	theirs := b.pushesToBranch()
	b.pushed("1.2.0", digestB)
	must(t, b.work("ghcr.io/acme/web:1.2.0"))
	if b.branches(); b.git.Git("rev-parse", branch) != theirs {
		t.Error("it was overwritten")
	}
	if got := b.last(); !strings.HasPrefix(got, "blocked: the pull request can't be made: ") || !strings.Contains(got, "somebody else has pushed to the branch") {
		t.Errorf("decided %q", got)
	}
	b.git.Pull()
	b.git.Commit("nothing", map[string]string{"policies/shop.yaml": strings.Replace(policyFile, "automatic", "never", 1)})
	must(t, b.work("head"))
	if b.branches(); host.states() != "1.1.0 closed" || b.git.Git("rev-parse", branch) != theirs {
		t.Errorf("pull requests: %s", host.states())
	}
}

// Gitea deals with a deleted branch when it comes to it, and closes what has been opened for
// that branch since.
func TestNoPullRequestIsOpenedAtOnceOnABranchThatWasDeleted(t *testing.T) {
	b, host, now := proposed(t)
	b.git.Commit("none of that", map[string]string{holdFile: hold(`tag: "1.1.0"`)})
	must(t, b.work("head"))
	b.pushed("1.2.0", digestB)
	must(t, b.work("ghcr.io/acme/web:1.2.0"))
	due := b.dueAt(web)
	if got := host.states(); got != "1.1.0 closed" || due.IsZero() || due.After(now.Add(time.Minute)) {
		t.Fatalf("pull requests: %s; it is looked at again %v, now is %v", got, due, now)
	}
	b.at(due)
	must(t, b.work(web)) // when its time has come
	if got := host.states(); got != "1.1.0 closed, 1.2.0 open" {
		t.Errorf("pull requests: %s", got)
	}
}

func (b *bench) pushesToBranch() (commit string) {
	b.t.Helper()
	b.git.Git("checkout", "-q", "-b", "mine", branch)
	b.git.Git("commit", "-q", "--allow-empty", "-m", "and a migration")
	b.git.Git("push", "-q", "origin", "HEAD:slipway/production-shop-web")
	b.git.Git("checkout", "-q", "main")
	return b.git.Git("rev-parse", "mine")
}

// What they pushed was merged: the branch is ours again.
func TestABranchOfPeoplesThatWasMergedIsUsedAgain(t *testing.T) {
	b, host, _ := proposed(t)
	theirs := b.pushesToBranch()
	b.pushed("1.2.0", digestB)
	must(t, b.work("ghcr.io/acme/web:1.2.0")) // which it is not put over
	b.git.Git("merge", "-q", "--squash", theirs)
	b.git.Git("commit", "-q", "-m", "new web")
	b.git.Git("push", "-q", "origin", "HEAD:main")
	host.list[0].State, host.list[0].Commit = pullrequest.Merged, theirs[:12]
	must(t, b.work("head"))
	if got := host.states(); got != "1.1.0 merged, 1.2.0 open" || !b.onto() {
		t.Errorf("pull requests: %s: %q", got, b.decisions())
	}
}

// Hosts have a button that brings the base into the branch: nobody has written anything.
func TestABranchThatWasBroughtUpToDateIsOurs(t *testing.T) {
	b, host, _ := proposed(t)
	b.git.Commit("beside it", map[string]string{"README.md": "x\n"})
	b.git.Git("checkout", "-q", "-b", "button", branch)
	b.git.Git("merge", "-q", "--no-ff", "-m", "Merge branch 'main'", "main")
	b.git.Git("push", "-q", "origin", "HEAD:slipway/production-shop-web")
	b.git.Git("checkout", "-q", "main")
	b.pushed("1.2.0", digestB)
	must(t, b.work("head", "ghcr.io/acme/web:1.2.0"))
	if got := host.states(); got != "1.2.0 open" || !b.onto() {
		t.Errorf("pull requests: %s: %q", got, b.decisions())
	}
}
