package fetch_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/bases"
	"github.com/slipway-cd/slipway/shared/bases/fetch"
	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
)

// host is one with repositories, and a file at /files/a.yaml.
type host struct {
	*gitrepotest.Server
	work  *gitrepotest.Work
	asked atomic.Int64
	away  atomic.Bool
	slow  atomic.Pointer[chan struct{}] // closed when it may answer
	file  atomic.Pointer[string]
}

func start(t *testing.T) *host {
	t.Helper()
	h := &host{}
	text := "a: 1\n"
	h.file.Store(&text)
	h.Server = gitrepotest.Start(t, func(git http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.asked.Add(1)
			if slow := h.slow.Load(); slow != nil {
				select {
				case <-*slow:
				case <-r.Context().Done():
				}
			}
			switch {
			case h.away.Load():
				http.Error(w, "away", http.StatusBadGateway)
			case r.URL.Path == "/files/a.yaml":
				_, _ = fmt.Fprint(w, *h.file.Load())
			case r.URL.Path == "/private/x.git/info/refs" && r.Header.Get("Authorization") == "":
				w.WriteHeader(http.StatusUnauthorized)
			case r.URL.Path == "/elsewhere":
				http.Redirect(w, r, "/files/a.yaml", http.StatusFound)
			default:
				git.ServeHTTP(w, r)
			}
		})
	})
	h.work = h.Create("acme/x.git", map[string]string{"a/a.yaml": "a: 1\n"})
	return h
}

func (h *host) client(t *testing.T, dir string) *fetch.Client {
	t.Helper()
	c, err := fetch.New(fetch.Options{Dir: dir, Allow: []string{h.URL + "/**"}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func address(t *testing.T, text string) bases.Address {
	t.Helper()
	a, err := bases.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func content(t *testing.T, b bases.Base, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if b.Repository == nil {
		return string(b.Data)
	}
	data, err := fs.ReadFile(b.Repository, "a/a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestWhatIsKnownIsAsOldAsItMayBe(t *testing.T) {
	for name, path := range map[string]string{"a repository": "/acme/x.git//a", "a file": "/files/a.yaml"} {
		t.Run(name, func(t *testing.T) {
			h := start(t)
			dir := t.TempDir()
			c := h.client(t, dir)
			q := fetch.Question{Address: address(t, h.URL+path), Since: time.Now()}
			if _, known := c.Known(q); known {
				t.Fatal("it is known before anybody asked")
			}
			b, err := c.Fetch(t.Context(), q)
			if got := content(t, b, err); got != "a: 1\n" {
				t.Fatalf("%q", got)
			}
			text := "a: 2\n"
			h.file.Store(&text)
			h.work.Commit("second", map[string]string{"a/a.yaml": text})
			before := h.asked.Load()
			b, err = c.Fetch(t.Context(), q)
			if got := content(t, b, err); got != "a: 1\n" || h.asked.Load() != before {
				t.Errorf("what is new enough was asked for again: %q", got)
			}
			if b, known := c.Known(q); !known || content(t, b, nil) != "a: 1\n" {
				t.Error("it isn't known")
			}
			q.Since = time.Now()
			first := b.Version
			b, err = c.Fetch(t.Context(), q)
			if got := content(t, b, err); got != text || b.Version == first {
				t.Errorf("what is too old is still %q, %s", got, b.Version)
			}
			h.away.Store(true)
			q.Since = time.Now()
			if _, err := c.Fetch(t.Context(), q); !errors.Is(err, bases.ErrAway) {
				t.Errorf("while the host is away: %v", err)
			}
			again := h.client(t, dir) // a new process
			q.Since = time.Time{}
			if _, known := again.Known(q); known {
				t.Error("a new process knows what it never brought")
			}
			b, err = again.Fetch(t.Context(), q)
			if got := content(t, b, err); got != text {
				t.Errorf("of an earlier process, however old: %q", got)
			}
		})
	}
}

func TestACommitIsAskedForOnce(t *testing.T) {
	h := start(t)
	c := h.client(t, t.TempDir())
	q := fetch.Question{Address: address(t, h.URL+"/acme/x.git//a?ref="+h.work.Git("rev-parse", "HEAD")), Since: time.Now()}
	if _, err := c.Fetch(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	before := h.asked.Load()
	q.Since = time.Now()
	if _, err := c.Fetch(t.Context(), q); err != nil || h.asked.Load() != before {
		t.Errorf("asked again: %v", err)
	}
}

func TestThoseWhoWantTheSameShareOneAnswer(t *testing.T) {
	h := start(t)
	c := h.client(t, t.TempDir())
	q := fetch.Question{Address: address(t, h.URL+"/files/a.yaml"), Files: true, Since: time.Now()}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := c.Fetch(t.Context(), q); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := h.asked.Load(); n != 1 {
		t.Errorf("the host was asked %d times", n)
	}
}

func TestCredentialsAreForThoseWhoMayHaveThem(t *testing.T) {
	h := start(t)
	h.Create("private/x.git", map[string]string{"a/a.yaml": "a: 1\n"})
	c, err := fetch.New(fetch.Options{Dir: t.TempDir(), Allow: []string{h.URL + "/**"}, Git: func(address string) (gitrepo.Options, error) {
		return gitrepo.Options{URL: address, Branch: "main", User: "me", Password: "secret"}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	q := fetch.Question{Address: address(t, h.URL+"/private/x.git//a"), Config: true, Since: time.Now()}
	b, err := c.Fetch(t.Context(), q)
	if got := content(t, b, err); got != "a: 1\n" {
		t.Errorf("with them: %q", got)
	}
	q.Config = false
	if _, err := c.Fetch(t.Context(), q); !errors.Is(err, bases.ErrUnauthorized) {
		t.Errorf("without them, after somebody else: %v", err)
	}
	if _, known := c.Known(q); known {
		t.Error("what somebody else brought is known")
	}
}

func TestAPatientSourceWaitsForNobodyLong(t *testing.T) {
	h := start(t)
	c := h.client(t, t.TempDir())
	since := time.Now()
	a := address(t, h.URL+"/files/a.yaml")
	s := c.Patient(50*time.Millisecond, func(a bases.Address, files bool) (fetch.Question, error) {
		return fetch.Question{Address: a, Files: files, Since: since}, nil
	})
	answer := make(chan struct{})
	h.slow.Store(&answer)
	if _, err := s.Base(t.Context(), a, true); !errors.Is(err, bases.ErrAway) {
		t.Fatalf("of a slow host: %v", err)
	}
	close(answer)
	deadline := time.Now().Add(30 * time.Second)
	for {
		b, err := s.Base(t.Context(), a, true)
		if err == nil {
			if string(b.Data) != "a: 1\n" {
				t.Errorf("%q", b.Data)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	h.away.Store(true)
	since = time.Now()
	if b, err := s.Base(t.Context(), a, true); err != nil || string(b.Data) != "a: 1\n" {
		t.Errorf("while its host is away it isn't what it was: %v", err)
	}
}

func TestASourceThatMayNotWaitAsksNobody(t *testing.T) {
	h := start(t)
	c := h.client(t, t.TempDir())
	ask := func(a bases.Address, files bool) (fetch.Question, error) {
		return fetch.Question{Address: a, Files: files}, nil
	}
	a := address(t, h.URL+"/acme/x.git//a")
	if _, err := c.Here(ask).Base(t.Context(), a, false); !errors.Is(err, bases.ErrAway) || h.asked.Load() != 0 {
		t.Errorf("before: %v", err)
	}
	if _, err := c.Source(ask).Base(t.Context(), a, false); err != nil {
		t.Fatal(err)
	}
	before := h.asked.Load()
	if b, err := c.Here(ask).Base(t.Context(), a, false); content(t, b, err) != "a: 1\n" || h.asked.Load() != before {
		t.Errorf("after: %v", err)
	}
	if _, err := c.Here(ask).Base(t.Context(), address(t, "https://example.com/x.yaml"), true); !errors.Is(err, bases.ErrNotAllowed) {
		t.Errorf("what isn't allowed: %v", err)
	}
}

func TestWhatIsNotUsedForLongGoes(t *testing.T) {
	h := start(t)
	dir := t.TempDir()
	c := h.client(t, dir)
	for i := range 40 {
		q := fetch.Question{Address: address(t, fmt.Sprintf("%s/files/a.yaml?n=%d", h.URL, i)), Files: true, Since: time.Now()}
		if _, err := c.Fetch(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		fetch.Age(c, 2*time.Minute)
	}
	kept, err := filepath.Glob(filepath.Join(dir, "*", "file"))
	if err != nil || len(kept) > 32 || len(kept) < 30 {
		t.Errorf("%d are kept, %v", len(kept), err)
	}
}

func TestARedirectIsFollowedAndATooLargeFileRefused(t *testing.T) {
	h := start(t)
	c, err := fetch.New(fetch.Options{Dir: t.TempDir(), Allow: []string{h.URL + "/**"}, FileBytes: 8})
	if err != nil {
		t.Fatal(err)
	}
	q := fetch.Question{Address: address(t, h.URL+"/elsewhere"), Files: true, Since: time.Now()}
	if b, err := c.Fetch(t.Context(), q); err != nil || string(b.Data) != "a: 1\n" {
		t.Errorf("%q, %v", b.Data, err)
	}
	text := strings.Repeat("x", 9)
	h.file.Store(&text)
	q.Since = time.Now()
	if _, err := c.Fetch(t.Context(), q); !errors.Is(err, bases.ErrBad) {
		t.Errorf("a larger one: %v", err)
	}
}

func TestWithoutAFolderNothingIsKept(t *testing.T) {
	h := start(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := h.client(t, filepath.Join(file, "no"))
	q := fetch.Question{Address: address(t, h.URL+"/files/a.yaml"), Files: true, Since: time.Now()}
	if b, err := c.Fetch(t.Context(), q); err != nil || string(b.Data) != "a: 1\n" {
		t.Errorf("%q, %v", b.Data, err)
	}
}
