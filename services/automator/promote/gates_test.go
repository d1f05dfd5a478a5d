package promote_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/approval"
)

// ruled is the policy with more in its rule; automatic unless that says so.
func ruled(rule string) map[string]string {
	mode := "mode: automatic"
	if strings.Contains(rule, "mode: ") {
		mode = ""
	}
	text := strings.Replace(policyFile, "mode: automatic}", strings.Trim(strings.Join([]string{mode, rule}, ", "), ", ")+"}", 1)
	return map[string]string{"policies/shop.yaml": text}
}

// at sets the clock by which the bench decides.
func (b *bench) at(now time.Time) { b.deploy.Now = func() time.Time { return now } }

// uses is the reference in Git's head.
func (b *bench) uses() string {
	b.t.Helper()
	_, rest, _ := strings.Cut(b.file(), "image: ghcr.io/acme/web:")
	reference, _, _ := strings.Cut(rest, " ")
	tag, _, _ := strings.Cut(reference, "@")
	return tag
}

// last is the last decision that was told.
func (b *bench) last() string {
	all := b.decisions()
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

const web = "again production/shop/web ghcr.io/acme/web"

func hold(spec string) string {
	return "apiVersion: slipway.dev/v1alpha1\nkind: Hold\nmetadata: {name: web}\nspec: {application: production/shop/web, image: ghcr.io/acme/web, " + spec + "}\n"
}

const holdFile = ".slipway/holds/production/shop/web.yaml"

func TestAHeldDigestStaysOutByAnyTagUntilItIsReleased(t *testing.T) {
	b := start(t, map[string]string{holdFile: hold(`digest: "` + digestA + `", reason: "5xx", by: maria`)})
	for _, tag := range []string{"1.1.0", "1.2.0"} { // two tags of one image
		b.pushed(tag, digestA)
		must(t, b.work("ghcr.io/acme/web:"+tag))
		if got := b.last(); got != "hold: "+tag+" is held by maria: 5xx" || b.uses() != "1.0.0" {
			t.Fatalf("decided %q, uses %s", got, b.uses())
		}
	}
	b.git.Pull()
	b.git.Commit("release it", map[string]string{holdFile: ""})
	must(t, b.work("head"))
	if b.uses() != "1.2.0" {
		t.Errorf("after the release it uses %s: %q", b.uses(), b.decisions())
	}
}

func TestAHoldKeepsOutOneVersionAndNotTheNext(t *testing.T) {
	b := start(t, map[string]string{holdFile: hold(`tag: "1.3.0"`)})
	b.pushed("1.2.0", digestA)
	b.pushed("1.3.0", digestB)
	must(t, b.work("ghcr.io/acme/web:1.2.0", "ghcr.io/acme/web:1.3.0"))
	if b.uses() != "1.2.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}

func TestAHoldThatCantBeReadHoldsEverything(t *testing.T) {
	for name, text := range map[string]string{
		"of another application": strings.Replace(hold(`tag: "9"`), "shop/web", "shop/api", 1),
		"with an unknown field":  hold(`tag: "9", until_ever: true`),
		"without a version":      hold(`reason: "x"`),
		"of another kind":        policyFile,
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, map[string]string{holdFile: text})
			b.pushed("1.1.0", digestA)
			must(t, b.work("ghcr.io/acme/web:1.1.0"))
			if got := b.last(); !strings.HasPrefix(got, "blocked: ") || !strings.Contains(got, holdFile+":") || b.uses() != "1.0.0" {
				t.Errorf("decided %q, uses %s", got, b.uses())
			}
		})
	}
}

func TestAHoldEndsByTheClock(t *testing.T) {
	b := start(t, map[string]string{holdFile: hold(`tag: "1.1.0", until: 2026-12-01T00:00:00Z`)})
	b.at(time.Date(2026, 11, 30, 23, 59, 59, 0, time.UTC))
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if got := b.last(); !strings.Contains(got, "until 2026-12-01T00:00:00Z") {
		t.Fatalf("decided %q", got)
	}
	b.at(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC))
	must(t, b.work(web))
	if b.uses() != "1.1.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}

func TestNothingIsDeployedWhileItIsFrozen(t *testing.T) {
	b := start(t, ruled(`freeze: [{cron: "0 17 * * FRI", duration: 63h, timezone: Europe/Berlin}]`))
	friday := time.Date(2026, 11, 27, 17, 0, 0, 0, time.UTC)
	b.at(friday)
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if got := b.last(); !strings.HasPrefix(got, "frozen: 1.1.0 is the best, but nothing is deployed until 2026-11-30T07:00:00Z") || b.uses() != "1.0.0" {
		t.Fatalf("decided %q, uses %s", got, b.uses())
	}
	b.at(time.Date(2026, 11, 30, 7, 0, 0, 0, time.UTC))
	must(t, b.work(web))
	if b.uses() != "1.1.0" {
		t.Errorf("after the freeze it uses %s: %q", b.uses(), b.decisions())
	}
}

func TestASuspendedApplicationIsLeftAlone(t *testing.T) {
	document := strings.Replace(application("web", "shop", "apps/web"), "namespace: shop}", "namespace: shop, annotations: {slipway.dev/suspend: \"migration\"}}", 1)
	b := start(t, map[string]string{"cluster/web.yaml": document})
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if got := b.last(); got != "skip: the application is suspended: migration" {
		t.Fatalf("decided %q", got)
	}
	b.git.Pull()
	b.git.Commit("go on", map[string]string{"cluster/web.yaml": strings.ReplaceAll(application("web", "shop", "apps/web"), "REPO", b.git.URL)})
	must(t, b.work("head"))
	if b.uses() != "1.1.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}

// staging tells how the application of that name in staging is.
func (b *bench) staging(outcome, tag, digest string, at time.Time) {
	b.t.Helper()
	e, err := events.New(events.Meta{ID: fmt.Sprint(outcome, tag, at), Source: "/synchronizer/staging", ChainID: "c", Time: at}, events.PipelineRunFinished{
		Run: events.Run{Application: "staging/shop/web", Commit: strings.Repeat("a", 40), Images: []string{"ghcr.io/acme/web:" + tag + "@" + digest}}, Outcome: outcome,
	})
	must(b.t, err)
	must(b.t, b.health.Handle(b.t.Context(), e))
	must(b.t, b.work("runs staging/shop/web"))
}

func TestAnImageHasToBeHealthyElsewhereFirst(t *testing.T) {
	b := start(t, ruled(`after: {application: "staging/{namespace}/{name}", healthyFor: 10m}`))
	noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	b.at(noon)
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if got := b.last(); got != "waiting: 1.1.0 waits for staging/shop/web, of which nothing is known" {
		t.Fatalf("decided %q", got)
	}
	b.staging("success", "1.0.0", digestB, noon)
	b.staging("success", "1.1.0", digestA, noon.Add(time.Minute))
	if b.uses() != "1.0.0" {
		t.Fatal("it did not wait")
	}
	// A source that degrades starts its time again.
	b.at(noon.Add(10 * time.Minute))
	b.staging("failure", "1.1.0", digestA, noon.Add(10*time.Minute))
	b.at(noon.Add(12 * time.Minute))
	must(t, b.work(web))
	b.staging("success", "1.1.0", digestA, noon.Add(12*time.Minute))
	b.at(noon.Add(21 * time.Minute))
	must(t, b.work(web))
	if b.uses() != "1.0.0" {
		t.Fatal("it did not start its time again")
	}
	b.at(noon.Add(22 * time.Minute))
	must(t, b.work(web))
	if b.uses() != "1.1.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}

// A source that ceases to be healthy after its sync starts its time again, too.
func TestASourceThatDegradesLaterStartsItsTimeAgain(t *testing.T) {
	b := start(t, ruled(`after: {application: staging/shop/web, healthyFor: 10m}`))
	noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	incident := func(kind events.Type, source string, at time.Time) {
		t.Helper()
		e, err := events.New(events.Meta{ID: fmt.Sprint(kind, at), Source: source, ChainID: "c", Time: at}, events.Incident{
			Kind: kind, Environment: "staging", Application: "staging/shop/web", Description: "it is not well",
		})
		must(t, err)
		must(t, b.health.Handle(t.Context(), e))
	}
	b.pushed("1.1.0", digestA)
	incident(events.IncidentDetectedType, "/synchronizer/staging", noon.Add(-time.Hour)) // of what nobody told
	b.at(noon)
	b.staging("success", "1.1.0", digestA, noon)
	incident(events.IncidentDetectedType, "/automator", noon.Add(time.Minute)) // another's matter
	incident(events.IncidentDetectedType, "/synchronizer/staging", noon.Add(5*time.Minute))
	b.at(noon.Add(11 * time.Minute))
	must(t, b.work(web))
	if got := b.last(); b.uses() != "1.0.0" || !strings.Contains(got, "which is not healthy with it") {
		t.Fatalf("decided %q, uses %s", got, b.uses())
	}
	incident(events.IncidentResolvedType, "/synchronizer/staging", noon.Add(12*time.Minute))
	b.at(noon.Add(21 * time.Minute))
	must(t, b.work(web))
	if b.uses() != "1.0.0" {
		t.Fatal("it did not start its time again")
	}
	b.at(noon.Add(22 * time.Minute))
	must(t, b.work(web))
	if b.uses() != "1.1.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}

// What was healthy for long enough may follow also when its source went on.
func TestAnImageThatProvedItselfIsNotStarvedByTheNext(t *testing.T) {
	b := start(t, ruled(`after: {application: staging/shop/web, healthyFor: 10m}`))
	noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	b.pushed("1.1.0", digestA)
	b.pushed("1.2.0", digestB)
	b.at(noon.Add(16 * time.Minute))
	b.staging("success", "1.1.0", digestA, noon)
	b.staging("success", "1.2.0", digestB, noon.Add(15*time.Minute))
	if b.uses() != "1.1.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}

func TestAFollowTrackTakesWhatTheOtherRuns(t *testing.T) {
	b := start(t, policyOf(`{follow: "staging/{namespace}/{name}"}`))
	noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	b.pushed("1.1.0", digestA)
	b.pushed("1.2.0", digestB)
	must(t, b.work("ghcr.io/acme/web:1.1.0", "ghcr.io/acme/web:1.2.0"))
	if b.uses() != "1.0.0" {
		t.Fatal("it followed nobody")
	}
	for i, c := range []struct{ outcome, tag, digest, want string }{
		{"failure", "1.1.0", digestA, "1.0.0"}, {"success", "1.1.0", digestA, "1.1.0"}, {"success", "1.2.0", digestB, "1.2.0"}, {"success", "1.1.0", digestA, "1.1.0"},
	} {
		b.staging(c.outcome, c.tag, c.digest, noon.Add(time.Duration(i)*time.Minute))
		if b.uses() != c.want {
			t.Errorf("step %d: uses %s, want %s: %q", i, b.uses(), c.want, b.decisions())
		}
	}
}

const manual = `mode: manual, approvals: {count: 2, from: ["group:leads"], deadline: 24h}`

func TestAnApproverOverridesAFreezeAndThatIsRecorded(t *testing.T) {
	for _, mode := range []string{manual, strings.Replace(manual, "manual", "automatic", 1)} {
		b := start(t, ruled(mode+`, freeze: [{cron: "* * * * *", duration: 1h}]`))
		b.at(time.Now())
		b.pushed("1.1.0", digestA)
		must(t, b.work("ghcr.io/acme/web:1.1.0"))
		b.vote("maria", "approved", false)
		b.vote("omar", "approved", false)
		if b.uses() != "1.0.0" {
			t.Fatalf("%s: approved without an override, and not frozen: %q", mode, b.decisions())
		}
		if _, err := b.votes.Vote(t.Context(), b.proposal().ID, approval.Vote{Person: "li", Groups: []string{"leads"}, Decision: "approved", At: b.deploy.Now(), OverridesFreeze: true}); err != nil {
			t.Fatal(err)
		}
		must(t, b.work(web))
		b.git.Pull()
		if message := b.git.Git("log", "-1", "--format=%B"); b.uses() != "1.1.0" || !strings.Contains(message, "Slipway-Freeze-Overridden-By: li (production/shop/web)") {
			t.Errorf("%s: uses %s:\n%s", mode, b.uses(), message)
		}
	}
}

// A rebuilt automator finds what waits: from Git, from the registry's sweep,
// and from the stores.
func TestWhatWaitsIsFoundAgainAtTheStart(t *testing.T) {
	b := start(t, ruled(manual))
	b.at(time.Now())
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	b.vote("maria", "approved", false)
	_, err := b.votes.Vote(t.Context(), b.proposal().ID, approval.Vote{Person: "omar", Groups: []string{"leads"}, Decision: "approved", At: b.deploy.Now()})
	must(t, err)
	// The replica that should have worked on the vote is gone; another starts.
	b.open(t, b.git.URL)
	b.at(time.Now())
	must(t, b.work("head"))
	if b.uses() != "1.1.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}

func TestAPolicyThatComesAfterThePushCounts(t *testing.T) {
	b := start(t, map[string]string{"policies/shop.yaml": strings.ReplaceAll(policyFile, ">=1 <2", "<1.1")})
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if b.uses() != "1.0.0" {
		t.Fatal("the range counted for nothing")
	}
	b.git.Pull()
	b.git.Commit("wider", map[string]string{"policies/shop.yaml": policyFile})
	must(t, b.work("head"))
	if b.uses() != "1.1.0" || !slices.Contains(b.decisions(), "deploy: 1.1.0 is the best") {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}
