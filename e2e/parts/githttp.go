package parts

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// GitHTTPOptions say how Git is served.
type GitHTTPOptions struct {
	Dir        string // the repositories
	Addr       string // host:port; empty: loopback, on the port used before in Dir or a free one
	HookURL    string // hears of every push; may be empty
	HookSecret string // signs what is posted there
	User       string // with Password: what every client must give; empty: nothing
	Password   string
	// Around wraps what answers whoever may ask; nil changes nothing.
	Around func(http.Handler) http.Handler
}

// GitHTTP is git's own HTTP server, in this process: as quick as Git gets. Stopped, it
// can be started again with its Dir and Addr and has all its repositories.
type GitHTTP struct {
	URL string

	opts    GitHTTPOptions
	hook    string
	backend *cgi.Handler
	answer  http.Handler
	server  *http.Server
	done    chan struct{}
}

// StartGitHTTP serves Git. The context bounds the start only.
func StartGitHTTP(ctx context.Context, opts GitHTTPOptions) (*GitHTTP, error) {
	if opts.Dir == "" {
		return nil, errors.New("serve git: no Dir given")
	}
	var err error
	if opts.Addr, err = address(opts.Addr, opts.Dir); err != nil {
		return nil, err
	}
	hook, err := build(ctx, PostReceiveProgram, func() {})
	if err != nil {
		return nil, err
	}
	programs, err := exec.CommandContext(ctx, "git", "--exec-path").Output()
	if err != nil {
		return nil, fmt.Errorf("serve git: find git's programs: %w", err)
	}
	if err := os.MkdirAll(opts.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("serve git: make the folder: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", opts.Addr)
	if err != nil {
		return nil, fmt.Errorf("serve git: %w", err)
	}
	g := &GitHTTP{
		URL:  "http://" + listener.Addr().String(),
		opts: opts,
		hook: hook,
		done: make(chan struct{}),
		backend: &cgi.Handler{
			Path:       filepath.Join(strings.TrimSpace(string(programs)), "git-http-backend"),
			Root:       "/",
			Env:        append(gitEnv(opts.Dir), "GIT_PROJECT_ROOT="+opts.Dir, "GIT_HTTP_EXPORT_ALL=1"),
			InheritEnv: []string{"PATH"},
		},
	}
	g.answer = http.HandlerFunc(g.serve)
	if opts.Around != nil {
		g.answer = opts.Around(g.answer)
	}
	g.server = &http.Server{Handler: g, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(g.done)
		_ = g.server.Serve(listener)
	}()
	return g, nil
}

// gitEnv keeps the user's own settings of Git away.
func gitEnv(home string) []string {
	return []string{"HOME=" + home, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"}
}

// ServeHTTP lets git answer whoever may ask.
func (g *GitHTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.opts.User != "" {
		user, password, _ := r.BasicAuth()
		if !same(user, g.opts.User) || !same(password, g.opts.Password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
	}
	g.answer.ServeHTTP(w, r)
}

// serve hands a request to git.
func (g *GitHTTP) serve(w http.ResponseWriter, r *http.Request) {
	backend := *g.backend
	if g.opts.User != "" {
		backend.Env = append(slices.Clip(backend.Env), "REMOTE_USER="+g.opts.User)
	}
	// CGI must be told the length before; a large push comes without one.
	if r.ContentLength < 0 {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	}
	backend.ServeHTTP(w, r)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// CreateRepo makes an empty repository, such as "acme/config", and returns the URL to
// clone it from, without credentials. Its default branch is main.
func (g *GitHTTP) CreateRepo(ctx context.Context, repo string) (cloneURL string, err error) {
	cloneURL = g.URL + "/" + repo + ".git"
	dir := filepath.Join(g.opts.Dir, repo+".git")
	cmd := exec.CommandContext(ctx, "git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", dir)
	cmd.Env = append(gitEnv(g.opts.Dir), "PATH="+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("create repository %s: %w: %s", repo, err, out)
	}
	file, err := os.OpenFile(filepath.Join(dir, "config"), os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return "", fmt.Errorf("configure repository %s: %w", repo, err)
	}
	_, err = fmt.Fprintf(file, repoConfig, quote(g.opts.HookURL), quote(g.opts.HookSecret), quote(cloneURL), quote(repo))
	if err := errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("configure repository %s: %w", repo, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "hooks"), 0o755); err != nil {
		return "", fmt.Errorf("hook repository %s: %w", repo, err)
	}
	if err := os.Symlink(g.hook, filepath.Join(dir, "hooks", "post-receive")); err != nil {
		return "", fmt.Errorf("hook repository %s: %w", repo, err)
	}
	return cloneURL, nil
}

// repoConfig lets clients push and fetch in part, and keeps housekeeping out of pushes.
const repoConfig = `[http]
	receivepack = true
[receive]
	autogc = false
[gc]
	auto = 0
[uploadpack]
	allowFilter = true
	allowAnySHA1InWant = true
[slipway]
	hookurl = %s
	hooksecret = %s
	cloneurl = %s
	fullname = %s
`

func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text) + `"`
}

// Stop ends the open requests and stops serving.
func (g *GitHTTP) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := g.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("stop serving git: %w", err), g.server.Close())
	}
	<-g.done
	return err
}
