package promote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/keyless"
	"github.com/slipway-cd/slipway/shared/registry"
)

// Inspector looks into images.
type Inspector interface {
	// Platforms gives what an image runs on, such as linux/arm64.
	Platforms(ctx context.Context, image events.Image) ([]string, error)
	// VerifyCosign errs unless one who is trusted has signed the image.
	VerifyCosign(ctx context.Context, image events.Image, trust registry.Trust) error
}

// Checker looks into images before they are deployed: that they run where the
// former one ran, and are signed. What was found of a digest doesn't change.
type Checker struct {
	Registry Inspector
	// Sigstore is trusted where a rule brings no roots.
	Sigstore *keyless.Sigstore

	mu        sync.Mutex
	platforms map[string][]string // by repository and digest
	signed    map[string]bool     // by repository, digest, rule and who is trusted
}

// checkTimeout bounds the look into one image: others wait for it.
const checkTimeout = 10 * time.Second

// When to look again.
const (
	unsignedAgain = time.Minute
	checkAgain    = 15 * time.Second
	badAgain      = 10 * time.Minute
)

// check looks into the targets of the decisions. One that fails holds up
// nobody: it becomes another decision.
func (d *Deployer) check(ctx context.Context, decisions []Decision) error {
	if d.Checker == nil {
		return nil
	}
	var group errgroup.Group
	group.SetLimit(16)
	for i, decision := range decisions {
		if decision.digest == "" {
			continue // there is nothing to move to
		}
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			decisions[i] = d.Checker.check(ctx, decision, d.now())
			return nil
		})
	}
	_ = group.Wait() // none errs
	return ctx.Err()
}

func (c *Checker) check(ctx context.Context, d Decision, now time.Time) Decision {
	err := c.runs(ctx, d)
	if err == nil {
		err = c.isSigned(ctx, d)
	}
	again := checkAgain
	outcome := events.Waiting
	limited, isLimited := errors.AsType[*registry.LimitError](err)
	switch {
	case err == nil:
		return d
	case errors.Is(err, errPlatforms), errors.Is(err, registry.ErrOtherKey), errors.Is(err, registry.ErrOtherDigest), errors.Is(err, registry.ErrBadSignature):
		outcome, again = events.Blocked, badAgain
	case errors.Is(err, registry.ErrUnsigned):
		again = unsignedAgain
	case isLimited:
		again = max(limited.Until.Sub(now), checkAgain)
	}
	reason := d.Target.Tag + " " + err.Error()
	if outcome == events.Waiting && !errors.Is(err, registry.ErrUnsigned) {
		reason = d.Target.Tag + " can't be looked into: " + err.Error()
	}
	d = d.again(now.Add(again)).end(outcome, reason)
	d.Propose, d.Ending, d.Pull = nil, nil, false
	return d
}

var errPlatforms = errors.New("lacks platforms")

// runs holds that the target runs on the rule's platforms, or on those of the
// image in use. Where nobody knows those any more, they are not asked for.
func (c *Checker) runs(ctx context.Context, d Decision) error {
	wanted := d.rule.Platforms
	if len(wanted) == 0 && d.From.Digest != "" {
		former, err := c.platformsOf(ctx, events.Image{Repository: d.Image, Digest: d.From.Digest})
		if err == nil {
			wanted = former
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	have, err := c.platformsOf(ctx, events.Image{Repository: d.Image, Digest: d.digest})
	if err != nil {
		return err
	}
	if missing := registry.MissingPlatforms(have, wanted); len(missing) > 0 {
		return fmt.Errorf("%w: it has %s, and not %s", errPlatforms, strings.Join(have, ", "), strings.Join(missing, ", "))
	}
	return nil
}

func (c *Checker) platformsOf(ctx context.Context, image events.Image) ([]string, error) {
	key := image.Repository.String() + "@" + image.Digest
	c.mu.Lock()
	known, there := c.platforms[key]
	c.mu.Unlock()
	if there {
		return known, nil
	}
	found, err := c.Registry.Platforms(ctx, image)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.platforms == nil || len(c.platforms) > 10_000 {
		c.platforms = map[string][]string{}
	}
	c.platforms[key] = found
	return found, nil
}

func (c *Checker) isSigned(ctx context.Context, d Decision) error {
	trust := d.rule.trust
	if d.rule.identities != nil {
		var err error
		if trust, err = c.Sigstore.Trust(ctx, d.rule.identities); err != nil {
			return err
		}
	}
	if trust == nil {
		return nil
	}
	image := events.Image{Repository: d.Image, Tag: d.Target.Tag, Digest: d.digest}
	// A file of keys or roots may change, and the rule not.
	key := strings.Join([]string{image.String(), d.rule.Hash, trust.ID()}, " ")
	c.mu.Lock()
	known := c.signed[key]
	c.mu.Unlock()
	if known {
		return nil
	}
	if err := c.Registry.VerifyCosign(ctx, image, trust); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.signed == nil || len(c.signed) > 10_000 {
		c.signed = map[string]bool{}
	}
	c.signed[key] = true
	return nil
}
