package fetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/gate"
	"github.com/slipway-cd/slipway/shared/registry"
)

// request is for one file of a chart repository.
type request struct {
	address    string
	most       int64 // bytes
	verbatim   bool  // it is packed, and must not be unpacked on the way
	validators       // of what is here already
}

// answer is what came.
type answer struct {
	validators
	same bool // what is here is what is there
	at   time.Time
	body io.Reader // errs where it is too large
}

// get asks for a file. The credentials go to the repository's own host alone,
// and there by no plain http that the config doesn't allow.
func (c *Client) get(ctx context.Context, q Question, r request, take func(answer) error) error {
	within, cancel := context.WithTimeout(ctx, gate.FileWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(within, http.MethodGet, r.address, nil)
	if err != nil {
		return fmt.Errorf("%w: its repository is not an address", charts.ErrBad)
	}
	req.Header.Set("User-Agent", "slipway")
	if r.verbatim {
		req.Header.Set("Accept-Encoding", "identity")
	}
	if r.ETag != "" {
		req.Header.Set("If-None-Match", r.ETag)
	}
	if r.Modified != "" {
		req.Header.Set("If-Modified-Since", r.Modified)
	}
	client, done, err := c.http(within, q)
	if err != nil {
		return err
	}
	defer done()
	res, err := client.Do(req)
	if err != nil {
		return failed(ctx, r.address, err)
	}
	defer res.Body.Close() // nothing was written
	now := time.Now()
	if res.StatusCode == http.StatusNotModified && r.validators != (validators{}) {
		return take(answer{same: true, at: now})
	}
	if err := refusal(r.address, res.StatusCode); err != nil {
		return err
	}
	err = take(answer{
		validators: validators{headerLine(res, "ETag"), headerLine(res, "Last-Modified")}, at: now,
		body: &bounded{from: res.Body, left: r.most, most: r.most},
	})
	if err == nil || errors.Is(err, charts.ErrBad) {
		return err
	}
	return failed(ctx, r.address, err)
}

func headerLine(res *http.Response, name string) string {
	value := res.Header.Get(name)
	if strings.ContainsAny(value, "\r\n") || len(value) > 1024 {
		return ""
	}
	return value
}

// refusal is what a status means.
func refusal(address string, status int) error {
	switch {
	case status == http.StatusOK:
		return nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("%w: %s answers %d", charts.ErrUnauthorized, plain(address), status)
	case status == http.StatusNotFound, status == http.StatusGone:
		return fmt.Errorf("%w: %s answers %d", charts.ErrMissing, plain(address), status)
	}
	return fmt.Errorf("%w: %s answers %d", charts.ErrAway, plain(address), status)
}

// failed is why there was no answer. An address that a server redirected to may
// have a secret in it, and is not told.
func failed(ctx context.Context, address string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(err, charts.ErrBad) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %s takes too long", charts.ErrAway, plain(address))
	}
	return fmt.Errorf("%w: %s: %w", charts.ErrAway, plain(address), err)
}

// plain is an address without what may be a secret.
func plain(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "its address"
	}
	return u.Scheme + "://" + u.Host + u.Path
}

// bounded errs where more comes than may.
type bounded struct {
	from       io.Reader
	left, most int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("%w: it is larger than %d bytes", charts.ErrBad, b.most)
	}
	return n, err
}

// http makes a client for one file.
func (c *Client) http(ctx context.Context, q Question) (*http.Client, func(), error) {
	t, err := c.transport(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	client := &http.Client{Transport: t, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) > gate.MaxRedirects {
			return errors.New("it redirects too often")
		}
		return nil
	}}
	return client, client.CloseIdleConnections, nil
}

func (c *Client) transport(ctx context.Context, q Question) (*signed, error) {
	base := gate.Transport()
	if len(q.Access.ca) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("read the system's certificates: %w", err)
		}
		if !pool.AppendCertsFromPEM(q.Access.ca) {
			return nil, fmt.Errorf("%w: ca.crt has no certificate in PEM form", ErrCredentials)
		}
		base.TLSClientConfig.RootCAs = pool
	}
	s := &signed{safe: base, insecure: func(host string) bool { return c.host(host).Insecure }}
	lax := base.Clone()
	lax.TLSClientConfig.InsecureSkipVerify = true //nolint:gosec // for hosts of which the config says insecure: true
	s.lax = lax
	u, err := url.Parse(q.Repository)
	if err != nil {
		return nil, fmt.Errorf("%w: its repository is not an address", charts.ErrBad)
	}
	s.scheme, s.host = u.Scheme, strings.ToLower(u.Host)
	s.user, s.password = q.Access.user, q.Access.password
	if q.Access.config {
		if s.user, s.password, err = c.configured(ctx, s.host); err != nil {
			return nil, fmt.Errorf("%w: %w", charts.ErrUnauthorized, err)
		}
	}
	return s, nil
}

// configured are the config's credentials for a host.
func (c *Client) configured(ctx context.Context, name string) (user, password string, err error) {
	h := c.host(name)
	switch {
	case h.Source != nil:
		found, _, err := h.Source(ctx)
		return found.Username, found.Password, err
	case h.DockerConfig != "":
		found, _, err := registry.DockerConfig(h.DockerConfig, name)(ctx)
		return found.Username, found.Password, err
	}
	return h.User, h.Password, nil
}

// signed sends credentials to one host, and plain http only where that is
// allowed.
type signed struct {
	safe, lax      *http.Transport
	insecure       func(host string) bool
	scheme, host   string
	user, password string
}

// RoundTrip is called for each request, also of a redirect.
func (s *signed) RoundTrip(req *http.Request) (*http.Response, error) {
	host := strings.ToLower(req.URL.Host)
	lax := s.insecure(host)
	if req.URL.Scheme != "https" && (req.URL.Scheme != "http" || !lax && !loopback(host)) {
		return nil, fmt.Errorf("%w: %s is plain %s: take https, or say insecure: true of the host in the config's registries", charts.ErrBad, host, req.URL.Scheme)
	}
	if s.password != "" && req.URL.Scheme == s.scheme && host == s.host {
		req = req.Clone(req.Context())
		req.SetBasicAuth(s.user, s.password)
	}
	if lax {
		return s.lax.RoundTrip(req)
	}
	return s.safe.RoundTrip(req)
}

// CloseIdleConnections lets go of the connections.
func (s *signed) CloseIdleConnections() {
	s.safe.CloseIdleConnections()
	s.lax.CloseIdleConnections()
}

// loopback says whether a host is this machine.
func loopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	return name == "localhost" || net.ParseIP(strings.Trim(name, "[]")).IsLoopback()
}
