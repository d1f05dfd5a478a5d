package gitrepo_test

import (
	"context"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
)

// asker answers a host's requests in its own way once it is told to.
type asker struct {
	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request, next http.Handler)
	asked  []string
}

func (a *asker) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		answer := a.answer
		a.asked = append(a.asked, r.Method)
		a.mu.Unlock()
		if answer == nil {
			next.ServeHTTP(w, r)
			return
		}
		answer(w, r, next)
	})
}

// from answers like that from here on, and forgets what was asked.
func (a *asker) from(answer func(http.ResponseWriter, *http.Request, http.Handler)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer, a.asked = answer, nil
}

func (a *asker) heard() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.asked, " ")
}

func told(t *testing.T, m *gitrepo.Mirror, commit string) *gitrepo.Commit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := m.FetchTold(ctx, commit)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatIsToldIsAskedForBeforeTheHostHasSpoken(t *testing.T) {
	var a asker
	w := gitrepotest.Start(t, a.around).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
	m := open(t, w.URL)
	fetch(t, m)
	commit := w.Commit("second", map[string]string{"a.yaml": "a: 2\n"})
	asked := make(chan struct{})
	a.from(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost {
			close(asked)
		} else {
			<-asked // who asks one after the other waits here for ever
		}
		next.ServeHTTP(w, r)
	})
	c := told(t, m, commit)
	if c.Hash() != commit {
		t.Fatalf("fetched %s, want %s", c.Hash(), commit)
	}
	if text, err := fs.ReadFile(c.FS(), "a.yaml"); err != nil || string(text) != "a: 2\n" {
		t.Errorf("the file is %q: %v", text, err)
	}
	if n := len(strings.Fields(a.heard())); n != 2 {
		t.Errorf("%d requests (%s), want 2", n, a.heard())
	}
	a.from(nil)
	if told(t, m, commit); a.heard() != "GET" {
		t.Errorf("of what is there was asked %s", a.heard())
	}
}

// A word is none of the host's.
func TestWhatIsToldCountsOnlyWhereTheHostSaysTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		told func(first, other, newest string) string
		once func(http.ResponseWriter) // answers the first question for objects
	}{
		"a commit of another branch": {told: func(_, other, _ string) string { return other }},
		"a former commit":            {told: func(first, _, _ string) string { return first }},
		"a commit that is nowhere":   {told: func(string, string, string) string { return strings.Repeat("12", 20) }},
		"no commit":                  {told: func(string, string, string) string { return "../../etc" }},
		"but the host errs":          {told: newest, once: func(w http.ResponseWriter) { http.Error(w, "not now", http.StatusInternalServerError) }},
		"but the host says nothing":  {told: newest, once: func(http.ResponseWriter) {}},
		"but the host breaks off": {told: newest, once: func(w http.ResponseWriter) {
			_, _ = w.Write([]byte("0008NAK\nPACK\x00\x00\x00\x02\x00\x00\x00\x09"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var a asker
			w := gitrepotest.Start(t, a.around).Create("acme/config.git", map[string]string{"a.yaml": "a: 1\n"})
			first := w.Git("rev-parse", "HEAD")
			m := open(t, w.URL)
			fetch(t, m)
			other := w.Git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "aside")
			w.Git("push", "-q", "origin", other+":refs/heads/other")
			newest := w.Commit("second", map[string]string{"a.yaml": "a: 2\n"})
			var said atomic.Bool
			a.from(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if c.once != nil && r.Method == http.MethodPost && !said.Swap(true) {
					c.once(w)
					return
				}
				next.ServeHTTP(w, r)
			})
			got := told(t, m, c.told(first, other, newest))
			if got.Hash() != newest {
				t.Errorf("fetched %s, want %s", got.Hash(), newest)
			}
		})
	}
}

func newest(_, _, newest string) string { return newest }
