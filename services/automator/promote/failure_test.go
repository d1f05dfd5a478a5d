package promote_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/shared/bus"
)

// rolling is the application with onFailure: rollback.
func rolling() map[string]string {
	return map[string]string{"cluster/web.yaml": application("web", "shop", "apps/web") + "  onFailure: rollback\n"}
}

// fails tells that the head's version did not become healthy.
func (b *bench) fails(commit, lastHealthy, errors string) {
	b.t.Helper()
	e, err := events.New(events.Meta{ID: fmt.Sprint("failed ", commit, errors), Source: "/synchronizer/production", ChainID: "c", Time: time.Now()}, events.PipelineRunFinished{
		Run: events.Run{Application: "production/shop/web", Commit: commit}, Outcome: events.Failure, Errors: errors, LastHealthy: lastHealthy,
	})
	must(b.t, err)
	must(b.t, b.bus.Publish(b.t.Context(), e))
	must(b.t, b.repos.HandleFailure(b.t.Context(), e))
	work(b)
}

// work does what is in the queue of repositories.
func work(b *bench) {
	b.t.Helper()
	for _, item := range b.queued() {
		must(b.t, b.work(item))
	}
}

func (b *bench) commit(back int) string {
	b.git.Pull()
	return b.git.Git("rev-parse", fmt.Sprintf("HEAD~%d", back))
}

func TestAVersionThatNeverBecameHealthyGoesBack(t *testing.T) {
	b := deployed(t, rolling(), "1.1.0", "1.2.0")
	for range 2 {
		b.fails(b.commit(0), b.commit(1), "Deployment shop/web: progress deadline exceeded")
	}
	if b.uses() != "1.1.0" || b.holds() != "placed sha256:11" {
		t.Fatalf("uses %s, holds %q; %q", b.uses(), b.holds(), b.decisions())
	}
	message := b.head()
	for _, line := range []string{"slipway: roll back production/shop/web to 1.1.0", "did not become healthy: Deployment shop/web: progress deadline exceeded", "Slipway-Requested-By: slipway (rollback of"} {
		if !strings.Contains(message, line) {
			t.Errorf("no %q in\n%s", line, message)
		}
	}
	// A failure after a rollback never rolls back again.
	count := b.commits()
	b.fails(b.commit(0), b.commit(2), "Deployment shop/web: crash loop")
	if b.commits() != count {
		t.Errorf("rolled back again:\n%s", b.head())
	}
}

func TestAFailureThatIsNotTheVersionsRollsNothingBack(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		fail  func(b *bench)
	}{
		"without onFailure":             {nil, func(b *bench) { b.fails(b.commit(0), b.commit(1), "crash loop") }},
		"that was never healthy before": {rolling(), func(b *bench) { b.fails(b.commit(0), "", "crash loop") }},
		"of the cluster's quota":        {rolling(), func(b *bench) { b.fails(b.commit(0), b.commit(1), "pods \"web\" is forbidden: exceeded quota") }},
		"of a node without room":        {rolling(), func(b *bench) { b.fails(b.commit(0), b.commit(1), "0/3 nodes are available: 3 Insufficient memory") }},
		"of a change of configuration": {rolling(), func(b *bench) {
			b.git.Pull()
			healthy := b.commit(0)
			b.git.Commit("more memory", map[string]string{"apps/web/settings.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"})
			b.fails(b.commit(0), healthy, "crash loop")
		}},
		"of a version that is gone": {rolling(), func(b *bench) {
			bad, healthy := b.commit(0), b.commit(1)
			b.pushed("1.3.0", digestOf(3))
			must(b.t, b.work("ghcr.io/acme/web:1.3.0"))
			b.fails(bad, healthy, "crash loop")
		}},
		"of a registry": {rolling(), func(b *bench) {
			for _, other := range []string{"api", "cart"} {
				e, err := events.New(events.Meta{ID: other, Source: "/s", ChainID: "c", Time: time.Now()}, events.PipelineRunFinished{
					Run: events.Run{Application: "production/shop/" + other}, Outcome: events.Failure, Errors: "pod x: ImagePullBackOff",
				})
				must(b.t, err)
				must(b.t, b.bus.Publish(b.t.Context(), e))
			}
			b.fails(b.commit(0), b.commit(1), "pod web: ErrImagePull")
		}},
		"of a commit in another history": {rolling(), func(b *bench) { b.fails(b.commit(0), strings.Repeat("a", 40), "crash loop") }},
		"where the former is held": {rolling(), func(b *bench) {
			must(b.t, b.ask(promote.Request{Kind: promote.Place, Image: "ghcr.io/acme/web", Digest: digestOf(0)}))
			b.fails(b.commit(0), b.commit(2), "crash loop")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := deployed(t, c.files, "1.1.0", "1.2.0")
			c.fail(b)
			if got := b.uses(); got != "1.2.0" && got != "1.3.0" {
				t.Errorf("uses %s: %q\n%s", got, b.decisions(), b.head())
			}
		})
	}
}

func TestAStormOfRollbacksStopsAndIsTold(t *testing.T) {
	b := deployed(t, rolling(), "1.1.0", "1.2.0")
	for i := range 3 {
		e, err := events.New(events.Meta{ID: fmt.Sprint("hold ", i), Source: "/automator", ChainID: "c", Time: time.Now()}, events.HoldEvent{
			Kind: events.HoldPlacedType, Application: fmt.Sprintf("production/shop/app-%d", i), Image: "ghcr.io/acme/x", Tag: "1", By: "slipway",
		})
		must(t, err)
		must(t, b.bus.Publish(t.Context(), e))
	}
	for range 2 {
		b.fails(b.commit(0), b.commit(1), "crash loop")
	}
	told := b.told(events.IncidentDetectedType)
	if b.uses() != "1.2.0" || len(told) != 1 || !strings.Contains(told[0].Payload.(events.Incident).Description, "3 applications were rolled back") {
		t.Errorf("uses %s, told %+v", b.uses(), told)
	}
}

// queued takes what waits in the queue of repositories, in its order.
func (b *bench) queued() []string {
	b.t.Helper()
	q, err := b.bus.Queue(b.t.Context(), "repos", bus.QueueOptions{})
	must(b.t, err)
	must(b.t, q.Put(b.t.Context(), b.key, "head")) // so that something waits
	ctx, cancel := context.WithCancel(b.t.Context())
	defer cancel()
	var items []string
	must(b.t, q.Run(ctx, func(_ context.Context, w bus.Work) error {
		items = append(items, w.Items...)
		cancel()
		return nil
	}))
	return items
}
