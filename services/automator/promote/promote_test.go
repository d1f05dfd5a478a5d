package promote_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/registry"
)

func TestAnImageBecomesOneCommitWithItsChain(t *testing.T) {
	b := start(t, nil)
	b.pushed("1.1.0", digestA)
	for range 3 { // told three times
		must(t, b.work("ghcr.io/acme/web:1.1.0"))
	}
	b.git.Pull()
	if got := b.git.Git("rev-list", "--count", "HEAD"); got != "2" {
		t.Fatalf("%s commits, want 2", got)
	}
	want := "slipway: move production/shop/web to 1.1.0\n\nproduction/shop/web: ghcr.io/acme/web 1.0.0 -> 1.1.0@" + digestA +
		"\n\nSlipway-Chain: chain-1.1.0 production/shop/web ghcr.io/acme/web@" + digestA
	if got := b.git.Git("log", "-1", "--format=%B"); got != want {
		t.Fatalf("message:\n%s\nwant:\n%s", got, want)
	}
	if got := b.git.Git("show", "HEAD:apps/web/pod.yaml"); got+"\n" != pod("ghcr.io/acme/web:1.1.0@"+digestA) {
		t.Fatalf("the file is:\n%s", got)
	}
	merged := b.told(events.ChangeMergedType)
	if len(merged) != 1 || merged[0].ChainID != "chain-1.1.0" || merged[0].Payload.(events.ChangeMerged).To != "1.1.0@"+digestA {
		t.Fatalf("told %+v, want one change.merged", merged)
	}
	if got := b.decisions(); !slices.Equal(got[:1], []string{"deploy: 1.1.0 is the best"}) {
		t.Fatalf("decisions: %q", got)
	}
}

func TestItDecidesAgainWhenSomebodyElseWasFaster(t *testing.T) {
	b := start(t, nil)
	b.pushed("1.1.0", digestA)
	must(t, b.work("head"))
	b.pushed("1.2.0", digestB)
	once := sync.Once{}
	b.before = func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/git-receive-pack") && r.Method == http.MethodPost && r.Header.Get("User-Agent") != "" && !strings.HasPrefix(r.Header.Get("User-Agent"), "git/2") {
			once.Do(func() { // a person holds the application back, between our look and our push
				b.git.Pull()
				b.git.Commit("no releases today", map[string]string{"policies/shop.yaml": strings.ReplaceAll(policyFile, "automatic", "never")})
			})
		}
	}
	must(t, b.work("ghcr.io/acme/web:1.2.0"))
	b.before = nil
	b.git.Pull()
	if got := b.git.Git("log", "-1", "--format=%s"); got != "no releases today" {
		t.Fatalf("the last commit is %q: the person's policy did not count", got)
	}
	if got := b.git.Git("show", "HEAD:apps/web/pod.yaml"); !strings.Contains(got, "1.1.0@") {
		t.Fatalf("the file is:\n%s", got)
	}
}

func TestACommitWhoseAuthorDiedIsTold(t *testing.T) {
	b := start(t, nil)
	must(t, b.work("head"))
	// What a replica does that dies after its push: the commit is there, and
	// nobody was told.
	message := promote.Message([]promote.Change{{
		Chain: "chain-x", Application: events.Application{Cluster: "production", Namespace: "shop", Name: "web"},
		Image: events.ImageRepository{Host: "ghcr.io", Path: "acme/web"}, From: "1.0.0", To: "1.1.0@" + digestA,
	}})
	b.git.Commit(message, map[string]string{"apps/web/pod.yaml": pod("ghcr.io/acme/web:1.1.0@" + digestA)})
	for range 2 {
		must(t, b.work("head"))
	}
	merged := b.told(events.ChangeMergedType)
	if len(merged) != 1 || merged[0].ChainID != "chain-x" {
		t.Fatalf("told %d changes, want the one of the dead replica", len(merged))
	}
}

func TestWhatArrivesBeforeItsPolicyIsDeployedWithIt(t *testing.T) {
	b := start(t, map[string]string{"policies/shop.yaml": strings.ReplaceAll(policyFile, ">=1 <2", "<1")})
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	b.git.Commit("widen the range", map[string]string{"policies/shop.yaml": policyFile})
	must(t, b.work("head"))
	b.git.Pull()
	if got := b.git.Git("log", "-1", "--format=%s"); got != "slipway: move production/shop/web to 1.1.0" {
		t.Fatalf("the last commit is %q", got)
	}
}

func TestWhoMayNotSpeakIsToldSo(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"an unknown field": {map[string]string{"policies/shop.yaml": strings.ReplaceAll(policyFile, "mode", "mood")}, "blocked: invalid document: policies/shop.yaml:6: spec.rules[0].mood: unknown field"},
		"a wrong range":    {map[string]string{"policies/shop.yaml": strings.ReplaceAll(policyFile, ">=1 <2", ">=x.y")}, `blocked: policies/shop.yaml:1: rule shop[0]: invalid track: semver: range ">=x.y"`},
		"another branch":   {map[string]string{"cluster/web.yaml": strings.ReplaceAll(application("web", "shop", "apps/web"), "branch: main", "branch: other")}, ""},
		"a broken file":    {map[string]string{"apps/web/other.yaml": "a: [\n"}, "blocked: apps/web/other.yaml"},
		"an escape":        {map[string]string{"apps/web/pod.yaml": pod(`"ghcr.io/\u0061cme/web:1.0.0"`)}, "blocked: apps/web/pod.yaml:6: can't be edited safely"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, c.files)
			b.pushed("1.1.0", digestA)
			must(t, b.work("ghcr.io/acme/web:1.1.0"))
			b.git.Pull()
			if got := b.git.Git("rev-list", "--count", "HEAD"); got != "1" {
				t.Fatal("it committed all the same")
			}
			got := b.decisions()
			if c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.want)) {
				t.Fatalf("decisions %q, want %q", got, c.want)
			}
		})
	}
}

func TestASweepTellsOnlyWhatAPolicyWouldChoose(t *testing.T) {
	b := start(t, nil)
	for _, tag := range []string{"1.0.0", "1.1.0", "1.2.0", "2.0.0", "latest"} {
		b.catalog.set("ghcr.io/acme/web:"+tag, digestA)
	}
	must(t, b.work("head"))
	for range 2 {
		must(t, b.sweep.Work(t.Context(), bus.Work{Key: "ghcr.io/acme/web", Items: []string{"sweep"}}))
	}
	told := b.told(events.ArtifactPublishedType)
	if len(told) != 1 || told[0].Payload.(events.ArtifactPublished).Tag != "1.2.0" {
		t.Fatalf("told %d events: %+v, want 1.2.0 alone", len(told), told)
	}
}

// What is known and better may be kept out, and what no webhook told of is next.
func TestASweepFindsWhatIsBehindAHeldVersion(t *testing.T) {
	b := start(t, map[string]string{holdFile: hold(`digest: "` + digestA + `"`)})
	b.pushed("1.2.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.2.0"))
	for _, tag := range []string{"1.0.0", "1.1.0"} {
		b.catalog.set("ghcr.io/acme/web:"+tag, digestB)
	}
	must(t, b.sweep.Work(t.Context(), bus.Work{Key: "ghcr.io/acme/web", Items: []string{"sweep"}}))
	told := b.told(events.ArtifactPublishedType)
	if len(told) != 1 || told[0].Payload.(events.ArtifactPublished).Tag != "1.1.0" {
		t.Fatalf("told %+v, want 1.1.0 alone", told)
	}
}

func TestATagThatIsNotThereYetIsAskedForAgain(t *testing.T) {
	b := start(t, nil)
	must(t, b.tags.Put(t.Context(), events.ImageRepository{Host: "ghcr.io", Path: "acme/web"}, promote.Known{Tag: "1.1.0", Chain: "c"}))
	w := bus.Work{Key: "ghcr.io/acme/web", Items: []string{"1.1.0"}, Since: time.Now()}
	if err := b.confirm.Work(t.Context(), w); !errors.Is(err, registry.ErrNotFound) {
		t.Fatalf("a fresh tag that isn't there: %v, want to be tried again", err)
	}
	w.Since = time.Now().Add(-time.Hour)
	must(t, b.confirm.Work(t.Context(), w))
	if got := b.tags.Of(events.ImageRepository{Host: "ghcr.io", Path: "acme/web"}); len(got) != 0 {
		t.Fatalf("known tags: %+v, want none", got)
	}
}

func TestMessagesAreReadBack(t *testing.T) {
	app := events.Application{Cluster: "production", Namespace: "shop", Name: "web"}
	changes := []promote.Change{
		{Chain: "c1", Application: app, Image: events.ImageRepository{Host: "ghcr.io", Path: "acme/web"}, From: "1.0.0", To: "1.1.0@" + digestA},
		{Chain: "c2", Application: app, Image: events.ImageRepository{Host: "localhost:5000", Path: "api"}, To: "1.1.0"},
	}
	if got := promote.ParseMessage(strings.ReplaceAll(promote.Message(changes), "\n", "\r\n")); !reflect.DeepEqual(got, changes) {
		t.Fatalf("read back %+v, want %+v", got, changes)
	}
	for _, message := range []string{"", "a person's commit\n", "x\n\nSlipway-Chain: nonsense\n", "Slipway-Chain: c a/b/c not an image@x"} {
		if got := promote.ParseMessage(message); len(got) != 0 {
			t.Errorf("%q gave %+v", message, got)
		}
	}
}

// policyOf is the policy with another track.
func policyOf(track string) map[string]string {
	return map[string]string{"policies/shop.yaml": strings.ReplaceAll(policyFile, `{semver: ">=1 <2"}`, track)}
}

// file is the application's file at the head.
func (b *bench) file() string {
	b.t.Helper()
	b.git.Pull()
	return b.git.Git("show", "HEAD:apps/web/pod.yaml") + "\n"
}

func TestAMovingTagIsFollowedByItsDigest(t *testing.T) {
	b := start(t, policyOf(`{digest: main}`))
	for i, digest := range []string{digestA, digestB, digestA} {
		b.pushed("main", digest)
		for range 2 {
			must(t, b.work("ghcr.io/acme/web:main"))
		}
		if got := b.file(); got != pod("ghcr.io/acme/web:main@"+digest) {
			t.Fatalf("after push %d the file is:\n%s", i+1, got)
		}
		if got := b.git.Git("rev-list", "--count", "HEAD"); got != fmt.Sprint(i+2) {
			t.Fatalf("after push %d: %s commits", i+1, got)
		}
	}
	b.pushed("2.0.0", digestB)
	must(t, b.work("ghcr.io/acme/web:2.0.0"))
	if got := b.git.Git("rev-list", "--count", "origin/main"); got != "4" {
		t.Fatalf("another tag was committed: %s commits", got)
	}
}

func TestAMovingTagWithoutItsDigestIsLeftAlone(t *testing.T) {
	files := policyOf(`{digest: main}, pin: tag`)
	files["apps/web/pod.yaml"] = pod("ghcr.io/acme/web:main")
	b := start(t, files)
	b.pushed("main", digestA)
	must(t, b.work("ghcr.io/acme/web:main"))
	if got := b.decisions(); len(got) != 1 || !strings.HasPrefix(got[0], "skip: main points to "+digestA) || !strings.Contains(got[0], "pin is tag") {
		t.Fatalf("decisions: %q", got)
	}
}

func TestASweepFindsThatATagMoved(t *testing.T) {
	b := start(t, policyOf(`{digest: main}`))
	b.pushed("main", digestA)
	must(t, b.work("ghcr.io/acme/web:main"))
	swept := func() (told int) {
		t.Helper()
		must(t, b.sweep.Work(t.Context(), bus.Work{Key: "ghcr.io/acme/web", Items: []string{"sweep"}}))
		return len(b.told(events.ArtifactPublishedType))
	}
	if got := swept(); got != 0 {
		t.Fatalf("told %d events of a tag that didn't move", got)
	}
	b.catalog.set("ghcr.io/acme/web:main", digestB)
	for range 2 {
		if got := swept(); got != 1 {
			t.Fatalf("told %d events, want one", got)
		}
	}
	b.pushed("main", digestB) // as the event does
	must(t, b.work("ghcr.io/acme/web:main"))
	// It comes back to where it was: that is a push of its own.
	b.catalog.set("ghcr.io/acme/web:main", digestA)
	if got := swept(); got != 2 {
		t.Fatalf("told %d events, want two", got)
	}
}

func TestTracksDecideInTheAutomator(t *testing.T) {
	for name, c := range map[string]struct{ track, first, then, want string }{
		"numeric":      {`{numeric: {match: '^b(?P<order>[0-9]+)$'}}`, "b10", "b9", "b10"},
		"alphabetical": {`{alphabetical: {match: '^r'}}`, "r2", "r1", "r2"},
		"newest":       {`{newest: {match: '^main-[0-9a-f]{7}-(?P<order>[0-9]+)$', order: numeric}}`, "main-aaaaaaa-10", "main-bbbbbbb-9", "main-aaaaaaa-10"},
		"created":      {`{newest: {match: '^main-', order: created}}`, "main-young", "main-old", "main-young"},
		"exact":        {`{exact: stable}`, "stable", "unstable", "stable"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, policyOf(c.track))
			b.catalog.created[digestA] = time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
			b.catalog.created[digestB] = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
			b.pushed(c.first, digestA)
			must(t, b.work("ghcr.io/acme/web:"+c.first))
			b.pushed(c.then, digestB)
			must(t, b.work("ghcr.io/acme/web:"+c.then))
			if got := b.file(); got != pod("ghcr.io/acme/web:"+c.want+"@"+digestA) {
				t.Fatalf("the file is:\n%s", got)
			}
		})
	}
}

func TestASweepAsksForTimesBeforeItChoosesTheYoungest(t *testing.T) {
	b := start(t, policyOf(`{newest: {match: '^main-', order: created}}`))
	for i, tag := range []string{"main-c", "main-a", "main-b", "dev-x"} {
		digest := fmt.Sprintf("sha256:%064d", i)
		b.catalog.set("ghcr.io/acme/web:"+tag, digest)
		b.catalog.created[digest] = time.Date(2026, 11, 10-i, 0, 0, 0, 0, time.UTC)
	}
	b.catalog.set("ghcr.io/acme/web:main-z", digestA) // doesn't tell its time
	must(t, b.work("head"))
	for range 3 { // the first asks, the second tells, the third has nothing to do
		must(t, b.sweep.Work(t.Context(), bus.Work{Key: "ghcr.io/acme/web", Items: []string{"sweep"}}))
	}
	told := b.told(events.ArtifactPublishedType)
	if len(told) != 1 || told[0].Payload.(events.ArtifactPublished).Tag != "main-c" {
		t.Fatalf("told %d events: %+v, want main-c alone", len(told), told)
	}
}

func sweepOf(image string) bus.Work { return bus.Work{Key: image, Items: []string{"sweep"}} }

// A tag may come by the work of another one that arrived before it: its own chain says so.
func TestTheChainOfWhatIsMovedToHasItsDecision(t *testing.T) {
	b := start(t, nil)
	b.pushed("1.0.1", digestA)
	b.pushed("1.1.0", digestB)
	must(t, b.work("ghcr.io/acme/web:1.0.1"))
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	told := map[string][]string{}
	for _, e := range b.told(events.DecisionMadeType) {
		told[e.ChainID] = append(told[e.ChainID], string(e.Payload.(events.DecisionMade).Outcome))
	}
	if want := map[string][]string{"chain-1.0.1": {"skip"}, "chain-1.1.0": {"deploy", "skip"}}; !maps.EqualFunc(told, want, slices.Equal) {
		t.Errorf("told %v, want %v", told, want)
	}
}
