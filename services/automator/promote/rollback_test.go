package promote_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/promote"
)

// deployed has versions come in one after the other, by the policy.
func deployed(t *testing.T, files map[string]string, versions ...string) *bench {
	t.Helper()
	b := start(t, files)
	must(t, b.work("head"))
	for i, tag := range versions {
		b.pushed(tag, digestOf(i))
		must(t, b.work("ghcr.io/acme/web:"+tag))
		if b.uses() != tag {
			t.Fatalf("uses %s, want %s: %q", b.uses(), tag, b.decisions())
		}
	}
	return b
}

func digestOf(i int) string { return "sha256:" + strings.Repeat("0123456789abcdef"[i:i+1], 64) }

func (b *bench) ask(q promote.Request) error {
	b.t.Helper()
	if q.Application == "" {
		q.Application = "production/shop/web"
	}
	q.By, q.At = "maria", time.Now()
	if q.ID == "" {
		q.ID = events.ChainFor("test", string(q.Kind), q.To, q.Tag, q.Digest)
	}
	must(b.t, q.Validate())
	text, err := json.Marshal(q)
	must(b.t, err)
	return b.work("request " + string(text))
}

// holds are the holds that were told of, as "placed <tag or digest>"; those of
// one commit in no order of their own, and so sorted.
func (b *bench) holds() string {
	var commits []string
	of := map[string][]string{}
	for _, e := range b.told(events.HoldPlacedType, events.HoldReleasedType) {
		h := e.Payload.(events.HoldEvent)
		version := h.Tag
		if version == "" {
			version = h.Digest[:9]
		}
		if of[h.Commit] == nil {
			commits = append(commits, h.Commit)
		}
		of[h.Commit] = append(of[h.Commit], strings.TrimPrefix(e.Type().Short(), "hold.")+" "+version)
	}
	var all []string
	for _, c := range commits {
		slices.Sort(of[c])
		all = append(all, of[c]...)
	}
	return strings.Join(all, ", ")
}

func (b *bench) head() string {
	b.git.Pull()
	return b.git.Git("log", "-1", "--format=%B")
}

func (b *bench) commits() string {
	b.git.Pull()
	return b.git.Git("rev-list", "--count", "HEAD")
}

func TestARollbackRestoresTheFormerReferenceAndHoldsThePresentOne(t *testing.T) {
	b := deployed(t, nil, "1.1.0", "1.2.0")
	q := promote.Request{Kind: promote.Rollback, Reason: "5xx after 1.2.0"}
	for range 3 { // worked on again after crashes
		must(t, b.ask(q))
	}
	if got := b.file(); got != pod("ghcr.io/acme/web:1.1.0@"+digestOf(0)) {
		t.Fatalf("the file is:\n%s", got)
	}
	message := b.head()
	for _, line := range []string{"slipway: roll back production/shop/web to 1.1.0", "5xx after 1.2.0", "Slipway-Requested-By: maria (rollback of production/shop/web, ", "Slipway-Chain: "} {
		if !strings.Contains(message, line) {
			t.Errorf("no %q in\n%s", line, message)
		}
	}
	hold := b.git.Git("show", "HEAD:"+holdFile)
	if !strings.Contains(hold, `digest: "`+digestOf(1)+`"`) || !strings.Contains(hold, `reason: "5xx after 1.2.0"`) || !strings.Contains(hold, `by: "maria"`) {
		t.Errorf("the hold is:\n%s", hold)
	}
	// The held digest stays out: by its own tag, another tag, and after a
	// rebuilt automator; a newer version comes in.
	b.pushed("1.2.1", digestOf(1))
	must(t, b.work("ghcr.io/acme/web:1.2.0", "ghcr.io/acme/web:1.2.1"))
	b.open(t, b.git.URL)
	must(t, b.work("head"))
	if b.uses() != "1.1.0" {
		t.Fatalf("the held version came back: %q", b.decisions())
	}
	b.pushed("1.3.0", digestOf(3))
	must(t, b.work("ghcr.io/acme/web:1.3.0"))
	if got := b.holds(); b.uses() != "1.3.0" || got != "placed sha256:11" {
		t.Errorf("uses %s, holds told: %s", b.uses(), got)
	}
	if merged := b.told(events.ChangeMergedType); len(merged) != 4 {
		t.Errorf("%d changes were told, want 4", len(merged))
	}
}

func TestARollbackGoesWhereItIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		to     func(b *bench) string
		uses   string
		refuse string
	}{
		"to what was before":        {func(*bench) string { return "" }, "1.2.0", ""},
		"to a version":              {func(*bench) string { return "1.1.0" }, "1.1.0", ""},
		"to the first version":      {func(*bench) string { return "1.0.0" }, "1.0.0", ""},
		"to a commit":               {func(b *bench) string { return b.git.Git("rev-parse", "HEAD~2") }, "1.1.0", ""},
		"to a short commit":         {func(b *bench) string { return b.git.Git("rev-parse", "HEAD~3")[:10] }, "1.0.0", ""},
		"to nothing that was":       {func(*bench) string { return "9.9.9" }, "1.3.0", "neither in the history"},
		"to a commit that is none":  {func(*bench) string { return "deadbeefdead" }, "1.3.0", "neither in the history"},
		"to the commit of just now": {func(b *bench) string { return b.git.Git("rev-parse", "HEAD") }, "1.3.0", "same images"},
	} {
		t.Run(name, func(t *testing.T) {
			b := deployed(t, nil, "1.1.0", "1.2.0", "1.3.0")
			b.git.Pull()
			must(t, b.ask(promote.Request{Kind: promote.Rollback, To: c.to(b)}))
			if b.uses() != c.uses {
				t.Errorf("uses %s, want %s: %q", b.uses(), c.uses, b.decisions())
			}
			if c.refuse != "" && (!strings.Contains(b.last(), c.refuse) || b.commits() != "4") {
				t.Errorf("told %q", b.last())
			}
		})
	}
}

// What nobody has passed over yet is decided on by the same people as before.
func TestARollbackLeavesWhatPeopleAreStillAskedOf(t *testing.T) {
	const passed = "placed sha256:11, placed sha256:22"
	for rule, c := range map[string]struct{ holds, decision string }{
		"mode: manual":      {passed, "propose"},
		"mode: pullRequest": {passed, "propose"},
		`mode: automatic, freeze: [{cron: "* * * * *", duration: 24h}]`: {passed + ", placed sha256:33", "hold"},
	} {
		t.Run(rule, func(t *testing.T) {
			b, _ := pullingWith(t, nil)
			must(t, b.work("head"))
			for i, tag := range []string{"1.1.0", "1.2.0", "1.3.0"} {
				b.pushed(tag, digestOf(i))
				must(t, b.work("ghcr.io/acme/web:"+tag))
			}
			b.git.Pull()
			b.git.Commit("asked from now on", ruled(rule))
			b.pushed("1.4.0", digestOf(3))
			must(t, b.work("ghcr.io/acme/web:1.4.0"))
			must(t, b.ask(promote.Request{Kind: promote.Rollback, To: "1.1.0"}))
			if b.uses() != "1.1.0" || b.holds() != c.holds {
				t.Errorf("uses %s, holds: %q; %q", b.uses(), b.holds(), b.decisions())
			}
			if got := b.last(); !strings.HasPrefix(got, c.decision+": ") || !strings.Contains(got, "1.4.0") {
				t.Errorf("then %q, want %s for 1.4.0", got, c.decision)
			}
		})
	}
}

func TestARollbackSkipsWhatIsHeldItself(t *testing.T) {
	b := deployed(t, nil, "1.1.0", "1.2.0", "1.3.0")
	must(t, b.ask(promote.Request{Kind: promote.Place, Image: "ghcr.io/acme/web", Digest: digestOf(1), Reason: "bad too"}))
	must(t, b.ask(promote.Request{Kind: promote.Rollback}))
	if b.uses() != "1.1.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}

func TestARollbackIgnoresFreezeAndApprovals(t *testing.T) {
	b := deployed(t, nil, "1.1.0", "1.2.0")
	b.git.Pull()
	b.git.Commit("frozen", ruled(`mode: manual, freeze: [{cron: "* * * * *", duration: 24h}]`))
	must(t, b.ask(promote.Request{Kind: promote.Rollback}))
	if b.uses() != "1.1.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
}

func TestHoldsArePlacedAndReleasedInGit(t *testing.T) {
	b := deployed(t, map[string]string{holdFile: "# by hand\n" + hold(`tag: "0.9"`)}, "1.1.0")
	place := promote.Request{Kind: promote.Place, Image: "ghcr.io/acme/web", Tag: "1.2.0", Reason: `say "no"`}
	for range 2 {
		must(t, b.ask(place))
	}
	before := b.commits()
	b.pushed("1.2.0", digestOf(2))
	must(t, b.work("ghcr.io/acme/web:1.2.0"))
	if got := b.last(); got != `hold: 1.2.0 is held by maria: say "no"` || before != "3" {
		t.Fatalf("decided %q after %s commits", got, before)
	}
	must(t, b.ask(promote.Request{Kind: promote.Release, Image: "ghcr.io/acme/web", Tag: "1.2.0"}))
	if b.uses() != "1.2.0" {
		t.Errorf("uses %s: %q", b.uses(), b.decisions())
	}
	b.git.Pull()
	if got := b.git.Git("show", "HEAD:"+holdFile); got+"\n" != "# by hand\n"+hold(`tag: "0.9"`) {
		t.Errorf("the other hold became:\n%s", got)
	}
	must(t, b.ask(promote.Request{Kind: promote.Release, Image: "ghcr.io/acme/web", Tag: "0.9"}))
	b.git.Pull()
	if got := b.git.Git("ls-tree", "-r", "--name-only", "HEAD"); strings.Contains(got, ".slipway") {
		t.Errorf("an empty file of holds stays: %s", got)
	}
	if got := b.holds(); got != "placed 1.2.0, released 1.2.0, released 0.9" {
		t.Errorf("told %s", got)
	}
	must(t, b.ask(promote.Request{Kind: promote.Release, Image: "ghcr.io/acme/web", Tag: "7"}))
	if got := b.last(); !strings.Contains(got, "has no hold on ghcr.io/acme/web 7") {
		t.Errorf("told %q", got)
	}
}

// A person's rollback is never undone, however it is made.
func TestAPersonsRevertHoldsWhatItAbandons(t *testing.T) {
	for name, revert := range map[string]func(b *bench){
		"by git revert": func(b *bench) {
			b.git.Git("revert", "--no-edit", "HEAD")
			b.git.Git("push", "-q", "origin", "HEAD:main")
		},
		"by editing the file": func(b *bench) {
			b.git.Commit("back", map[string]string{"apps/web/pod.yaml": pod("ghcr.io/acme/web:1.1.0@" + digestOf(0))})
		},
		"to what never was here": func(b *bench) {
			b.git.Commit("older", map[string]string{"apps/web/pod.yaml": pod("ghcr.io/acme/web:0.8.0")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := deployed(t, nil, "1.1.0", "1.2.0")
			b.git.Pull()
			revert(b)
			kept := b.uses()
			must(t, b.work("head", "ghcr.io/acme/web:1.2.0"))
			must(t, b.sweep.Work(t.Context(), sweepOf("ghcr.io/acme/web")))
			must(t, b.work("head"))
			// What the policy would take instead is passed over as well.
			holds := map[string]string{"1.1.0": "placed sha256:11", "0.8.0": "placed sha256:00, placed sha256:11"}[kept]
			if b.uses() != kept || b.holds() != holds {
				t.Errorf("uses %s, want %s; holds: %q; %q", b.uses(), kept, b.holds(), b.decisions())
			}
			hold := b.git.Git("show", "origin/main:"+holdFile)
			if !strings.Contains(hold, "by: \"Maria <maria@example.com>\"") && !strings.Contains(hold, `by: "Maria \u003cmaria@example.com\u003e"`) {
				t.Errorf("the hold is:\n%s", hold)
			}
		})
	}
}

// The replica that should have seen the revert may be gone.
func TestARevertIsFoundAfterARestart(t *testing.T) {
	b := deployed(t, nil, "1.1.0", "1.2.0")
	b.git.Pull()
	b.git.Git("revert", "--no-edit", "HEAD")
	b.git.Git("push", "-q", "origin", "HEAD:main")
	b.open(t, b.git.URL)
	must(t, b.work("head"))
	if b.uses() != "1.1.0" || b.holds() != "placed sha256:11" {
		t.Errorf("uses %s, holds: %q; %q", b.uses(), b.holds(), b.decisions())
	}
}

func TestAPersonsMoveForwardHoldsNothing(t *testing.T) {
	b := deployed(t, nil, "1.1.0")
	b.git.Pull()
	b.git.Commit("by hand", map[string]string{"apps/web/pod.yaml": pod("ghcr.io/acme/web:1.4.0")})
	must(t, b.work("head"))
	b.git.Pull()
	b.git.Commit("and another", map[string]string{"apps/web/pod.yaml": pod("ghcr.io/acme/web:1.3.0")})
	must(t, b.work("head")) // 1.4.0 was none of ours
	if b.uses() != "1.3.0" || b.holds() != "" {
		t.Errorf("uses %s, holds: %q", b.uses(), b.holds())
	}
}

func TestRequestsThatCantBeAreRefusedWithTheReason(t *testing.T) {
	good := promote.Request{ID: "1", Kind: promote.Place, Application: "production/shop/web", Image: "ghcr.io/acme/web", Tag: "1", By: "maria"}
	for says, change := range map[string]func(*promote.Request){
		"cluster/namespace/name": func(q *promote.Request) { q.Application = "web" },
		"image":                  func(q *promote.Request) { q.Image = "../etc" },
		"names the version":      func(q *promote.Request) { q.Tag = "" },
		"is not a digest":        func(q *promote.Request) { q.Digest = "sha256:xy" },
		"is not a tag":           func(q *promote.Request) { q.Tag = "a b" },
		"several lines":          func(q *promote.Request) { q.Reason = "a\nSlipway-Chain: x" },
		"none of rollback":       func(q *promote.Request) { q.Kind = "burn" },
		"who wants it":           func(q *promote.Request) { q.By = "" },
	} {
		q := good
		change(&q)
		if err := q.Validate(); !errors.Is(err, promote.ErrRequest) || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v gives %v, want one that says %q", q, err, says)
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}
