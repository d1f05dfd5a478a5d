package promote_test

import (
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
)

// While the registry is away its mirrors say what there is: a new tag counts,
// and one that moved may be stale.
func TestAMirrorTakesNoTagBack(t *testing.T) {
	b := start(t, policyOf(`{digest: main}`))
	for _, digest := range []string{digestA, digestB} {
		b.pushed("main", digest)
		must(t, b.work("ghcr.io/acme/web:main"))
	}
	b.catalog.mirror = true
	b.catalog.set("ghcr.io/acme/web:main", digestA)
	w := bus.Work{Key: "ghcr.io/acme/web", Items: []string{"main"}, Since: time.Now()}
	if err := b.confirm.Work(t.Context(), w); err == nil || !strings.Contains(err.Error(), "a mirror gives "+digestA+", not "+digestB+" as known") {
		t.Fatalf("confirmed: %v", err)
	}
	must(t, b.sweep.Work(t.Context(), bus.Work{Key: "ghcr.io/acme/web", Items: []string{"sweep"}}))
	if told := b.told(events.ArtifactPublishedType); len(told) != 0 {
		t.Fatalf("the sweep told %+v", told)
	}
	must(t, b.work("ghcr.io/acme/web:main"))
	if got := b.file(); got != pod("ghcr.io/acme/web:main@"+digestB) {
		t.Fatalf("the file is:\n%s", got)
	}
	b.catalog.set("ghcr.io/acme/web:main", digestB)
	must(t, b.confirm.Work(t.Context(), w))
	b.catalog.mirror = false // the registry is back, and was moved back by someone
	b.pushed("main", digestA)
	must(t, b.work("ghcr.io/acme/web:main"))
	if got := b.file(); got != pod("ghcr.io/acme/web:main@"+digestA) {
		t.Fatalf("the file is:\n%s", got)
	}
}

func TestAMirrorConfirmsANewTag(t *testing.T) {
	b := start(t, nil)
	b.catalog.mirror = true
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if b.uses() != "1.1.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}
