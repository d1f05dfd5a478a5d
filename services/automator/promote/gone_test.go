package promote_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/bus/bustest"
)

func (c *catalog) remove(image string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.digests, image)
}

// deleted has an event tell that an image was deleted, by its tag or by its digest.
func (b *bench) deleted(tag, digest string, at time.Time) {
	b.t.Helper()
	e, err := events.New(events.Meta{ID: "deleted-" + tag + digest, Source: "/test", ChainID: "chain-deleted", Time: at}, events.ArtifactDeleted{Artifact: events.Artifact{
		Registry: "ghcr.io", Repository: "acme/web", Tag: tag, Digest: digest, Provider: "test", Source: "test",
	}})
	must(b.t, err)
	must(b.t, b.confirm.Handle(b.t.Context(), e))
}

func (b *bench) knowsTag(tag string) bool {
	return slices.ContainsFunc(b.tags.Of(events.ImageRepository{Host: "ghcr.io", Path: "acme/web"}), func(k promote.Known) bool { return k.Tag == tag })
}

func TestWhatIsDeletedIsACandidateNoLonger(t *testing.T) {
	sweeps := func(b *bench) {
		must(b.t, b.sweep.Work(b.t.Context(), bus.Work{Key: "ghcr.io/acme/web", Items: []string{"sweep"}}))
	}
	for name, told := range map[string]func(*bench){
		"by its tag":                  func(b *bench) { b.deleted("1.2.0", "", time.Now()) },
		"by its digest":               func(b *bench) { b.deleted("", digestB, time.Now()) },
		"by nobody, but it is listed": sweeps,
		"with all of the repository": func(b *bench) {
			b.catalog.remove("ghcr.io/acme/web:1.1.0")
			sweeps(b)
			b.catalog.set("ghcr.io/acme/web:1.1.0", digestA) // which only the registry's word decides
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, ruled(manual))
			b.at(time.Now())
			b.pushed("1.1.0", digestA)
			b.pushed("1.2.0", digestB)
			must(t, b.work("ghcr.io/acme/web:1.2.0"))
			if p := b.proposal(); p.Digest != digestB {
				t.Fatalf("proposed %+v", p)
			}
			b.catalog.remove("ghcr.io/acme/web:1.2.0")
			told(b)
			run(t, func(ctx context.Context) error { return b.confirm.Queue.Run(ctx, b.confirm.Work) })
			bustest.Until(t, "it is forgotten", func() bool { return !b.knowsTag("1.2.0") })
			must(t, b.work("ghcr.io/acme/web:1.2.0"))
			if p := b.proposal(); p.Digest != digestA || p.Status != "" || !b.knowsTag("1.1.0") {
				t.Errorf("it is proposed %+v", p)
			}
		})
	}
}

// Who says that something is deleted may be late, or wrong: the registry knows.
func TestWhatIsThereIsNotForgotten(t *testing.T) {
	b := start(t, nil)
	b.pushed("1.1.0", digestA)
	b.pushed("1.2.0", digestB)
	b.deleted("1.1.0", "", time.Now())
	b.deleted("", digestB, time.Now().Add(-time.Hour)) // and it was pushed again since
	b.deleted("9.9.9", "", time.Now())                 // of which nobody heard
	worked := make(chan []string, 10)
	run(t, func(ctx context.Context) error {
		return b.confirm.Queue.Run(ctx, func(ctx context.Context, w bus.Work) error {
			err := b.confirm.Work(ctx, w)
			worked <- w.Items
			return err
		})
	})
	if items := bustest.Receive(t, "the work", worked); len(items) == 0 || slices.Contains(items, "gone 1.2.0") || slices.Contains(items, "gone 9.9.9") {
		t.Errorf("the registry is asked for %q", items)
	}
	if !b.knowsTag("1.1.0") || !b.knowsTag("1.2.0") {
		t.Error("what is there was forgotten")
	}
}
