package gitrepo_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
)

const ours = "slipway/production-shop-web"

// branches are the host's branches beside main: "<name> <commit>".
func branches(w *gitrepotest.Work) string {
	return w.Git("--git-dir", w.Bare, "for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads/slipway")
}

func pushBranch(t *testing.T, m *gitrepo.Mirror, base *gitrepo.Commit, files map[string]string) *gitrepo.Commit {
	t.Helper()
	c, err := m.PushBranch(t.Context(), base, ours, "", change(files))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestABranchIsMadeAndMovedBesideTheMirrorsOwn(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n", "b.yaml": "b: 1\n"})
	m := open(t, w.URL)
	base := fetch(t, m)
	first := pushBranch(t, m, base, map[string]string{"a.yaml": "a: 2\n"})
	if got := branches(w); got != ours+" "+first.Hash() {
		t.Fatalf("the host has %q, pushed %s", got, first.Hash())
	}
	second := pushBranch(t, m, base, map[string]string{"a.yaml": "a: 3\n"})
	if got := branches(w); got != ours+" "+second.Hash() {
		t.Fatalf("the host has %q, pushed %s over %s", got, second.Hash(), first.Hash())
	}
	person := w.Commit("a person on main", map[string]string{"b.yaml": "b: 2\n"})
	third := pushBranch(t, m, fetch(t, m), map[string]string{"a.yaml": "a: 3\n"})
	w.Git("fetch", "-q", "origin", ours)
	if got := w.Git("log", "--format=%H", "FETCH_HEAD", "-2"); got != third.Hash()+"\n"+person {
		t.Fatalf("the branch holds %q, want %s on %s", got, third.Hash(), person)
	}
	if got := w.Git("diff", "--name-status", "FETCH_HEAD~1", "FETCH_HEAD"); got != "M\ta.yaml" {
		t.Fatalf("the branch changes %q", got)
	}
	if m.Head().Hash() != person || w.Git("ls-remote", "origin", "refs/heads/main")[:40] != person {
		t.Fatal("main or the mirror's head moved")
	}
	w.Git("--git-dir", w.Bare, "fsck", "--strict")
}

func TestABranchThatHoldsTheSameStaysAsItIs(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	for range 30 {
		w.Commit("history", map[string]string{"b.yaml": fmt.Sprint(time.Now().UnixNano())})
	}
	m := open(t, w.URL)
	first := pushBranch(t, m, fetch(t, m), map[string]string{"a.yaml": "a: 2\n"})
	later := change(map[string]string{"a.yaml": "a: 2\n"})
	later.When, later.Message = later.When.Add(time.Hour), "slipway: another message\n"
	for name, mirror := range map[string]*gitrepo.Mirror{"the one that pushed": m, "another replica": open(t, w.URL)} {
		again, err := mirror.PushBranch(t.Context(), fetch(t, mirror), ours, "", later)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if again.Hash() != first.Hash() || branches(w) != ours+" "+first.Hash() {
			t.Fatalf("%s moved the branch to %s, though nothing differs from %s", name, branches(w), first.Hash())
		}
		if again.Message() != first.Message() {
			t.Fatalf("%s gives the message %q of a commit that isn't there", name, again.Message())
		}
	}
	// Merged, and not deleted: the branch is history now.
	w.Git("pull", "-q", "--ff-only", "origin", ours)
	w.Git("push", "-q", "origin", "HEAD:main")
	fresh := open(t, w.URL)
	head := fetch(t, fresh)
	next := pushBranch(t, fresh, head, map[string]string{"a.yaml": "a: 3\n"})
	if branches(w) != ours+" "+next.Hash() {
		t.Fatalf("the branch is at %s, want %s", branches(w), next.Hash())
	}
	w.Commit("on top", map[string]string{"b.yaml": "b"})
	fresh = open(t, w.URL)
	if last := pushBranch(t, fresh, fetch(t, fresh), map[string]string{"a.yaml": "a: 4\n"}); branches(w) != ours+" "+last.Hash() {
		t.Fatalf("the branch is at %s, want %s", branches(w), last.Hash())
	}
}

func TestABranchThatMovesMeanwhileIsNotOverwritten(t *testing.T) {
	var w *gitrepotest.Work
	var once sync.Once
	var armed bool
	s := gitrepotest.Start(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if armed && strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
				once.Do(func() { w.Git("--git-dir", w.Bare, "update-ref", "refs/heads/"+ours, "refs/heads/main") })
			}
			next.ServeHTTP(rw, r)
		})
	})
	w = s.Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	m := open(t, w.URL)
	base := fetch(t, m)
	pushBranch(t, m, base, map[string]string{"a.yaml": "a: 2\n"})
	armed = true
	_, err := m.PushBranch(t.Context(), base, ours, "", change(map[string]string{"a.yaml": "a: 3\n"}))
	if !errors.Is(err, gitrepo.ErrMoved) {
		t.Fatalf("pushed over somebody else: %v, want ErrMoved", err)
	}
	if got := branches(w); got != ours+" "+base.Hash() {
		t.Fatalf("the host has %q, want somebody else's %s", got, base.Hash())
	}
}

// What somebody else has pushed is theirs, unless the caller knows of it.
func TestWhatOthersPushedToABranchOfOursStays(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	m := open(t, w.URL)
	base := fetch(t, m)
	first := pushBranch(t, m, base, map[string]string{"a.yaml": "a: 2\n"})
	w.Git("fetch", "-q", "origin", ours)
	w.Git("checkout", "-q", "-b", "theirs", "FETCH_HEAD")
	w.Git("commit", "-q", "--allow-empty", "-m", "theirs")
	w.Git("push", "-q", "origin", "HEAD:"+ours)
	theirs := w.Git("rev-parse", "HEAD")
	by := change(nil).Email
	for _, known := range []string{"", first.Hash(), theirs[:6]} {
		if _, err := m.PushBranch(t.Context(), base, ours, known, change(map[string]string{"a.yaml": "a: 3\n"})); !errors.Is(err, gitrepo.ErrForeign) {
			t.Errorf("pushed over it, knowing %q: %v, want ErrForeign", known, err)
		}
		if err := m.DeleteBranch(t.Context(), ours, known, by); !errors.Is(err, gitrepo.ErrForeign) {
			t.Errorf("deleted it, knowing %q: %v, want ErrForeign", known, err)
		}
		if got := branches(w); got != ours+" "+theirs {
			t.Fatalf("the host has %q, want theirs, %s", got, theirs)
		}
	}
	if _, err := m.PushBranch(t.Context(), base, ours, theirs[:12], change(map[string]string{"a.yaml": "a: 3\n"})); err != nil {
		t.Errorf("push over what is known: %v", err)
	}
	if err := m.DeleteBranch(t.Context(), ours, "", by); err != nil || branches(w) != "" {
		t.Errorf("delete what is ours: %v, the host has %q", err, branches(w))
	}
}

func TestDeletingABranchTwiceIsDeletingItOnce(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	m := open(t, w.URL)
	made := pushBranch(t, m, fetch(t, m), map[string]string{"a.yaml": "a: 2\n"})
	for range 2 {
		if err := m.DeleteBranch(t.Context(), ours, made.Hash(), ""); err != nil {
			t.Fatal(err)
		}
		if got := branches(w); got != "" {
			t.Fatalf("the host still has %q", got)
		}
	}
	again := pushBranch(t, m, fetch(t, m), map[string]string{"a.yaml": "a: 2\n"})
	if got := branches(w); got != ours+" "+again.Hash() {
		t.Fatalf("made again, the host has %q, want %s", got, again.Hash())
	}
}

func TestOnlyOurOwnBranchesAreTouched(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	m := open(t, w.URL)
	base := fetch(t, m)
	for _, branch := range []string{"main", "", "feature", "slipway", "slipway/", "slipway/a..b", "slipway/a b", "slipway/a.lock", "slipway//a", "slipway/a\x00b"} {
		if _, err := m.PushBranch(t.Context(), base, branch, "", change(map[string]string{"a.yaml": "a: 2\n"})); err == nil {
			t.Errorf("pushed to %q", branch)
		}
		if err := m.DeleteBranch(t.Context(), branch, base.Hash(), ""); err == nil {
			t.Errorf("deleted %q", branch)
		}
	}
	if got := w.Git("--git-dir", w.Bare, "for-each-ref", "--format=%(refname) %(objectname)"); got != "refs/heads/main "+base.Hash() {
		t.Errorf("the host has %q", got)
	}
}

func TestARefusedBranchCarriesTheHostsWords(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	hook := filepath.Join(w.Bare, "hooks", "pre-receive")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho 'no branches here: ask maria' >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	m := open(t, w.URL)
	_, err := m.PushBranch(t.Context(), fetch(t, m), ours, "", change(map[string]string{"a.yaml": "a: 2\n"}))
	if !errors.Is(err, gitrepo.ErrRefused) || !strings.Contains(err.Error(), "ask maria") || !strings.Contains(err.Error(), ours) {
		t.Fatalf("%v, want ErrRefused with the branch and the hook's words", err)
	}
}
