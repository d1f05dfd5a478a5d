// Package gitrepotest serves real Git repositories over HTTP for tests, by
// git's own http-backend.
package gitrepotest

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Server serves bare repositories in Root.
type Server struct {
	Root string
	URL  string
	t    testing.TB
}

// Start serves an empty root until the test ends. wrap, where not nil, stands
// before git: to demand credentials, to fail, to count.
func Start(t testing.TB, wrap func(http.Handler) http.Handler) *Server {
	t.Helper()
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatalf("git is needed for this test: %v", err)
	}
	s := &Server{Root: t.TempDir(), t: t}
	var h http.Handler = &cgi.Handler{
		Path:   filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + s.Root, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + s.Root},
		Stderr: os.Stderr,
	}
	if wrap != nil {
		h = wrap(h)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Create makes a repository whose branch main holds one commit with files.
func (s *Server) Create(name string, files map[string]string) *Work {
	s.t.Helper()
	bare := filepath.Join(s.Root, name)
	s.git("", "init", "-q", "--bare", "-b", "main", bare)
	s.git(bare, "config", "http.receivepack", "true")
	s.git(bare, "config", "gc.auto", "0") // it would go on in the background, in a folder that goes away
	w := &Work{Dir: s.t.TempDir(), URL: s.URL + "/" + name, Bare: bare, s: s}
	s.git("", "clone", "-q", bare, w.Dir)
	s.git(w.Dir, "config", "gc.auto", "0")
	s.git(w.Dir, "config", "user.name", "Maria")
	s.git(w.Dir, "config", "user.email", "maria@example.com")
	s.git(w.Dir, "checkout", "-q", "-B", "main")
	w.Commit("begin", files)
	return w
}

// Work is a person's clone of a repository.
type Work struct {
	Dir, URL, Bare string
	s              *Server
}

// Commit writes files (empty content deletes), commits and pushes, and gives
// the commit's id.
func (w *Work) Commit(message string, files map[string]string) string {
	w.s.t.Helper()
	for name, data := range files {
		p := filepath.Join(w.Dir, name)
		if data == "" {
			if err := os.Remove(p); err != nil {
				w.s.t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			w.s.t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(data), 0o644); err != nil {
			w.s.t.Fatal(err)
		}
	}
	w.Git("add", "-A")
	w.Git("commit", "-q", "--allow-empty", "-m", message)
	w.Git("push", "-q", "origin", "HEAD:main")
	return w.Git("rev-parse", "HEAD")
}

// Pull brings what others pushed.
func (w *Work) Pull() { w.Git("pull", "-q", "--rebase", "origin", "main") }

// Git runs git in the clone and gives its trimmed output.
func (w *Work) Git(args ...string) string { return w.s.git(w.Dir, args...) }

func (s *Server) git(dir string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
