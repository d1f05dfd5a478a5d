package parts_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// soon is how long a test waits for what should take milliseconds, on a machine that
// does much else.
const soon = 60 * time.Second

// heard is a request that a part made.
type heard struct {
	header http.Header
	body   []byte
}

// ear is a server that keeps what it is told.
func ear(t *testing.T) (url string, requests <-chan heard) {
	t.Helper()
	all := make(chan heard, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		all <- heard{header: r.Header, body: body}
	}))
	t.Cleanup(server.Close)
	return server.URL, all
}

func next(t *testing.T, requests <-chan heard) heard {
	t.Helper()
	select {
	case request := <-requests:
		return request
	case <-time.After(soon):
		t.Fatal("nothing was posted")
		return heard{}
	}
}

func signature(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// work is a clone with one commit in it.
type work struct {
	t   *testing.T
	dir string
}

func newWork(t *testing.T, remote string) work {
	t.Helper()
	w := work{t: t, dir: t.TempDir()}
	w.git("init", "--quiet", "--initial-branch=main")
	w.git("remote", "add", "origin", remote)
	w.commit("first")
	return w
}

// commit adds a file and returns the commit's name.
func (w work) commit(text string) string {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "file.txt"), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.git("add", ".")
	w.git("commit", "--quiet", "--message", "change")
	return w.git("rev-parse", "HEAD")
}

func (w work) git(args ...string) string {
	w.t.Helper()
	out, err := w.try(args...)
	if err != nil {
		w.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return out
}

func (w work) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), soon)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "HOME="+w.dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	return string(trim(out)), err
}

func trim(text []byte) []byte {
	for len(text) > 0 && text[len(text)-1] == '\n' {
		text = text[:len(text)-1]
	}
	return text
}

// ends ends a part with the test, and fails the test where it does not end well.
func ends(t *testing.T, stop func() error) {
	t.Helper()
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
