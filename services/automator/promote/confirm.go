package promote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/registry"
)

// Resolver says what a reference points to.
type Resolver interface {
	Resolve(ctx context.Context, image events.Image) (registry.Found, error)
	// Created gives the time at which an image was made, zero where it
	// doesn't tell.
	Created(ctx context.Context, image events.Image) (time.Time, error)
}

// Confirmer turns pushes into known tags: it takes the events, asks the
// registry, and wakes the repositories whose applications use the image. Each
// image repository is a key of its own, so that a registry that is down
// delays nobody else's.
type Confirmer struct {
	Tags     *Tags
	Queue    *bus.Queue // keys: image repositories; items: tags, those that may be gone behind "gone "
	Registry Resolver
	Repos    *Repos
	Aliases  events.Aliases
	Log      *slog.Logger
}

// Handle takes an event of a push: a known tag and an item of work, both
// durable when it returns nil.
func (c *Confirmer) Handle(ctx context.Context, e events.Event) error {
	if p, ok := e.Payload.(events.ArtifactDeleted); ok {
		return c.deleted(ctx, p, e.Time)
	}
	p, ok := e.Payload.(events.ArtifactPublished)
	if !ok || p.Tag == "" {
		return nil // a push by digest moves nothing
	}
	repo, err := events.ParseImageRepository(p.Key(), c.Aliases)
	if err != nil {
		return bus.Permanent(err)
	}
	err = unlessChanged(func() error { return c.note(ctx, events.Image{Repository: repo, Tag: p.Tag}, e) })
	if err != nil {
		return err
	}
	return c.Queue.Put(ctx, repo.String(), p.Tag)
}

// gone goes before a tag in an item of work: it was known, and may be no longer there.
const gone = "gone "

// deleted has the registry asked for what somebody has deleted: a tag, or by its digest
// whatever tags stood for it. What was pushed since is left to that push.
func (c *Confirmer) deleted(ctx context.Context, p events.ArtifactDeleted, at time.Time) error {
	repo, err := events.ParseImageRepository(p.Key(), c.Aliases)
	if err != nil {
		return bus.Permanent(err)
	}
	if err := c.Tags.CatchUp(ctx); err != nil {
		return err
	}
	for _, k := range c.Tags.Of(repo) {
		if k.At.After(at) || p.Tag != "" && k.Tag != p.Tag || p.Tag == "" && k.Digest != p.Digest {
			continue
		}
		if err := c.Queue.Put(ctx, repo.String(), gone+k.Tag); err != nil {
			return err
		}
	}
	return nil
}

// note stores that a tag was pushed. Of two events about one tag the later
// counts, whichever comes first; the digest is asked for again in any case.
func (c *Confirmer) note(ctx context.Context, image events.Image, e events.Event) error {
	known, ok, err := c.Tags.Get(ctx, image)
	if err != nil {
		return err
	}
	if ok && known.Chain != "" && !e.Time.After(known.At) {
		return nil
	}
	known.Tag, known.Chain, known.At = image.Tag, e.ChainID, e.Time
	if p, ok := e.Payload.(events.ArtifactPublished); ok {
		known.Pusher = p.Pusher
	}
	return c.Tags.Put(ctx, image.Repository, known)
}

// unlessChanged does again what somebody else was faster with.
func unlessChanged(f func() error) (err error) {
	const tries = 10
	for range tries {
		if err = f(); !errors.Is(err, ErrChanged) && !errors.Is(err, bus.ErrConflict) {
			return err
		}
	}
	return err
}

// Work asks the registry for the tags of one repository.
func (c *Confirmer) Work(ctx context.Context, w bus.Work) error {
	repo, err := events.ParseImageRepository(w.Key, nil)
	if err != nil {
		return bus.Permanent(err)
	}
	var failed []error
	for _, item := range w.Items {
		since, tag := w.Since, item
		if name, is := strings.CutPrefix(item, gone); is {
			since, tag = time.Time{}, name // nobody says that it is about to come
		}
		if err := c.confirm(ctx, events.Image{Repository: repo, Tag: tag}, since); err != nil {
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
		if err := c.Tags.Drop(ctx, image); err != nil {
			return err
		}
		return c.Repos.Wake(ctx, image) // it may have been proposed, or waited for
	}
	if err != nil {
		return err
	}
	if !events.ValidDigest(found.Digest) {
		return bus.Permanent(fmt.Errorf("the registry gave %q as the digest of %s", found.Digest, image))
	}
	if err := c.mirrored(ctx, image, found); err != nil {
		return err
	}
	var created time.Time
	if c.Repos.dates(image) {
		if created, err = date(ctx, c.Registry, events.Image{Repository: image.Repository, Digest: found.Digest}); err != nil {
			return err
		}
	}
	if err := unlessChanged(func() error { return c.resolved(ctx, image, found.Digest, created) }); err != nil {
		return err
	}
	return c.Repos.Wake(ctx, image)
}

// mirrored errs where a mirror, since the registry is away, gives a known tag
// another digest: it may be the one of before, which would be a step back.
func (c *Confirmer) mirrored(ctx context.Context, image events.Image, found registry.Found) error {
	if !found.Mirror {
		return nil
	}
	known, _, err := c.Tags.Get(ctx, image)
	if err == nil && known.Digest != "" && known.Digest != found.Digest {
		err = fmt.Errorf("the registry of %s can't be reached, and a mirror gives %s, not %s as known: wait for the registry", image, found.Digest, known.Digest)
	}
	return err
}

// resolved stores what the registry said of a tag; created is zero where it
// wasn't asked for that.
func (c *Confirmer) resolved(ctx context.Context, image events.Image, digest string, created time.Time) error {
	known, _, err := c.Tags.Get(ctx, image)
	if err != nil {
		return err
	}
	if known.Chain == "" {
		known.Tag, known.Chain, known.At = image.Tag, events.ChainFor("tag", image.String(), digest), time.Now().UTC()
	}
	if known.Digest == digest && (created.IsZero() || known.Created.Equal(created)) {
		return nil
	}
	// A digest that is new has a time of its own.
	known.Digest, known.Created = digest, created
	return c.Tags.Put(ctx, image.Repository, known)
}
