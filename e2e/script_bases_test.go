package e2e_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-cd/slipway/e2e/parts"
)

// farBases is a host of what kustomizations name beyond the config repo: the
// repository $BASES/bases/shop.git, and its files at $BASES/bases/files.
type farBases struct {
	options parts.GitHTTPOptions
	git     *parts.GitHTTP
	dir     string // a clone
}

// cmdBase changes them: base commit v1 FILE=CONTENT_FILE… commits files and moves a
// tag there; base stop and base start.
func cmdBase(ts *testscript.TestScript, _ bool, args []string) {
	s := world(ts)
	if s.bases == nil {
		s.bases = startBases(ts, s.dir)
	}
	b := s.bases
	switch args[0] {
	case "stop":
		check(ts, b.git.Stop())
	case "start":
		var err error
		b.git, err = parts.StartGitHTTP(context.Background(), b.options)
		check(ts, err)
	case "commit":
		for _, a := range args[2:] {
			name, from, _ := strings.Cut(a, "=")
			at := filepath.Join(b.dir, name)
			check(ts, os.MkdirAll(filepath.Dir(at), 0o755))
			check(ts, os.WriteFile(at, []byte(os.Expand(ts.ReadFile(from), ts.Getenv)), 0o600))
		}
		b.run(ts, "add", "-A")
		b.run(ts, "-c", "user.name=Far", "-c", "user.email=far@example.com", "commit", "-q", "-m", args[1])
		b.run(ts, "tag", "-f", args[1])
		b.run(ts, "push", "-q", "-f", "origin", "HEAD:main", args[1])
	default:
		ts.Fatalf("base: unknown %s", args[0])
	}
}

func startBases(ts *testscript.TestScript, dir string) *farBases {
	b := &farBases{dir: filepath.Join(dir, "bases-clone")}
	b.options = parts.GitHTTPOptions{Dir: filepath.Join(dir, "bases-git"), Around: func(git http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/bases/files/", http.StripPrefix("/bases/files/", http.FileServer(http.Dir(b.dir))))
		mux.Handle("/", git)
		return mux
	}}
	var err error
	b.git, err = parts.StartGitHTTP(context.Background(), b.options)
	check(ts, err)
	b.options.Addr = strings.TrimPrefix(b.git.URL, "http://")
	url, err := b.git.CreateRepo(context.Background(), "bases/shop")
	check(ts, err)
	check(ts, os.MkdirAll(b.dir, 0o755))
	b.run(ts, "init", "-q", "-b", "main")
	b.run(ts, "remote", "add", "origin", url)
	ts.Setenv("BASES", b.git.URL)
	ts.Setenv("BASES_HOST", b.options.Addr)
	return b
}

func (b *farBases) run(ts *testscript.TestScript, args ...string) {
	cmd := exec.Command("git", args...)
	cmd.Dir = b.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, out)
	}
}
