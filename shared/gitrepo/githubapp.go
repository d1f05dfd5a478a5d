package gitrepo

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// AppOptions say which installation of a GitHub App to act as.
type AppOptions struct {
	// ID is the app's id or client id, Installation the installation's id.
	ID, Installation string
	// PrivateKey is the app's RSA key in PEM form.
	PrivateKey []byte
	// Endpoint is the API; empty means https://api.github.com. GitHub
	// Enterprise Server's is https://<host>/api/v3.
	Endpoint string
	// CA and Proxy are as in [Options].
	CA    []byte
	Proxy string
}

// GitHubApp gives tokens of one installation. It is safe for concurrent use,
// and several mirrors may share it.
type GitHubApp struct {
	id, url string
	key     *rsa.PrivateKey
	client  *http.Client

	mu      sync.Mutex
	token   string
	expires time.Time
}

const (
	// appMargin is how long before its end a token is replaced: longer than
	// an exchange with a host takes.
	appMargin = 5 * time.Minute
	// appTimeout bounds one request to the API.
	appTimeout = 30 * time.Second
)

// NewGitHubApp checks the options without asking the network.
func NewGitHubApp(o AppOptions) (*GitHubApp, error) {
	key, err := parseAppKey(o.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("read the GitHub App's private key: %w", err)
	}
	if o.ID == "" || strings.Trim(o.Installation, "0123456789") != "" || o.Installation == "" {
		return nil, errors.New("a GitHub App needs an app id and the number of an installation")
	}
	if o.Endpoint == "" {
		o.Endpoint = "https://api.github.com"
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, errors.New("the GitHub App's endpoint must be https:// or http:// with a host, and without credentials")
	}
	tr, err := newTransport(o.CA, o.Proxy)
	if err != nil {
		return nil, fmt.Errorf("prepare the GitHub App: %w", err)
	}
	return &GitHubApp{
		id: o.ID, key: key,
		url: u.JoinPath("app", "installations", o.Installation, "access_tokens").String(),
		client: &http.Client{Transport: tr, Timeout: appTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the API sends us elsewhere, where the app's proof must not go")
		}},
	}, nil
}

func parseAppKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is not in PEM form")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if key, ok := any.(*rsa.PrivateKey); ok && err == nil {
		return key, nil
	}
	return nil, fmt.Errorf("it is no RSA key, but a %q", block.Type)
}

// Token gives a token that is good for some minutes at least. The error is
// [ErrUnauthorized] where GitHub doesn't accept the app.
func (a *GitHubApp) Token(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token != "" && time.Until(a.expires) > appMargin {
		return a.token, nil
	}
	token, expires, err := a.ask(ctx)
	if err != nil {
		return "", fmt.Errorf("get a token of the GitHub App %s: %w", a.id, err)
	}
	a.token, a.expires = token, expires
	return token, nil
}

// forget drops a token that a host did not accept.
func (a *GitHubApp) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = ""
}

func (a *GitHubApp) ask(ctx context.Context) (string, time.Time, error) {
	proof, err := a.proof(time.Now())
	if err != nil {
		return "", time.Time{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, http.NoBody)
	if err != nil {
		return "", time.Time{}, err
	}
	req.Header.Set("Authorization", "Bearer "+proof)
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	req.Header.Set("User-Agent", "slipway")
	res, err := a.client.Do(req)
	if err != nil {
		return "", time.Time{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return "", time.Time{}, fmt.Errorf("read the answer: %w", err)
	}
	return readToken(res.StatusCode, body)
}

// readToken reads the API's answer.
func readToken(status int, body []byte) (string, time.Time, error) {
	var answer struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires_at"`
		Message string    `json:"message"`
	}
	err := json.NewDecoder(bytes.NewReader(body)).Decode(&answer)
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound:
		return "", time.Time{}, fmt.Errorf("%w: status %d: %q", ErrUnauthorized, status, answer.Message)
	case status != http.StatusCreated:
		return "", time.Time{}, fmt.Errorf("status %d: %q", status, answer.Message)
	case err != nil || answer.Token == "" || answer.Expires.IsZero():
		return "", time.Time{}, errors.New("the answer has no token with its end")
	}
	return answer.Token, answer.Expires, nil
}

// proof is the app's signed claim to be itself. It begins a minute ago, for
// clocks that differ, and ends within the ten minutes that GitHub allows.
func (a *GitHubApp) proof(now time.Time) (string, error) {
	claims, err := json.Marshal(map[string]any{
		"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(8 * time.Minute).Unix(), "iss": a.id,
	})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign the app's claim: %w", err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
