package gitrepo_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
)

func versions(t *testing.T, text string) api.Versions {
	t.Helper()
	v, err := api.ParseVersions(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestATagIsFollowedWhereItMoves(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	first := w.Git("rev-parse", "HEAD")
	w.Git("tag", "v1.0.0")
	w.Git("push", "-q", "origin", "v1.0.0")
	second := w.Commit("second", map[string]string{"a.yaml": "a: 2\n"})
	o := gitrepo.Options{URL: w.URL, Tag: "v1.0.0", Dir: t.TempDir()}
	m := openWith(t, o)
	if got := fetch(t, m).Hash(); got != first {
		t.Fatalf("the tag is at %s, want %s", got, first)
	}
	w.Git("tag", "-f", "-a", "-m", "moved", "v1.0.0") // annotated from now on
	w.Git("push", "-q", "-f", "origin", "v1.0.0")
	if got := fetch(t, m).Hash(); got != second {
		t.Fatalf("the moved tag is at %s, want %s", got, second)
	}
	if between, err := m.Between(t.Context(), first, second); err != nil || len(between) != 1 {
		t.Errorf("between: %v, %v", between, err)
	}
	w.Git("push", "-q", "origin", ":v1.0.0")
	if _, err := m.Fetch(t.Context()); !errors.Is(err, gitrepo.ErrNoTag) || !strings.Contains(err.Error(), "v1.0.0") {
		t.Errorf("a tag that is gone: %v", err)
	}
	if _, err := m.Push(t.Context(), m.Head(), change(map[string]string{"a.yaml": "x\n"})); err == nil {
		t.Error("a tag was pushed to")
	}
	if got := openWith(t, o).Head(); got == nil || got.Hash() != second {
		t.Errorf("opened again it knows %v", got)
	}
}

func TestARangeFollowsTheGreatestVersion(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	m := openWith(t, gitrepo.Options{URL: w.URL, Versions: versions(t, ">=1.0 <2"), Dir: t.TempDir()})
	if _, err := m.Fetch(t.Context()); !errors.Is(err, gitrepo.ErrNoTag) || !strings.Contains(err.Error(), `of 0 tags none is a version in the range ">=1.0 <2"`) {
		t.Fatalf("without a tag: %v", err)
	}
	for i, step := range []struct{ tag, want string }{
		{"v1.9.0", "v1.9.0"}, {"v1.10.0", "v1.10.0"}, {"v2.0.0", "v1.10.0"}, {"v1.2.0", "v1.10.0"}, {"latest", "v1.10.0"}, {"1.11.0-rc.1", "v1.10.0"}, {"1.11.0", "1.11.0"},
	} {
		w.Commit(step.tag, map[string]string{"a.yaml": strings.Repeat("a", i+2) + ": 1\n"})
		w.Git("tag", "-a", "-m", "x", step.tag)
		w.Git("push", "-q", "origin", step.tag)
		if got, want := fetch(t, m).Hash(), w.Git("rev-parse", step.want+"^{commit}"); got != want {
			t.Errorf("with %s it is %s, want %s", step.tag, got, want)
		}
	}
}

func TestATagThatNamesNoCommitIsTold(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	w.Git("tag", "v1", "HEAD:a.yaml")
	w.Git("tag", "-a", "-m", "x", "v2", "HEAD^{tree}")
	w.Git("push", "-q", "origin", "v1", "v2")
	for tag, what := range map[string]string{"v1": "blob", "v2": "tree"} {
		_, err := openWith(t, gitrepo.Options{URL: w.URL, Tag: tag, Dir: t.TempDir()}).Fetch(t.Context())
		if !errors.Is(err, gitrepo.ErrNoCommit) || !strings.Contains(err.Error(), "names a "+what) {
			t.Errorf("%s: %v", tag, err)
		}
	}
}

// commitWorld has a commit on main, one on a side branch behind its head, and
// one that no branch has any more.
func commitWorld(w *gitrepotest.Work) (early, side, gone string) {
	early = w.Git("rev-parse", "HEAD")
	gone = w.Commit("lost", nil)
	w.Git("reset", "-q", "--hard", early)
	w.Git("push", "-q", "-f", "origin", "HEAD:main")
	for range 60 { // more than the first step of history
		w.Git("commit", "-q", "--allow-empty", "-m", "more")
	}
	w.Git("push", "-q", "origin", "HEAD:main")
	w.Git("checkout", "-q", "-b", "side")
	for i := range 3 {
		w.Git("commit", "-q", "--allow-empty", "-m", "side")
		if i == 0 {
			side = w.Git("rev-parse", "HEAD")
		}
	}
	w.Git("push", "-q", "origin", "side")
	return early, side, gone
}

func TestACommitIsBroughtByItsIdOrThroughTheBranches(t *testing.T) {
	byHTTP := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	bySSH, o := sshWork(t, "acme/over-ssh.git") // gives no id that is no branch's head
	o.Branch = ""
	for name, c := range map[string]struct {
		w *gitrepotest.Work
		o gitrepo.Options
	}{
		"http": {byHTTP, gitrepo.Options{URL: byHTTP.URL}},
		"ssh":  {bySSH, o},
	} {
		t.Run(name, func(t *testing.T) {
			o := c.o
			early, side, gone := commitWorld(c.w)
			for _, id := range []string{early, side} {
				o.Commit, o.Dir = id, t.TempDir()
				m := openWith(t, o)
				head := fetch(t, m)
				if head.Hash() != id {
					t.Fatalf("got %s, want %s", head.Hash(), id)
				}
				if _, err := head.FS().Open("a.yaml"); err != nil {
					t.Error(err)
				}
				if again := fetch(t, m); again.Hash() != id {
					t.Errorf("then %s", again.Hash())
				}
			}
			o.Commit, o.Dir = gone, t.TempDir()
			if _, err := openWith(t, o).Fetch(t.Context()); !errors.Is(err, gitrepo.ErrNoCommit) || !strings.Contains(err.Error(), gone) {
				t.Errorf("a commit that is nowhere: %v", err)
			}
		})
	}
}

func TestAPinnedCommitAsksTheHostOnceAndOutlivesTheBranch(t *testing.T) {
	var asked atomic.Int32
	s := gitrepotest.Start(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); h.ServeHTTP(w, r) })
	})
	w := s.Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	id := w.Commit("x", map[string]string{"a.yaml": "a: 2\n"})
	o := gitrepo.Options{URL: w.URL, Commit: id, Dir: t.TempDir()}
	m := openWith(t, o)
	fetch(t, m)
	before := asked.Load()
	w.Git("reset", "-q", "--hard", "HEAD~1")
	w.Git("push", "-q", "-f", "origin", "HEAD:main")
	pushes := asked.Load() - before
	fetch(t, m)
	if got := asked.Load() - before - pushes; got != 0 {
		t.Errorf("the host was asked %d times more for what never moves", got)
	}
	// Opened anew it must show once more that it may.
	if c := fetch(t, openWith(t, o)); c.Hash() != id {
		t.Errorf("after a restart %s", c.Hash())
	}
	if asked.Load() == before+pushes {
		t.Error("after a restart the host wasn't asked")
	}
}

func TestTheMirrorOfAPinnedCommitNeedsItsCredentials(t *testing.T) {
	var strangers atomic.Int32
	w := gitrepotest.Start(t, guard("pa55", &strangers)).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	o := gitrepo.Options{URL: w.URL, Commit: w.Git("rev-parse", "HEAD"), Dir: t.TempDir(), Password: "pa55"}
	fetch(t, openWith(t, o))
	o.Password = "wr0ng"
	if _, err := openWith(t, o).Fetch(t.Context()); !errors.Is(err, gitrepo.ErrUnauthorized) || strings.Contains(err.Error(), "wr0ng") {
		t.Fatalf("with a wrong password: %v", err)
	}
}

func TestABearerTokenGoesToItsHostAlone(t *testing.T) {
	var others []string
	other := gitrepotest.Start(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			others = append(others, r.Header.Get("Authorization"))
			h.ServeHTTP(w, r)
		})
	})
	other.Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	var redirects atomic.Bool
	own := gitrepotest.Start(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			_, password, _ := r.BasicAuth()
			switch {
			case r.Header.Get("Authorization") != "Bearer t0ken" && password != "t0ken":
				rw.Header().Set("WWW-Authenticate", "Basic")
				http.Error(rw, "no", http.StatusUnauthorized)
			case redirects.Load():
				http.Redirect(rw, r, other.URL+r.URL.RequestURI(), http.StatusFound)
			default:
				h.ServeHTTP(rw, r)
			}
		})
	})
	mine := own.Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	o := gitrepo.Options{URL: mine.URL, Branch: "main", Dir: t.TempDir(), Bearer: "t0ken"}
	fetch(t, openWith(t, o))
	for name, c := range map[string]gitrepo.Options{"bearer": {Bearer: "t0ken"}, "basic": {User: "u", Password: "t0ken"}} {
		redirects.Store(true)
		c.URL, c.Branch, c.Dir = mine.URL, "main", t.TempDir()
		seen := len(others)
		if _, err := openWith(t, c).Fetch(t.Context()); err != nil || len(others) == seen {
			t.Errorf("%s: the other host was not asked, and the test shows nothing: %v", name, err)
		}
		leaks := func(h string) bool {
			return h != "" && (strings.Contains(h, "t0ken") || strings.Contains(h, base64.StdEncoding.EncodeToString([]byte("u:t0ken"))))
		}
		if slices.ContainsFunc(others, leaks) {
			t.Errorf("%s: another host saw %q", name, others)
		}
	}
}

func TestARevisionIsLookedForAsGitDoes(t *testing.T) {
	w := gitrepotest.Start(t, nil).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	first := w.Git("rev-parse", "HEAD")
	w.Git("tag", "-a", "-m", "x", "both")
	second := w.Commit("second", map[string]string{"a.yaml": "a: 2\n"})
	w.Git("push", "-q", "origin", "both", second+":refs/heads/both", second+":refs/heads/feature/x", first+":refs/pull/7/head")
	for name, want := range map[string]string{
		"HEAD": second, "main": second, "both": first, "refs/heads/both": second, "heads/both": second, "feature/x": second, "refs/pull/7/head": first, "pull/7/head": first,
	} {
		m := openWith(t, gitrepo.Options{URL: w.URL, Revision: name, Dir: t.TempDir()})
		if got := fetch(t, m).Hash(); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	m := openWith(t, gitrepo.Options{URL: w.URL, Revision: "main", Dir: t.TempDir()})
	fetch(t, m)
	third := w.Commit("third", map[string]string{"a.yaml": "a: 3\n"})
	if got := fetch(t, m).Hash(); got != third {
		t.Errorf("it was not followed to %s, but is %s", third, got)
	}
	m = openWith(t, gitrepo.Options{URL: w.URL, Revision: "none", Dir: t.TempDir()})
	if _, err := m.Fetch(t.Context()); !errors.Is(err, gitrepo.ErrNoRevision) || !strings.Contains(err.Error(), "none") {
		t.Errorf("one that isn't there: %v", err)
	}
	gone := gitrepo.Options{URL: strings.TrimSuffix(w.URL, "config.git") + "gone.git", Revision: "HEAD", Dir: t.TempDir()}
	if _, err := openWith(t, gone).Fetch(t.Context()); !errors.Is(err, gitrepo.ErrNoRepository) {
		t.Errorf("a repository that isn't there: %v", err)
	}
}
