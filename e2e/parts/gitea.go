package parts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// GiteaOptions say what a Gitea is started with.
type GiteaOptions struct {
	Dir  string // its repositories, database and log
	Addr string // host:port; empty: loopback, on the port used before in Dir or a free one
}

// GitHost is a running Gitea. Stopped or killed, it can be started again in its Dir with
// all its repositories, webhooks and credentials.
type GitHost struct {
	*process
	URL      string `json:"url"`
	User     string `json:"user"` // an administrator
	Password string `json:"password"`
	Token    string `json:"token"` // may do all; as a password it works for Git, too

	dir string
}

// StartGitea starts a Gitea. The context bounds the start only.
func StartGitea(ctx context.Context, opts GiteaOptions) (*GitHost, error) {
	g := &GitHost{dir: opts.Dir}
	var err error
	if opts.Addr, err = address(opts.Addr, opts.Dir); err != nil {
		return nil, err
	}
	if g.process, err = start(ctx, GiteaProgram, opts.Dir, g, "--data", opts.Dir, "--listen", opts.Addr); err != nil {
		return nil, err
	}
	return g, nil
}

// Restart stops it, and starts it again where it was after a while. Its API may be called
// meanwhile.
func (g *GitHost) Restart(ctx context.Context, away time.Duration) error {
	_ = g.Stop() // Gitea may call its own end a failure
	time.Sleep(away)
	again, err := StartGitea(ctx, GiteaOptions{Dir: g.dir, Addr: strings.TrimPrefix(g.URL, "http://")})
	if err == nil {
		g.process = again.process
	}
	return err
}

// CreateRepo makes an empty repository of the user and returns the URL to clone it
// from, without credentials. Its default branch is main.
func (g *GitHost) CreateRepo(ctx context.Context, repo string) (cloneURL string, err error) {
	var answer struct {
		CloneURL string `json:"clone_url"`
	}
	err = g.API(ctx, http.MethodPost, "/user/repos", map[string]any{"name": repo, "default_branch": "main"}, &answer)
	return answer.CloneURL, err
}

// AddWebhook makes Gitea post each push to the user's repository, signed with the secret.
func (g *GitHost) AddWebhook(ctx context.Context, repo, url, secret string) error {
	return g.API(ctx, http.MethodPost, fmt.Sprintf("/repos/%s/%s/hooks", g.User, repo), map[string]any{
		"type": "gitea", "active": true, "events": []string{"push"},
		"config": map[string]string{"url": url, "content_type": "json", "secret": secret},
	}, nil)
}

// API calls a path of Gitea's API, below /api/v1. Both bodies may be nil.
func (g *GitHost) API(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("ask Gitea: %s %s: %w", method, path, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, g.URL+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask Gitea: %s %s: %w", method, path, err)
	}
	req.Header.Set("Authorization", "token "+g.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask Gitea: %s %s: %w", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("ask Gitea: %s %s: %w", method, path, err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("ask Gitea: %s %s: %s: %s", method, path, resp.Status, answer)
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("ask Gitea: %s %s: read the answer: %w", method, path, err)
	}
	return nil
}
