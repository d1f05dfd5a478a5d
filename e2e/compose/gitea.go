package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// admin owns the config repo; a person signs in by that name.
const admin = "slipway"

// account is somebody at the Git host.
type account struct{ user, password, token string }

// statusError is an answer that isn't 2xx.
type statusError struct {
	code int
	body string
}

func (e *statusError) Error() string { return fmt.Sprintf("the answer is %d: %s", e.code, e.body) }

// is says whether an error is that answer.
func is(err error, code int) bool {
	var status *statusError
	return errors.As(err, &status) && status.code == code
}

// gitea calls a path of Gitea's API below /api/v1; both bodies may be nil.
func (p *Project) gitea(ctx context.Context, as account, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("ask Gitea: %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.GitURL()+"/api/v1"+path, body)
	if err != nil {
		return fmt.Errorf("ask Gitea: %s %s: %w", method, path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if as.token != "" {
		req.Header.Set("Authorization", "token "+as.token)
	} else {
		req.SetBasicAuth(as.user, as.password)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask Gitea: %s %s: %w", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("ask Gitea: %s %s: %w", method, path, err)
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("ask Gitea: %s %s: %w", method, path, &statusError{res.StatusCode, string(answer)})
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("ask Gitea: %s %s: read the answer: %w", method, path, err)
	}
	return nil
}

// GitURL is where this machine reaches the Git host.
func (p *Project) GitURL() string { return fmt.Sprintf("http://127.0.0.1:%d", p.Ports.Git) }

// Registry is where this machine reaches the registry.
func (p *Project) Registry() string { return fmt.Sprintf("127.0.0.1:%d", p.Ports.Registry) }

// administrator makes sure that the administrator is there with our password.
func (p *Project) administrator(ctx context.Context) (account, error) {
	password, err := p.secret("git-admin")
	if err != nil {
		return account{}, err
	}
	who := account{user: admin, password: password}
	err = p.gitea(ctx, who, http.MethodGet, "/user", nil, nil)
	if !is(err, http.StatusUnauthorized) {
		return who, err
	}
	command := func(args ...string) error {
		_, err := p.Compose(ctx, "", append([]string{"exec", "-T", "git", "gitea", "--config", "/etc/slipway/gitea.ini", "admin", "user"}, args...)...)
		return err
	}
	err = command("create", "--admin", "--username", admin, "--email", admin+"@example.com", "--password", password, "--must-change-password=false")
	if err != nil {
		// With the secrets of another time: the user is there, the password is another.
		if again := command("change-password", "--username", admin, "--password", password, "--must-change-password=false"); again != nil {
			return who, fmt.Errorf("make the Git host's administrator: %w", errors.Join(err, again))
		}
	}
	return who, p.gitea(ctx, who, http.MethodGet, "/user", nil, nil)
}

// robots are the services' own users: the synchronizer can't write.
var robots = []struct {
	user, permission string
	scopes           []string
}{
	{"automator", "write", []string{"write:repository", "write:issue"}},
	{"synchronizer", "read", []string{"read:repository"}},
}

// setUpGit makes what is missing at the Git host: users, the config repo with its first
// files, the webhook, and the services' tokens.
func (p *Project) setUpGit(ctx context.Context) error {
	who, err := p.administrator(ctx)
	if err != nil {
		return err
	}
	err = p.gitea(ctx, who, http.MethodGet, "/repos/"+admin+"/config", nil, nil)
	if is(err, http.StatusNotFound) {
		err = p.gitea(ctx, who, http.MethodPost, "/user/repos", map[string]any{"name": "config", "private": true, "default_branch": "main"}, nil)
	}
	if err != nil {
		return err
	}
	for _, robot := range robots {
		if err := p.robot(ctx, who, robot.user, robot.permission, robot.scopes); err != nil {
			return err
		}
	}
	if err := p.webhook(ctx, who); err != nil {
		return err
	}
	err = p.gitea(ctx, who, http.MethodGet, "/repos/"+admin+"/config/branches/main", nil, nil)
	if is(err, http.StatusNotFound) {
		p.say("seeding the config repo and the registry")
		err = p.seed(ctx, who)
	}
	return err
}

// robot makes a user with a right on the config repo, and a token in its secret.
func (p *Project) robot(ctx context.Context, who account, user, permission string, scopes []string) error {
	err := p.gitea(ctx, who, http.MethodGet, "/users/"+user, nil, nil)
	if is(err, http.StatusNotFound) {
		err = p.gitea(ctx, who, http.MethodPost, "/admin/users", map[string]any{
			"username": user, "email": user + "@example.com", "password": random(), "must_change_password": false,
		}, nil)
	}
	if err != nil {
		return err
	}
	if err := p.gitea(ctx, who, http.MethodPut, "/repos/"+admin+"/config/collaborators/"+user, map[string]any{"permission": permission}, nil); err != nil {
		return err
	}
	if token, err := p.secret("git-" + user); err == nil &&
		p.gitea(ctx, account{token: token}, http.MethodGet, "/repos/"+admin+"/config", nil, nil) == nil {
		return nil
	}
	var made struct {
		SHA1 string `json:"sha1"`
	}
	if err := p.gitea(ctx, who, http.MethodPost, "/users/"+user+"/tokens", map[string]any{"name": "compose-" + random()[:8], "scopes": scopes}, &made); err != nil {
		return err
	}
	return p.keep("git-"+user, made.SHA1+"\n")
}

// webhook makes Gitea tell of pushes, signed with the secret of now.
func (p *Project) webhook(ctx context.Context, who account) error {
	secret, err := p.secret("git-hook")
	if err != nil {
		return err
	}
	const url = "http://proxy:8080/hooks/git"
	hook := map[string]any{
		"type": "gitea", "active": true, "events": []string{"push"},
		"config": map[string]string{"url": url, "content_type": "json", "secret": secret},
	}
	var all []struct {
		ID     int64
		Config map[string]string
	}
	if err := p.gitea(ctx, who, http.MethodGet, "/repos/"+admin+"/config/hooks", nil, &all); err != nil {
		return err
	}
	for _, h := range all {
		if h.Config["url"] == url {
			return p.gitea(ctx, who, http.MethodPatch, fmt.Sprintf("/repos/"+admin+"/config/hooks/%d", h.ID), hook, nil)
		}
	}
	return p.gitea(ctx, who, http.MethodPost, "/repos/"+admin+"/config/hooks", hook, nil)
}
