package promote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/registry"
)

// Resolver says what a reference points to.
type Resolver interface {
	Resolve(ctx context.Context, image events.Image) (registry.Found, error)
}

// Confirmer turns pushes into known tags: it takes the events, asks the
// registry, and wakes the repositories whose applications use the image. Each
// image repository is a key of its own, so that a registry that is down
// delays nobody else's.
type Confirmer struct {
	Tags     *Tags
	Queue    *bus.Queue // keys: image repositories; items: tags
	Registry Resolver
	Repos    *Repos
	Aliases  events.Aliases
	Log      *slog.Logger
}

// Handle takes an event of a push: a known tag and an item of work, both
// durable when it returns nil.
func (c *Confirmer) Handle(ctx context.Context, e events.Event) error {
	p, ok := e.Payload.(events.ArtifactPublished)
	if !ok || p.Tag == "" {
		return nil // a push by digest moves nothing
	}
	repo, err := events.ParseImageRepository(p.Key(), c.Aliases)
	if err != nil {
		return bus.Permanent(err)
	}
	image := events.Image{Repository: repo, Tag: p.Tag}
	known, ok, err := c.Tags.Get(ctx, image)
	if err != nil {
		return err
	}
	// Of two events about one tag the later counts, whichever comes first;
	// the digest is asked for again in any case.
	if !ok || known.Chain == "" || e.Time.After(known.At) {
		known.Tag, known.Chain, known.At = p.Tag, e.ChainID, e.Time
		if err := c.Tags.Put(ctx, repo, known); err != nil {
			return err
		}
	}
	return c.Queue.Put(ctx, repo.String(), p.Tag)
}

// Work asks the registry for the tags of one repository.
func (c *Confirmer) Work(ctx context.Context, w bus.Work) error {
	repo, err := events.ParseImageRepository(w.Key, nil)
	if err != nil {
		return bus.Permanent(err)
	}
	var failed []error
	for _, tag := range w.Items {
		if err := c.confirm(ctx, events.Image{Repository: repo, Tag: tag}, w.Since); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// settle is how long a registry may take to know a tag of which it has told:
// Distribution tells of a push before it writes the tag.
const settle = time.Minute

func (c *Confirmer) confirm(ctx context.Context, image events.Image, since time.Time) error {
	found, err := c.Registry.Resolve(ctx, image)
	if errors.Is(err, registry.ErrNotFound) && time.Since(since) > settle {
		c.Log.InfoContext(ctx, "tag is not in the registry", "image", image.String())
		return c.Tags.Drop(ctx, image)
	}
	if err != nil {
		return err
	}
	if !events.ValidDigest(found.Digest) {
		return bus.Permanent(fmt.Errorf("the registry gave %q as the digest of %s", found.Digest, image))
	}
	known, ok, err := c.Tags.Get(ctx, image)
	if err != nil {
		return err
	}
	if !ok {
		known = Known{Tag: image.Tag, Chain: events.ChainFor("tag", image.String(), found.Digest), At: time.Now().UTC()}
	}
	if known.Digest != found.Digest {
		known.Digest = found.Digest
		if err := c.Tags.Put(ctx, image.Repository, known); err != nil {
			return err
		}
	}
	return c.Repos.Wake(ctx, image)
}
