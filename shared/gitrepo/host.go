package gitrepo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// host makes sessions with the Git host of one repository, one at a time.
type host interface {
	fetchSession(ctx context.Context) (fetchSession, error)
	pushSession(ctx context.Context) (pushSession, error)
	// aheadSession is for who asks before the host has said what it has; nil where each
	// conversation begins with that.
	aheadSession(ctx context.Context) (fetchSession, error)
	// refused drops credentials that were made for us and not accepted.
	refused()
}

// fetchSession is one conversation that brings objects.
type fetchSession interface {
	AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error)
	UploadPack(context.Context, *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
	Close() error
}

// pushSession is one conversation that moves a branch.
type pushSession interface {
	ReceivePack(context.Context, *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error)
	Close() error
}

// address is where a repository is.
type address struct {
	scheme, user, host, port, path string
}

// scpLike is user@host:path, which Git takes for SSH where no scheme is
// named.
var scpLike = regexp.MustCompile(`^(?:([^@:/\s]+)@)?(\[[0-9a-fA-F:.]+\]|[^@:/\[\]\s]+):(.+)$`)

// parseAddress reads an address without telling of it what may be secret.
func parseAddress(raw string) (address, error) {
	if !strings.Contains(raw, "://") {
		if m := scpLike.FindStringSubmatch(raw); m != nil {
			if m[1] == "" && strings.Contains(m[3], "@") {
				return address{}, errors.New("the address has a password but no scheme; credentials belong in the config's credentials")
			}
			return address{scheme: "ssh", user: m[1], host: strings.Trim(m[2], "[]"), path: m[3]}, nil
		}
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https", "ssh"}, u.Scheme) {
		return address{}, errors.New("the address must be https://, http:// or ssh:// with a host, or user@host:path")
	}
	_, password := u.User.Password()
	if password || (u.User != nil && u.Scheme != "ssh") {
		return address{}, fmt.Errorf("of %s: credentials belong in the config's credentials, not in the address", u.Host)
	}
	a := address{scheme: u.Scheme, user: u.User.Username(), host: u.Hostname(), port: u.Port(), path: u.Path}
	if rest, home := strings.CutPrefix(a.path, "/~"); home {
		a.path = "~" + rest
	}
	return a, nil
}

// newHost makes what reaches the repository of o.
func newHost(o Options) (host, error) {
	a, err := parseAddress(o.URL)
	if err != nil {
		return nil, fmt.Errorf("open mirror: %w", err)
	}
	if a.scheme == "ssh" {
		return newSSHHost(a, o)
	}
	if o.SSH != nil {
		return nil, fmt.Errorf("open mirror of %s: an SSH key is for ssh:// addresses", o.URL)
	}
	endpoint, err := transport.NewEndpoint(strings.TrimRight(o.URL, "/"))
	if err != nil {
		return nil, fmt.Errorf("open mirror of %s: %w", o.URL, err)
	}
	tr, err := newTransport(o.CA, o.Proxy)
	if err != nil {
		return nil, fmt.Errorf("open mirror of %s: %w", o.URL, err)
	}
	return &httpHost{
		client: githttp.NewClient(&http.Client{Transport: tr}), endpoint: *endpoint,
		user: o.User, password: o.Password, bearer: o.Bearer, app: o.App,
	}, nil
}

// newTransport trusts the certificates of ca beside the system's, and goes
// through proxy, or where that is empty through the environment's.
func newTransport(ca []byte, proxy string) (*http.Transport, error) {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.MaxIdleConnsPerHost = 4
	if len(ca) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // a machine without certificates of its own
		}
		if !pool.AppendCertsFromPEM(ca) {
			return nil, errors.New("read ca: there is no certificate in PEM form")
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	if proxy == "" {
		return tr, nil
	}
	u, err := url.Parse(proxy)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme) {
		return nil, errors.New("read proxy: it must be http://, https:// or socks5:// with a host")
	}
	tr.Proxy = http.ProxyURL(u)
	return tr, nil
}

// httpHost reaches a repository by smart HTTP.
type httpHost struct {
	client transport.Transport
	// endpoint is copied for each session: go-git writes into it where a
	// redirect led, and credentials must never go there.
	endpoint       transport.Endpoint
	user, password string
	bearer         string
	app            *GitHubApp
	moved          *transport.Endpoint // where the last fetch was sent to
}

// auth gives the credentials of the moment, nil for none.
func (h *httpHost) auth(ctx context.Context) (transport.AuthMethod, error) {
	user, password := h.user, h.password
	if h.app != nil {
		token, err := h.app.Token(ctx)
		if err != nil {
			return nil, err
		}
		user, password = "x-access-token", token
	}
	if h.bearer != "" {
		return &githttp.TokenAuth{Token: h.bearer}, nil
	}
	if password == "" {
		return nil, nil
	}
	if user == "" {
		user = "slipway"
	}
	return &githttp.BasicAuth{Username: user, Password: password}, nil
}

func (h *httpHost) refused() {
	if h.app != nil {
		h.app.forget()
	}
}

func (h *httpHost) fetchSession(ctx context.Context) (fetchSession, error) {
	auth, err := h.auth(ctx)
	if err != nil {
		return nil, err
	}
	at := h.endpoint
	s, err := h.client.NewUploadPackSession(&at, auth)
	if err != nil {
		return nil, err
	}
	return &httpFetch{UploadPackSession: s, h: h, at: &at}, nil
}

// httpFetch notes where the host sent us.
type httpFetch struct {
	transport.UploadPackSession
	h  *httpHost
	at *transport.Endpoint
}

// AdvertisedReferencesContext reads the host's branches.
func (f *httpFetch) AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error) {
	adv, err := f.UploadPackSession.AdvertisedReferencesContext(ctx)
	if err == nil {
		f.h.moved = f.at
	}
	return adv, err
}

// there is where the last fetch was sent to, since only the question for the refs follows
// a redirect, never another host; and the credentials for it.
func (h *httpHost) there(ctx context.Context) (transport.Endpoint, transport.AuthMethod, error) {
	at := h.endpoint
	if m := h.moved; m != nil {
		if m.Host != at.Host || m.Port != at.Port || m.Protocol != at.Protocol {
			return at, nil, fmt.Errorf("the host sends us to %s://%s, where credentials don't follow: name that address in the config", m.Protocol, m.Host)
		}
		at.Path = m.Path
	}
	auth, err := h.auth(ctx)
	return at, auth, err
}

func (h *httpHost) pushSession(ctx context.Context) (pushSession, error) {
	at, auth, err := h.there(ctx)
	if err != nil {
		return nil, err
	}
	return h.client.NewReceivePackSession(&at, auth)
}

func (h *httpHost) aheadSession(ctx context.Context) (fetchSession, error) {
	at, auth, err := h.there(ctx)
	if err != nil {
		return nil, err
	}
	return h.client.NewUploadPackSession(&at, auth)
}
