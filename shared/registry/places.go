package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/slipway-cd/slipway/events"
)

// mirrorRest is how long a mirror that failed isn't asked.
const mirrorRest = 30 * time.Second

// The shares, in tenths, that a place gets of the time that is left, so that
// another can be asked after it.
const (
	originShare = 5
	mirrorShare = 3
	allOfIt     = 10
)

// place is a server that has a registry's images: the registry itself, or a
// mirror of it.
type place struct {
	name   string // as errors tell it
	base   string // host[:port], and what stands before a repository's path
	opts   []name.Option
	remote []remote.Option
	*credentials
	mirror bool

	mu     sync.Mutex
	puller *remote.Puller // the session, which signs in once
	resume time.Time      // a mirror that failed isn't asked until then
}

// target is a repository at a place, in its session of now.
type target struct {
	*place
	repo   name.Repository
	puller *remote.Puller
}

// question is what is asked: of which repository, whether the answer may be
// another tomorrow, and how long one place may take at most.
type question struct {
	repository events.ImageRepository
	moving     bool
	within     time.Duration
}

// newPlace makes ready to call a host, one of others that have the same or the
// only one. It keeps its connections.
func newPlace(h Host, mirror, others bool) (*place, error) {
	p := &place{name: h.Name, base: h.Name, opts: []name.Option{name.WithDefaultTag("")}, mirror: mirror}
	if h.Endpoint != "" {
		u, err := url.Parse(h.Endpoint)
		if err != nil || u.Host == "" {
			return nil, errors.New("its endpoint is not an address")
		}
		p.base = u.Host + strings.TrimRight(u.Path, "/")
		if u.Scheme == "http" {
			p.opts = append(p.opts, name.Insecure)
		}
		if mirror {
			p.name = p.base
		}
	}
	t := remote.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = timeout
	t.MaxIdleConnsPerHost = 8
	if len(h.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("read the system's certificates: %w", err)
		}
		if !pool.AppendCertsFromPEM(h.CA) {
			return nil, errors.New("its CA has no certificate in PEM form")
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	if h.Insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the config says insecure: true
	}
	p.remote = []remote.Option{remote.WithTransport(newPatient(t)), remote.WithUserAgent("slipway")}
	if others { // trying another is better than trying again
		p.remote = append(p.remote, remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
	}
	host, _, _ := strings.Cut(p.base, "/")
	address, err := name.NewRegistry(host, p.opts...)
	if err != nil {
		return nil, err
	}
	if p.credentials = newCredentials(h, address.RegistryStr()); p.credentials != nil {
		p.remote = append(p.remote, remote.WithAuth(p.credentials))
	}
	p.puller, err = remote.NewPuller(p.remote...)
	return p, err
}

// of gives the places of a registry: its mirrors, then itself.
func (c *Client) of(host string) ([]*place, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if all, ok := c.places[host]; ok {
		return all, nil
	}
	h, ok := c.hosts[host]
	if !ok {
		h = Host{Name: host}
	}
	var all []*place
	for _, m := range append(slices.Clone(h.Mirrors), h) {
		p, err := newPlace(m, len(all) < len(h.Mirrors), len(h.Mirrors) > 0)
		if err != nil {
			return nil, fmt.Errorf("call registry %s: %w", host, err)
		}
		all = append(all, p)
	}
	c.places[host] = all
	return all, nil
}

// at is a repository at the place.
func (p *place) at(r events.ImageRepository) (target, error) {
	repo, err := name.NewRepository(p.base+"/"+r.Path, p.opts...)
	if err != nil {
		return target{}, fmt.Errorf("call registry %s: %w", p.name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return target{p, repo, p.puller}, nil
}

// again is the same in a new session, since the old one may go on with a token
// that it was given for the former credentials.
func (t target) again() (target, error) {
	puller, err := remote.NewPuller(t.remote...)
	if err != nil {
		return target{}, err
	}
	t.place.mu.Lock()
	defer t.place.mu.Unlock()
	t.place.puller, t.puller = puller, puller
	return t, nil
}

// origin is a repository at the registry itself.
func (c *Client) origin(r events.ImageRepository) (target, error) {
	all, err := c.of(r.Host)
	if err != nil {
		return target{}, err
	}
	return all[len(all)-1].at(r)
}

// ask asks the places of a repository until one answers, as [Client] tells. The
// error is the registry's; what mirrors said stands in its text.
func (c *Client) ask(ctx context.Context, q question, f func(context.Context, target) error) error {
	all, err := c.of(q.repository.Host)
	if err != nil {
		return err
	}
	mirrors, last := all[:len(all)-1], all[len(all)-1]
	origin, err := last.at(q.repository)
	if err != nil {
		return err
	}
	if len(mirrors) == 0 {
		return origin.within(ctx, q.within, allOfIt, f)
	}
	if !q.moving {
		said, ok := inTurn(ctx, mirrors, q, f)
		if ok {
			return nil
		}
		return and(origin.within(ctx, q.within, allOfIt, f), said)
	}
	if err = origin.within(ctx, q.within, originShare, f); err == nil || ctx.Err() != nil || !away(err) {
		return err
	}
	said, ok := inTurn(ctx, mirrors, q, f)
	if ok {
		return nil
	}
	return and(err, said)
}

// inTurn asks mirrors until one answers, and gives what the others said.
func inTurn(ctx context.Context, mirrors []*place, q question, f func(context.Context, target) error) (said []string, ok bool) {
	for _, m := range mirrors {
		if m.rests() {
			said = append(said, m.name+": not asked, it failed a moment ago")
			continue
		}
		at, err := m.at(q.repository)
		if err == nil {
			err = at.within(ctx, q.within, mirrorShare, f)
		}
		if err == nil {
			return nil, true
		}
		if away(err) && ctx.Err() == nil {
			m.rest()
		}
		said = append(said, m.name+": "+err.Error())
	}
	return said, false
}

// and adds what mirrors said to what the registry said.
func and(err error, said []string) error {
	if err == nil || len(said) == 0 {
		return err
	}
	return fmt.Errorf("%w (its mirrors: %s)", err, strings.Join(said, "; "))
}

func (p *place) rests() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.resume)
}

func (p *place) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resume = time.Now().Add(mirrorRest)
}

// within asks one place, no longer than its share of the time that is left.
func (t target) within(ctx context.Context, most, tenths time.Duration, f func(context.Context, target) error) error {
	if end, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(ctx, most*tenths/allOfIt)
	defer cancel()
	return t.try(ctx, f)
}

// try asks, and asks again with new credentials where those that we had are no
// longer taken.
func (t target) try(ctx context.Context, f func(context.Context, target) error) error {
	before := t.generation()
	err := f(ctx, t)
	status := statusOf(err)
	switch {
	case err == nil, status == http.StatusNotFound:
		t.taken(before)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		if !t.renew(ctx, before, status) {
			return err
		}
		fresh, failed := t.again()
		if failed != nil {
			return failed
		}
		return f(ctx, fresh)
	}
	return err
}

// statusOf is what the registry answered, 0 where it didn't.
func statusOf(err error) int {
	if t, ok := errors.AsType[*transport.Error](err); ok {
		return t.StatusCode
	}
	return 0
}

// away says that a place can't be reached now: what it would have said is not
// known. Credentials that can't be had are no reason to ask elsewhere.
func away(err error) bool {
	if errors.Is(err, errCredentials) {
		return false
	}
	status := statusOf(err)
	return status < http.StatusBadRequest || status >= http.StatusInternalServerError ||
		status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
}
