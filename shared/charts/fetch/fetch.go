// Package fetch brings Helm charts from registries and chart repositories, and
// keeps what it brought on disk.
package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/gate"
	"github.com/slipway-cd/slipway/shared/registry"
)

// Options say how charts are fetched.
type Options struct {
	// Dir is where they are kept; Max bounds it in bytes, 0 is [DefaultMax].
	// Processes may share it.
	Dir string
	Max int64
	// Registries are those of the config: how hosts are called, also those of
	// chart repositories, and with which credentials.
	Registries []registry.Host
	Aliases    events.Aliases // of registries
	// DockerConfig has credentials for registries that are not listed, for
	// [Config]; empty for none.
	DockerConfig string
	// Unpacked bounds what a chart may come to, in bytes.
	Unpacked int64
}

// DefaultMax is how much is kept.
const DefaultMax = 512 << 20

// defaultUnpacked is what a render takes at most.
const defaultUnpacked = 64 << 20

// Question is what is asked for.
type Question struct {
	api.ChartRef
	Access Access
	// Trust says who must have signed the chart, which a registry must have then;
	// nil: nobody.
	Trust registry.Trust
	// Since is how old what is known of a range may be. What an exact version
	// is doesn't change: it is asked for once.
	Since time.Time
}

// Client brings charts. It is safe for concurrent use.
//
// A chart is kept for those who fetched it: with other credentials it is
// fetched anew. A repository that can't be reached isn't asked for a while, and
// few are asked at a time, so that those that are slow leave room.
type Client struct {
	opts  Options
	cache *cache
	gate  *gate.Gate

	mu       sync.Mutex
	clients  map[string]*registry.Client // by access and host
	listings map[string]*listing
	known    map[string]resolved // of ranges
}

// resolved is what a range meant.
type resolved struct {
	version, digest string // digest as the index has it
	at              time.Time
}

// maxKnown bounds what is held in memory, in entries.
const maxKnown = 4096

// New makes a client. Nothing is asked, or made on disk, yet.
func New(o Options) *Client {
	o.Max, o.Unpacked = cmp.Or(o.Max, DefaultMax), cmp.Or(o.Unpacked, defaultUnpacked)
	return &Client{
		opts: o, cache: &cache{dir: o.Dir, max: o.Max}, gate: gate.New(charts.ErrAway),
		clients: map[string]*registry.Client{}, listings: map[string]*listing{}, known: map[string]resolved{},
	}
}

// Fetch brings a chart. It errs with one of the errors of package charts, or
// with the context's.
func (c *Client) Fetch(ctx context.Context, q Question) (charts.Archive, error) {
	a, err := c.fetch(ctx, q)
	if err != nil {
		return charts.Archive{}, fmt.Errorf("chart %s: %w", q.ChartRef, err)
	}
	a.Name = q.Name
	return a, nil
}

// Known gives a chart if it is here, and nobody has to be asked.
func (c *Client) Known(q Question) (a charts.Archive, found bool) {
	version, digest := q.Version, ""
	if !q.Exact() {
		r, found := c.remembered(q)
		if !found {
			return charts.Archive{}, false
		}
		version, digest = r.version, r.digest
	}
	a, found = c.cache.get(q.key(version, digest))
	a.Name = q.Name
	return a, found
}

func (c *Client) fetch(ctx context.Context, q Question) (charts.Archive, error) {
	if a, found := c.Known(q); found {
		return a, nil
	}
	if q.OCI() {
		return c.fromRegistry(ctx, q)
	}
	if q.Trust != nil {
		return charts.Archive{}, fmt.Errorf("%w: signatures are looked for in registries alone, at oci:// addresses", charts.ErrBad)
	}
	return c.fromRepository(ctx, q)
}

// key names an answer in the cache: for whom, and what. What was verified for
// some isn't for others.
func (q Question) key(version, digest string) string {
	parts := []string{q.Access.id, q.Repository, q.Name, version, digest}
	if q.Trust != nil {
		parts = append(parts, q.Trust.ID())
	}
	return keyOf(parts...)
}

func (c *Client) remembered(q Question) (resolved, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, found := c.known[q.key(q.Version, "range")]
	return r, found && !r.at.Before(q.Since)
}

func (c *Client) remember(q Question, r resolved) {
	if q.Exact() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxKnown {
		clear(c.known)
	}
	c.known[q.key(q.Version, "range")] = r
}

// The kinds of what a registry has of Helm's: https://helm.sh/docs/topics/registries
const (
	configMedia = "application/vnd.cncf.helm.config.v1+json"
	chartMedia  = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)

func (c *Client) fromRegistry(ctx context.Context, q Question) (charts.Archive, error) {
	repo, err := q.Image(c.opts.Aliases)
	if err != nil {
		return charts.Archive{}, fmt.Errorf("%w: %w", charts.ErrBad, err)
	}
	client, err := c.registry(q.Access, repo.Host)
	if err != nil {
		return charts.Archive{}, err
	}
	version, at := q.Version, time.Now()
	if !q.Exact() {
		version, err = again(q, func(q Question) (string, time.Time, error) {
			version, at, err = c.greatestTag(ctx, q, client, repo)
			return version, at, err
		})
		if err != nil {
			return charts.Archive{}, err
		}
		if a, found := c.cache.get(q.key(version, "")); found {
			c.remember(q, resolved{version, "", at})
			return a, nil
		}
	}
	image := events.Image{Repository: repo, Tag: strings.ReplaceAll(version, "+", "_")}
	var data []byte
	err = c.gate.Through(ctx, q.Access.id+" "+repo.Host, func(ctx context.Context) error {
		var manifest string
		manifest, data, err = client.Layer(ctx, image, configMedia, chartMedia, charts.MaxPacked)
		if err == nil && q.Trust != nil {
			err = client.VerifyCosign(ctx, events.Image{Repository: repo, Digest: manifest}, q.Trust)
		}
		return registryError(err)
	})
	if err != nil {
		return charts.Archive{}, err
	}
	a, err := c.keep(q, version, "", data)
	if err == nil {
		c.remember(q, resolved{version, "", at})
	}
	return a, err
}

// greatestTag finds what a range means in a registry.
func (c *Client) greatestTag(ctx context.Context, q Question, client *registry.Client, repo events.ImageRepository) (string, time.Time, error) {
	l := c.listing(q.key("", "tags"))
	at, err := l.since(ctx, c.gate, q.Since, func() error {
		return c.gate.Through(ctx, q.Access.id+" "+repo.Host, func(ctx context.Context) error {
			tags, err := client.Tags(ctx, repo)
			for i := range tags {
				tags[i] = strings.ReplaceAll(tags[i], "_", "+") // a tag can't have the plus
			}
			l.set(tags)
			return registryError(err)
		})
	})
	if err != nil {
		return "", at, err
	}
	i, err := charts.Choose(l.have(), q.ChartRef)
	if err != nil {
		return "", at, err
	}
	return l.have()[i], at, nil
}

// registryError gives the errors of package charts.
func registryError(err error) error {
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, registry.ErrNotFound):
		return fmt.Errorf("%w: %w", charts.ErrMissing, err)
	case errors.Is(err, registry.ErrUnauthorized):
		return fmt.Errorf("%w: %w", charts.ErrUnauthorized, err)
	case errors.Is(err, registry.ErrOther), errors.Is(err, registry.ErrTooLarge):
		return fmt.Errorf("%w: %w", charts.ErrBad, err)
	case errors.Is(err, registry.ErrUnsigned), errors.Is(err, registry.ErrOtherKey),
		errors.Is(err, registry.ErrOtherDigest), errors.Is(err, registry.ErrBadSignature):
		return fmt.Errorf("%w: %w", charts.ErrUntrusted, err)
	}
	return fmt.Errorf("%w: %w", charts.ErrAway, err)
}

// keep looks at what was fetched and keeps it. A cache that can't be written is
// no reason to have no chart.
func (c *Client) keep(q Question, version, digest string, data []byte) (charts.Archive, error) {
	if _, err := charts.Files(data, c.opts.Unpacked); err != nil {
		return charts.Archive{}, err
	}
	a := charts.Archive{Version: version, Digest: digestOf(data), Data: data}
	keys := []string{q.key(version, digest)}
	if q.Exact() {
		keys = append(keys, q.key(q.Version, ""))
	}
	c.cache.put(keys, a)
	return a, nil
}

// registry is a client with the access's credentials.
func (c *Client) registry(access Access, host string) (*registry.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := access.id + " " + host
	if client, made := c.clients[key]; made {
		return client, nil
	}
	h := c.host(host)
	if access.config {
		if h.User == "" && h.Password == "" && h.Source == nil && h.DockerConfig == "" {
			h.DockerConfig = c.opts.DockerConfig
		}
	} else {
		// A mirror may have been given what the credentials of others bring.
		h = registry.Host{Name: h.Name, Endpoint: h.Endpoint, Insecure: h.Insecure, User: access.user, Password: access.password, CA: access.ca}
	}
	if len(c.clients) >= maxKnown {
		clear(c.clients)
	}
	client := registry.New([]registry.Host{h})
	c.clients[key] = client
	return client, nil
}

// host is how the config calls a host.
func (c *Client) host(name string) registry.Host {
	for _, h := range c.opts.Registries {
		if h.Name == name {
			return h
		}
	}
	return registry.Host{Name: name}
}

// listing is what a repository said last that it has.
type listing struct {
	turn chan struct{} // one asks at a time

	mu       sync.Mutex
	asked    time.Time
	versions []string
}

func (c *Client) listing(key string) *listing {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.listings[key]; l != nil {
		return l
	}
	if len(c.listings) >= maxKnown {
		clear(c.listings)
	}
	l := &listing{turn: make(chan struct{}, 1)}
	c.listings[key] = l
	return l
}

// since has it asked for unless it was at or after a time, and tells when.
// Those who wait share the answer.
func (l *listing) since(ctx context.Context, g *gate.Gate, at time.Time, ask func() error) (time.Time, error) {
	if err := g.Wait(ctx, l.turn); err != nil {
		return time.Time{}, err
	}
	defer func() { <-l.turn }()
	if asked := l.when(); !asked.IsZero() && !asked.Before(at) {
		return asked, nil
	}
	began := time.Now()
	if err := ask(); err != nil {
		return time.Time{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = began
	return began, nil
}

func (l *listing) set(versions []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.versions = versions
}

func (l *listing) have() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.versions
}

func (l *listing) when() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// hostOf is the host of an address.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}
