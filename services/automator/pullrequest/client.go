package pullrequest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/shared/service"
)

const (
	// timeout bounds one request with its answer.
	timeout = 30 * time.Second
	// maxAnswer bounds an answer in bytes. A page of fifty pull requests with
	// long bodies is below a tenth of it.
	maxAnswer = 32 << 20
	// longestWait bounds what a host may make us wait, should it be wrong.
	longestWait = 2 * time.Hour
	// politeWait is how long to wait where a host doesn't say; GitHub asks for
	// a minute.
	politeWait = time.Minute
)

// credentials are a user and a secret; token says that it isn't a password.
type credentials struct {
	user, secret string
	token        bool
}

// signer gives the Authorization header.
type signer func(credentials) string

func basic(c credentials) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.user+":"+c.secret))
}

func bearer(c credentials) string {
	if c.token {
		return "Bearer " + c.secret
	}
	return basic(c)
}

func giteaToken(c credentials) string {
	if c.token {
		return "token " + c.secret
	}
	return basic(c)
}

// bitbucketToken tells apart the access tokens of a repository, project or
// workspace from the API tokens of a person, which go with a mail address.
func bitbucketToken(c credentials) string {
	if c.token && (c.user == "" || c.user == "x-token-auth") {
		return "Bearer " + c.secret
	}
	return basic(c)
}

// client speaks JSON to one host with our credentials, and keeps to its
// limits.
type client struct {
	kind    string
	base    *url.URL
	headers http.Header
	secrets []string // never in an error
	http    *http.Client
	now     func() time.Time

	mu    sync.Mutex
	until time.Time // the host asked not to be asked before
}

func newClient(h service.GitHost, sign signer, o Options) (*client, error) {
	base, err := url.Parse(strings.TrimRight(h.API, "/"))
	if err != nil {
		return nil, errors.New("host.api: not an address")
	}
	user, secret, err := h.Credentials.Basic()
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", base.Host, err)
	}
	if secret == "" {
		return nil, fmt.Errorf("credentials for %s: a token is needed: give host.credentials.token", base.Host)
	}
	header := sign(credentials{user: user, secret: secret, token: h.Credentials.Token != nil})
	_, sent, _ := strings.Cut(header, " ")
	if o.Transport == nil {
		o.Transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &client{
		kind: h.Kind, base: base, now: o.Now, secrets: []string{secret, sent},
		headers: http.Header{
			"Authorization": {header}, "Accept": {"application/json"}, "User-Agent": {"slipway"},
		},
		http: &http.Client{Transport: o.Transport, Timeout: timeout, CheckRedirect: follow},
	}, nil
}

// follow lets only questions be sent on, and only within the host: whoever
// answers would get our credentials.
func follow(req *http.Request, via []*http.Request) error {
	const most = 5
	first := via[0]
	if first.Method != http.MethodGet || len(via) > most {
		return http.ErrUseLastResponse
	}
	if req.URL.Host != first.URL.Host || req.URL.Scheme != first.URL.Scheme {
		return fmt.Errorf("%s sends us on to %s: credentials don't go there; is host.api right?", first.URL.Host, req.URL.Host)
	}
	return nil
}

// call asks for the path, whose parts must be escaped, and reads the answer
// into out unless that is nil.
func (c *client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	if until := c.limited(); !until.IsZero() {
		return &StatusError{Kind: c.kind, Method: method, Path: path, RetryAt: until, reason: ErrRateLimited}
	}
	status, header, answer, err := c.send(ctx, method, path, query, in)
	if err != nil {
		return fmt.Errorf("%s: %s %s: %w", c.kind, method, path, err)
	}
	fault := &StatusError{Kind: c.kind, Method: method, Path: path, Status: status}
	wait := c.wait(header)
	spent := !wait.IsZero() && remaining(header) == "0"
	if status < http.StatusMultipleChoices {
		if spent {
			c.limit(wait)
		}
		if out == nil {
			return nil
		}
		if err := json.Unmarshal(answer, out); err != nil {
			return fmt.Errorf("%s: %s %s: read the answer: %w", c.kind, method, path, err)
		}
		return nil
	}
	fault.Words, fault.reason, fault.RetryAt = words(answer, c.secrets), reasonOf(status), wait
	if status < http.StatusBadRequest {
		fault.reason, fault.Words = errMoved, ""
	}
	if status == http.StatusForbidden && (spent || header.Get("Retry-After") != "" || strings.Contains(strings.ToLower(fault.Words), "rate limit")) {
		fault.reason = ErrRateLimited
	}
	if errors.Is(fault.reason, ErrRateLimited) {
		if fault.RetryAt.IsZero() {
			fault.RetryAt = c.now().Add(politeWait)
		}
		c.limit(fault.RetryAt)
	}
	return fault
}

func (c *client) send(ctx context.Context, method, path string, query url.Values, in any) (int, http.Header, []byte, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return 0, nil, nil, fmt.Errorf("write the request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	address := c.base.String() + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header = c.headers.Clone()
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // its address is told already
		}
		return 0, nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(answer) > maxAnswer {
		return 0, nil, nil, fmt.Errorf("read the answer: it has more than %d bytes", maxAnswer)
	}
	return resp.StatusCode, resp.Header, answer, nil
}

// limited is until when the host doesn't want to be asked, or zero.
func (c *client) limited() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Before(c.until) {
		return c.until
	}
	return time.Time{}
}

func (c *client) limit(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until.After(c.until) {
		c.until = until
	}
}

// remaining is how many requests a host still takes, empty where it doesn't
// say.
func remaining(h http.Header) string { return first(h, "X-Ratelimit-Remaining", "Ratelimit-Remaining") }

func first(h http.Header, names ...string) string {
	for _, n := range names {
		if v := h.Get(n); v != "" {
			return v
		}
	}
	return ""
}

// wait reads when a host wants to be asked again: Retry-After, else the end
// of a limit that is spent. Zero where it doesn't say.
func (c *client) wait(h http.Header) time.Time {
	now := c.now()
	at := time.Time{}
	if after := h.Get("Retry-After"); after != "" {
		if date, err := http.ParseTime(after); err == nil {
			at = date
		} else {
			at = later(now, after)
		}
	}
	if at.IsZero() && remaining(h) == "0" {
		at = later(now, first(h, "X-Ratelimit-Reset", "Ratelimit-Reset", "X-Ratelimit-Interval-Seconds"))
	}
	if at.IsZero() || at.Before(now) {
		return time.Time{}
	}
	if at.Sub(now) > longestWait {
		return now.Add(longestWait)
	}
	return at
}

// later reads seconds from now, or since 1970 where there are as many.
func later(now time.Time, seconds string) time.Time {
	const year2001, year9999 = 1_000_000_000, 253_000_000_000
	n, err := strconv.ParseInt(strings.TrimSpace(seconds), 10, 64)
	switch {
	case err != nil || n < 0:
		return time.Time{}
	case n >= year2001:
		return time.Unix(min(n, year9999), 0)
	default:
		return now.Add(min(time.Duration(n)*time.Second, longestWait))
	}
}
