package promote_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bus"
)

// digest is one of as many as are needed.
func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

// built says of which revision the image with a digest was built.
func (b *bench) built(digest, revision string) {
	b.catalog.mu.Lock()
	defer b.catalog.mu.Unlock()
	if b.catalog.revisions == nil {
		b.catalog.revisions = map[string]string{}
	}
	b.catalog.revisions[digest] = revision
}

const (
	commitA = "aaaa1111aaaa1111aaaa1111aaaa1111aaaa1111"
	commitB = "bbbb2222bbbb2222bbbb2222bbbb2222bbbb2222"
)

// runs tells which images the application of staging is healthy with.
func (b *bench) runs(at time.Time, images ...string) {
	b.t.Helper()
	e, err := events.New(events.Meta{ID: strings.Join(images, at.String()), Source: "/synchronizer/staging", ChainID: "c", Time: at}, events.PipelineRunFinished{
		Run: events.Run{Application: "staging/shop/web", Commit: strings.Repeat("a", 40), Images: images}, Outcome: "success",
	})
	must(b.t, err)
	must(b.t, b.health.Handle(b.t.Context(), e))
	must(b.t, b.work("runs staging/shop/web"))
}

const afterRevision = `after: {application: "staging/{namespace}/{name}", same: revision, healthyFor: 10m}`

// Staging runs builds of main, production releases: of the same commit.
func TestAReleaseWaitsForItsRevisionElsewhere(t *testing.T) {
	b := start(t, ruled(afterRevision))
	noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	b.at(noon)
	b.built(digest("1"), commitA)
	b.built(digest("2"), commitB)
	b.built(digest("a"), commitA) // the release
	b.pushed("1.1.0", digest("a"))
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if got := b.last(); got != "waiting: 1.1.0 waits for staging/shop/web, of which nothing is known" {
		t.Fatalf("decided %q", got)
	}
	b.runs(noon, "ghcr.io/acme/web:main-2@"+digest("2"))
	if got := b.last(); got != "waiting: 1.1.0 waits for staging/shop/web, which runs nothing of its revision "+commitA {
		t.Fatalf("decided %q", got)
	}
	b.runs(noon.Add(time.Minute), "ghcr.io/acme/web:main-1@"+digest("1"))
	if got := b.last(); got != "waiting: 1.1.0 waits until 2026-11-25T12:11:00Z, when staging/shop/web has been healthy with it for 10m0s" || b.uses() != "1.0.0" {
		t.Fatalf("decided %q, uses %s", got, b.uses())
	}
	b.at(noon.Add(11 * time.Minute))
	must(t, b.work(web))
	if b.uses() != "1.1.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}

func TestARevisionIsTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		revisions map[string]string // by the digest's letter
		runs      []string
		want      string
	}{
		"in a repository of the environment's own": {map[string]string{"a": commitA, "1": commitA}, []string{"ghcr.io/acme/web-staging:7@" + digest("1")}, "1.1.0"},
		"beside images of others":                  {map[string]string{"a": commitA, "1": commitA, "2": commitB}, []string{"docker.io/library/nginx:1@" + digest("2"), "ghcr.io/acme/web-staging:7@" + digest("1")}, "1.1.0"},
		"by the very image, which tells nothing":   {map[string]string{}, []string{"ghcr.io/acme/web:1.1.0@" + digest("a")}, "1.1.0"},
		"by a tag of which we know":                {map[string]string{"a": commitA, "b": commitA}, []string{"ghcr.io/acme/web:main"}, "1.1.0"},
		"not by a tag of which we don't":           {map[string]string{"a": commitA}, []string{"ghcr.io/acme/web:other"}, "1.0.0"},
		"not by a word":                            {map[string]string{"a": "unknown", "1": "unknown"}, []string{"ghcr.io/acme/else:7@" + digest("1")}, "1.0.0"},
		"not without a label":                      {map[string]string{"a": "", "1": ""}, []string{"ghcr.io/acme/web:7@" + digest("1")}, "1.0.0"},
		"not where an image is gone":               {map[string]string{"a": commitA}, []string{"ghcr.io/acme/web:7@" + digest("1")}, "1.0.0"},
		"not of another repository's, where it runs ours": {
			map[string]string{"a": commitA, "1": commitA, "2": commitB}, []string{"ghcr.io/acme/web-staging:7@" + digest("1"), "ghcr.io/acme/web:7@" + digest("2")}, "1.0.0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, ruled(`after: {application: staging/shop/web, same: revision}`))
			for letter, revision := range c.revisions {
				b.built(digest(letter), revision)
			}
			b.pushed("1.1.0", digest("a"))
			b.pushed("main", digest("b"))
			b.runs(time.Now(), c.runs...)
			must(t, b.work("ghcr.io/acme/web:1.1.0"))
			if b.uses() != c.want {
				t.Errorf("uses %s: %q", b.uses(), b.decisions())
			}
		})
	}
}

// Of many tags only those are asked for that could be taken.
func TestOnlyTheBestTagsAreAskedFor(t *testing.T) {
	b := start(t, ruled(`after: {application: staging/shop/web, same: revision}`))
	for i, tag := range []string{"0.9.0", "1.1.0", "1.2.0", "1.3.0", "2.0.0", "nightly"} {
		letter := string(rune('a' + i))
		b.pushed(tag, digest(letter))
		b.built(digest(letter), strings.Repeat(letter, 40))
	}
	b.built(digest("0"), strings.Repeat("c", 40)) // as 1.2.0
	b.runs(time.Now(), "ghcr.io/acme/web:main@"+digest("0"))
	if b.uses() != "1.2.0" {
		t.Fatalf("uses %s: %q", b.uses(), b.decisions())
	}
	asked := slices.DeleteFunc(slices.Clone(b.catalog.asked), func(tag string) bool { return tag == "main" })
	if !slices.Equal(asked, []string{"1.3.0", "1.2.0"}) {
		t.Errorf("asked for %q", asked)
	}
}

func TestARegistryThatIsAwayIsAskedAgain(t *testing.T) {
	b := start(t, ruled(`after: {application: staging/shop/web, same: revision}`))
	b.built(digest("a"), commitA)
	b.built(digest("1"), commitA)
	now := time.Now()
	b.at(now)
	b.pushed("1.1.0", digest("a"))
	b.catalog.failing = errors.New("the registry is away")
	b.runs(now, "ghcr.io/acme/web:main@"+digest("1"))
	if got := b.last(); !strings.HasPrefix(got, "waiting: 1.1.0 waits for the registry") || !strings.HasSuffix(got, "the registry is away") || b.uses() != "1.0.0" {
		t.Fatalf("decided %q, uses %s", got, b.uses())
	}
	b.catalog.failing = nil
	must(t, b.work(web)) // as its time comes
	if b.uses() != "1.1.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}

func TestAFollowTrackTakesTheYoungestOfTheRevision(t *testing.T) {
	b := start(t, policyOf(`{follow: {application: "staging/{namespace}/{name}", same: revision, match: '^[0-9.]+$'}}`))
	for _, c := range []struct{ tag, letter, commit string }{
		{"1.1.0", "a", commitA}, {"1.1.1", "b", commitA}, {"1.1.2-alpine", "c", commitA}, {"1.2.0", "d", commitB},
	} {
		b.built(digest(c.letter), c.commit)
		b.pushed(c.tag, digest(c.letter))
	}
	b.built(digest("1"), commitA)
	b.built(digest("2"), commitB)
	noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for i, c := range []struct{ runs, want string }{{"1", "1.1.1"}, {"2", "1.2.0"}, {"1", "1.1.1"}} {
		b.runs(noon.Add(time.Duration(i)*time.Minute), "ghcr.io/acme/web-staging:x@"+digest(c.runs))
		must(t, b.work(web))
		if b.uses() != c.want {
			t.Errorf("step %d: uses %s, want %s: %q", i, b.uses(), c.want, b.decisions())
		}
	}
}

// What no webhook told of is found also where it isn't the best of all.
func TestASweepFindsWhatTheOtherRuns(t *testing.T) {
	for name, c := range map[string]struct{ rule, track, runs string }{
		"after, by digest":    {"after: {application: staging/shop/web}", "", "ghcr.io/acme/web:1.1.0@" + digest("a")},
		"after, by revision":  {"after: {application: staging/shop/web, same: revision}", "", "ghcr.io/acme/web-staging:x@" + digest("1")},
		"follow, by digest":   {"", "{follow: staging/shop/web}", "ghcr.io/acme/web:1.1.0@" + digest("a")},
		"follow, by revision": {"", "{follow: {application: staging/shop/web, same: revision}}", "ghcr.io/acme/web-staging:x@" + digest("1")},
	} {
		t.Run(name, func(t *testing.T) {
			files := ruled(c.rule)
			if c.track != "" {
				files = policyOf(c.track)
			}
			b := start(t, files)
			for i, tag := range []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0"} {
				letter := string("0abc"[i])
				b.catalog.set("ghcr.io/acme/web:"+tag, digest(letter))
				b.built(digest(letter), strings.Repeat(letter, 40))
			}
			b.built(digest("1"), strings.Repeat("a", 40))
			must(t, b.work("head"))
			b.runs(time.Now(), c.runs)
			must(t, b.sweep.Work(t.Context(), bus.Work{Key: "ghcr.io/acme/web", Items: []string{"sweep"}}))
			var told []string
			for _, e := range b.told(events.ArtifactPublishedType) {
				told = append(told, e.Payload.(events.ArtifactPublished).Tag)
				must(t, b.confirm.Handle(t.Context(), e))
				must(t, b.confirm.Work(t.Context(), bus.Work{Key: "ghcr.io/acme/web", Items: []string{told[len(told)-1]}, Since: time.Now()}))
			}
			if !slices.Contains(told, "1.1.0") || len(told) > 2 {
				t.Fatalf("told of %q", told)
			}
			must(t, b.work("ghcr.io/acme/web:1.1.0"))
			if b.uses() != "1.1.0" {
				t.Errorf("uses %s: %q", b.uses(), b.decisions())
			}
		})
	}
}

// Of two images, one that isn't there is asked for again though the other was.
func TestWhatWasNotThereIsAskedForAgain(t *testing.T) {
	b := start(t, ruled(`after: {application: staging/shop/web, same: revision}`))
	now := time.Now()
	b.at(now)
	b.built(digest("b"), commitB)
	b.built(digest("1"), commitA)
	b.pushed("1.2.0", digest("a")) // whose image the registry lacks for now
	b.pushed("1.1.0", digest("b"))
	b.runs(now, "ghcr.io/acme/web:main@"+digest("1"))
	must(t, b.work(web))
	if b.uses() != "1.0.0" {
		t.Fatalf("uses %s: %q", b.uses(), b.decisions())
	}
	b.built(digest("a"), commitA)
	if at := b.dueAt(web); at.Sub(now) > 11*time.Minute || at.Before(now) {
		t.Fatalf("it is decided on again at %s", at)
	}
	b.at(now.Add(11 * time.Minute))
	must(t, b.work(web))
	if b.uses() != "1.2.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}

func (b *bench) dueAt(item string) time.Time {
	b.t.Helper()
	return b.due.AgainAt(b.t.Context(), b.key, item)
}
