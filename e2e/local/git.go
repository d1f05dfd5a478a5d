package local

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Clone is a person's clone of the config repo.
type Clone struct {
	Dir string
}

// AuthURL is the config repo's address with credentials in it, for the git
// command.
func (w *World) AuthURL() string { return w.authURL(w.RepoURL) }

func (w *World) authURL(repo string) string {
	u, err := url.Parse(repo)
	if err != nil {
		return repo
	}
	u.User = url.UserPassword(w.gitUser, w.gitPass)
	return u.String()
}

// Clone clones the config repo into a folder of the world.
func (w *World) Clone(ctx context.Context, name string) (*Clone, error) {
	return w.clone(ctx, name, w.AuthURL())
}

// CloneOf clones one of the other config repos.
func (w *World) CloneOf(ctx context.Context, repo, name string) (*Clone, error) {
	return w.clone(ctx, filepath.Join(repo, name), w.authURL(w.RepoURLs[repo]))
}

func (w *World) clone(ctx context.Context, name, address string) (*Clone, error) {
	c := &Clone{Dir: filepath.Join(w.opts.Dir, "clones", name)}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("clone the config repo: %w", err)
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"},
		{"config", "user.name", "Maria"},
		{"config", "user.email", "maria@example.com"},
		{"remote", "add", "origin", address},
	} {
		if _, err := c.Git(ctx, args...); err != nil {
			return nil, err
		}
	}
	if out, err := c.Git(ctx, "ls-remote", "--heads", "origin", "main"); err != nil || out == "" {
		return c, err
	}
	return c, c.Pull(ctx)
}

// Pull brings what others pushed.
func (c *Clone) Pull(ctx context.Context) error {
	_, err := c.Git(ctx, "pull", "-q", "--rebase", "origin", "main")
	return err
}

// Commit writes files (an empty content deletes) and commits them.
func (c *Clone) Commit(ctx context.Context, message string, files map[string]string) error {
	for name, data := range files {
		file := filepath.Join(c.Dir, name)
		if data == "" {
			if err := os.RemoveAll(file); err != nil {
				return fmt.Errorf("delete %s: %w", name, err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if err := os.WriteFile(file, []byte(data), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	if _, err := c.Git(ctx, "add", "-A"); err != nil {
		return err
	}
	_, err := c.Git(ctx, "commit", "-q", "-m", message)
	return err
}

// Push pushes, on top of what others pushed meanwhile.
func (c *Clone) Push(ctx context.Context) error {
	var err error
	for range 10 {
		if _, err = c.Git(ctx, "push", "-q", "origin", "HEAD:main"); err == nil {
			return nil
		}
		if err := c.Pull(ctx); err != nil {
			return err
		}
	}
	return err
}

// Git runs git in the clone and gives its trimmed output.
func (c *Clone) Git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}
