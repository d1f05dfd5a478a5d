// Package registry asks image registries what a tag points to, which tags and
// platforms there are, and whether an image is signed.
package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

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
	// Name is host[:port] as in image references; of a mirror it is not needed.
	Name string
	// Endpoint is http:// or https:// with the host to call, and the path that
	// stands before the repository's; empty means https:// and the name.
	Endpoint string
	// Insecure allows http, and TLS that isn't verified.
	Insecure bool
	// User and Password are basic credentials; DockerConfig is the path of
	// a docker config.json; Source gives other credentials. At most one of the
	// three is given.
	User, Password, DockerConfig string
	Source                       Source
	// CA are certificates in PEM form that are trusted beside the system's.
	CA []byte
	// Mirrors have what the registry has, or a part of it: see [Client].
	Mirrors []Host
}

// Client calls registries. It is safe for concurrent use.
//
// What has a digest is asked of a registry's mirrors first, in their order, and
// of the registry last: the content proves itself. What may move, a tag and the
// signatures of an image, is asked of the registry, and of its mirrors only
// while that can't be reached: it is down, fails, or limits our rate. Lists of
// tags are the registry's alone, since mirrors have what was pulled through
// them.
type Client struct {
	mu     sync.Mutex
	hosts  map[string]Host
	places map[string][]*place // by host; the registry itself is the last
}

// timeout bounds one exchange with a registry.
const timeout = 10 * time.Second

// New makes a client; hosts that aren't listed are called as their names say,
// without credentials.
func New(hosts []Host) *Client {
	c := &Client{hosts: map[string]Host{}, places: map[string][]*place{}}
	for _, h := range hosts {
		c.hosts[h.Name] = h
	}
	return c
}

// Found is what a reference points to.
type Found struct {
	Digest, MediaType string
	// Mirror says that a mirror told it, since the registry couldn't be reached:
	// a tag may be elsewhere by now.
	Mirror bool
}

// Resolve asks for the manifest behind a tag, or a digest where there is no
// tag, in one request. It errs with [ErrNotFound], [ErrUnauthorized], and
// [LimitError] where the registry wants to be left alone; every other error
// may pass.
func (c *Client) Resolve(ctx context.Context, image events.Image) (found Found, err error) {
	err = c.ask(ctx, question{image.Repository, image.Tag != "", timeout}, func(ctx context.Context, at target) error {
		d, err := at.puller.Head(ctx, reference(at.repo, image))
		if err == nil {
			found = Found{Digest: d.Digest.String(), MediaType: string(d.MediaType), Mirror: at.mirror}
		}
		return err
	})
	if err != nil {
		return Found{}, fail("ask the registry for", image.String(), err)
	}
	return found, nil
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
func (c *Client) Tags(ctx context.Context, image events.ImageRepository) (tags []string, err error) {
	at, err := c.origin(image)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = at.try(ctx, func(ctx context.Context, at target) error {
		tags, err = at.puller.List(ctx, at.repo)
		return err
	})
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
