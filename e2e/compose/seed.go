package compose

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/e2e/parts"
)

// seed pushes the first image, and deploy/compose/repo as the config repo's first commit.
func (p *Project) seed(ctx context.Context, who account) error {
	if _, err := p.Push(ctx, "shop/web", "1.0.0"); err != nil {
		return err
	}
	return p.commit(ctx, who, "Begin", func(dir string) error {
		return os.CopyFS(dir, os.DirFS(filepath.Join(p.Root, "deploy/compose/repo")))
	})
}

// Push pushes a new image of random content and gives its digest.
func (p *Project) Push(ctx context.Context, repo, tag string) (digest string, err error) {
	return parts.PushImage(ctx, p.Registry(), repo, tag, parts.ImageOptions{})
}

// Commit pushes files to the config repo as a person does.
func (p *Project) Commit(ctx context.Context, message string, files map[string]string) error {
	password, err := p.secret("git-admin")
	if err != nil {
		return err
	}
	return p.commit(ctx, account{user: admin, password: password}, message, func(dir string) error {
		for name, text := range files {
			file := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				return err
			}
		}
		return nil
	})
}

// commit pushes one commit on top of main, with what edit does to its files.
func (p *Project) commit(ctx context.Context, who account, message string, edit func(dir string) error) (err error) {
	dir, err := os.MkdirTemp("", "slipway-config-")
	if err != nil {
		return fmt.Errorf("change the config repo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	g := git{dir, who}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"},
		{"config", "user.name", "Maria"},
		{"config", "user.email", "maria@example.com"},
		{"remote", "add", "origin", p.GitURL() + "/" + admin + "/config.git"},
	} {
		if _, err := g.run(ctx, args...); err != nil {
			return err
		}
	}
	heads, err := g.run(ctx, "ls-remote", "--heads", "origin", "main")
	if err != nil {
		return err
	}
	if heads != "" {
		if _, err := g.run(ctx, "pull", "-q", "origin", "main"); err != nil {
			return err
		}
	}
	if err := edit(dir); err != nil {
		return fmt.Errorf("change the config repo: %w", err)
	}
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", message}, {"push", "-q", "origin", "HEAD:main"}} {
		if _, err := g.run(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// Log is the config repo's history, the newest commit first, with messages.
func (p *Project) Log(ctx context.Context) (log string, err error) {
	password, err := p.secret("git-admin")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "slipway-config-")
	if err != nil {
		return "", fmt.Errorf("read the config repo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	g := git{dir, account{user: admin, password: password}}
	if _, err := g.run(ctx, "clone", "-q", "--bare", p.GitURL()+"/"+admin+"/config.git", "."); err != nil {
		return "", err
	}
	return g.run(ctx, "log", "main")
}

// git runs git in a folder as somebody.
type git struct {
	dir string
	who account
}

func (g git) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = g.dir
	proof := base64.StdEncoding.EncodeToString([]byte(g.who.user + ":" + g.who.password))
	// By the environment, which others of this machine can't read.
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: Basic "+proof)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}

// bootstrap applies the root Application, as soon as the synchronizer has brought the
// kinds that it is written in.
func (p *Project) bootstrap(ctx context.Context) error {
	root, err := os.ReadFile(filepath.Join(p.Root, "deploy/compose/root.yaml"))
	if err != nil {
		return fmt.Errorf("read the root Application: %w", err)
	}
	return Eventually(ctx, time.Minute, func() error {
		_, err := p.Kubectl(ctx, string(root), "apply", "--server-side", "-f", "-")
		return err
	})
}

// Kubectl runs kubectl as the cluster's administrator.
func (p *Project) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	return p.Compose(ctx, stdin, append([]string{"exec", "-T", "cluster", "/cluster", "kubectl", "--cache-dir", "/tmp/kubectl"}, args...)...)
}
