// Package registry asks image registries what a tag points to, which tags and
// platforms there are, and whether an image is signed.
package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/docker/cli/cli/config/configfile"

	"github.com/slipway-cd/slipway/events"
)

var (
	// ErrNotFound says that the registry has no such image.
	ErrNotFound = errors.New("image not found in the registry")
	// ErrUnauthorized says that the registry did not accept our credentials.
	ErrUnauthorized = errors.New("registry refused the credentials")
)

// Host says how one registry is called.
type Host struct {
	// Name is host[:port] as in image references.
	Name string
	// Endpoint is http:// or https:// with the host to call; empty means
	// https:// and the name.
	Endpoint string
	// Insecure allows http, and TLS that isn't verified.
	Insecure bool
	// User and Password are basic credentials; DockerConfig is the path of
	// a docker config.json. At most one of the two is given.
	User, Password, DockerConfig string
}

// Client calls registries. It is safe for concurrent use.
type Client struct {
	mu      sync.Mutex
	hosts   map[string]Host
	pullers map[string]*remote.Puller // by host
}

// timeout bounds one exchange with a registry.
const timeout = 10 * time.Second

// New makes a client; hosts that aren't listed are called as their names say,
// without credentials.
func New(hosts []Host) *Client {
	c := &Client{hosts: map[string]Host{}, pullers: map[string]*remote.Puller{}}
	for _, h := range hosts {
		c.hosts[h.Name] = h
	}
	return c
}

// Found is what a reference points to.
type Found struct {
	Digest, MediaType string
}

// Resolve asks for the manifest behind a tag, or a digest where there is no
// tag, in one request. It errs with [ErrNotFound], [ErrUnauthorized], and
// [LimitError] where the registry wants to be left alone; every other error
// may pass.
func (c *Client) Resolve(ctx context.Context, image events.Image) (Found, error) {
	repo, puller, err := c.repository(image.Repository)
	if err != nil {
		return Found{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	d, err := puller.Head(ctx, reference(repo, image))
	if err != nil {
		return Found{}, fail("ask the registry for", image.String(), err)
	}
	return Found{Digest: d.Digest.String(), MediaType: string(d.MediaType)}, nil
}

// reference is the tag, or the digest where there is no tag.
func reference(repo name.Repository, image events.Image) name.Reference {
	if image.Tag == "" {
		return repo.Digest(image.Digest)
	}
	return repo.Tag(image.Tag)
}

// Tags lists all tags of a repository, page by page. Errors are those of
// [Client.Resolve].
func (c *Client) Tags(ctx context.Context, image events.ImageRepository) ([]string, error) {
	repo, puller, err := c.repository(image)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tags, err := puller.List(ctx, repo)
	if err != nil {
		return nil, fail("list the tags of", image.String(), err)
	}
	return tags, nil
}

// fail wraps what go-containerregistry says in our sentinels.
func fail(doing, what string, err error) error {
	if t, ok := errors.AsType[*transport.Error](err); ok {
		switch t.StatusCode {
		case http.StatusNotFound:
			return fmt.Errorf("%s %s: %w", doing, what, ErrNotFound)
		case http.StatusUnauthorized, http.StatusForbidden:
			return fmt.Errorf("%s %s: %w: %w", doing, what, ErrUnauthorized, err)
		}
	}
	return fmt.Errorf("%s %s: %w", doing, what, err)
}

// repository gives the repository as it is called, and its host's session.
func (c *Client) repository(r events.ImageRepository) (name.Repository, *remote.Puller, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.hosts[r.Host]
	if !ok {
		h = Host{Name: r.Host}
	}
	host, opts := r.Host, []name.Option{name.WithDefaultTag("")}
	if h.Endpoint != "" {
		u, err := url.Parse(h.Endpoint)
		if err != nil {
			return name.Repository{}, nil, fmt.Errorf("call registry %s: its endpoint is not an address", r.Host)
		}
		host = u.Host
		if u.Scheme == "http" {
			opts = append(opts, name.Insecure)
		}
	}
	repo, err := name.NewRepository(host+"/"+r.Path, opts...)
	if err != nil {
		return name.Repository{}, nil, fmt.Errorf("call registry %s: %w", r.Host, err)
	}
	p, ok := c.pullers[r.Host]
	if !ok {
		if p, err = newPuller(h); err != nil {
			return name.Repository{}, nil, fmt.Errorf("call registry %s: %w", r.Host, err)
		}
		c.pullers[r.Host] = p
	}
	return repo, p, nil
}

// newPuller makes a session: it signs in once and keeps its connections.
func newPuller(h Host) (*remote.Puller, error) {
	t := remote.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = timeout
	t.MaxIdleConnsPerHost = 8
	if h.Insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the config says insecure: true
	}
	opts := []remote.Option{remote.WithTransport(newPatient(t)), remote.WithUserAgent("slipway")}
	switch {
	case h.Password != "":
		opts = append(opts, remote.WithAuth(&authn.Basic{Username: h.User, Password: h.Password}))
	case h.DockerConfig != "":
		k, err := dockerConfig(h.DockerConfig)
		if err != nil {
			return nil, err
		}
		opts = append(opts, remote.WithAuthFromKeychain(k))
	}
	return remote.NewPuller(opts...)
}

// keychain reads credentials from one docker config.json.
type keychain struct{ config *configfile.ConfigFile }

func dockerConfig(file string) (authn.Keychain, error) {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return nil, fmt.Errorf("read docker config: %w", err)
	}
	defer f.Close()
	c := configfile.New(file)
	if err := c.LoadFromReader(f); err != nil {
		return nil, fmt.Errorf("read docker config %s: %w", file, err)
	}
	return keychain{c}, nil
}

// Resolve gives the credentials of a registry, or none.
func (k keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	host := r.RegistryStr()
	if host == name.DefaultRegistry {
		host = authn.DefaultAuthKey
	}
	a, err := k.config.GetAuthConfig(host)
	if err != nil {
		return nil, fmt.Errorf("read docker config: %w", err)
	}
	if a.Username == "" && a.Password == "" && a.Auth == "" && a.IdentityToken == "" && a.RegistryToken == "" {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{
		Username: a.Username, Password: a.Password, Auth: a.Auth,
		IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken,
	}), nil
}
