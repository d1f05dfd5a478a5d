package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
)

// tellRef publishes what the Git host's hook would have said of any ref.
func (b *syncBed) tellRef(t *testing.T, ref, after, chain string) {
	t.Helper()
	name, err := events.ParseGitRepository(b.url, nil)
	must(t, err)
	e, err := events.New(events.Meta{ID: "hook-" + chain, Source: "/git-receiver/test", ChainID: chain, Time: time.Now()},
		events.RefUpdated{Repository: name, Ref: ref, After: after, Provider: "test", Source: "test"})
	must(t, err)
	must(t, b.bus.Publish(t.Context(), e))
}

// tag makes or moves an annotated tag.
func (b *syncBed) tag(t *testing.T, name, commit string) string {
	t.Helper()
	b.git(t, "tag", "--force", "-a", "-m", name, name, commit)
	b.git(t, "push", "--quiet", "--force", "origin", "refs/tags/"+name)
	return b.git(t, "rev-parse", "refs/tags/"+name)
}

func TestSourcesOfTagsRangesAndCommits(t *testing.T) {
	t.Parallel()
	outer := t
	b := newSyncBed(t)
	app := func(name, value string) map[string]string {
		return map[string]string{"apps/" + name + "/cm.yaml": settings(name, value)}
	}
	all := map[string]string{}
	for _, name := range []string{"tag", "range", "pin", "late"} {
		all["apps/"+name+"/cm.yaml"] = settings(name, "1")
	}
	first := b.push(t, "first", all)
	b.tag(t, "v1.0.0", first)
	b.begin(t)
	source := func(name, follows string) string {
		return sourced("shop", name, "repository: "+b.url+", path: apps/"+name+", "+follows, "  sync: {resync: 1h}\n")
	}
	must(t, b.cluster.Apply(t.Context(), source("tag", "tag: v1.0.0")+source("range", `semver: ">=1.0 <2"`)+source("pin", "commit: "+first)))
	for _, name := range []string{"tag", "range", "pin"} {
		b.becomes(t, "shop", name, "True", first)
	}

	t.Run("a moved tag is applied on its event, and a push to the branch is not", func(t *testing.T) {
		second := b.push(t, "second", app("tag", "2"))
		b.tell(t, second)
		b.push(t, "third", app("tag", "3"))
		object := b.tag(t, "v1.0.0", second)
		b.tellRef(t, "refs/tags/v1.0.0", object, "chain-tag")
		b.becomes(t, "shop", "tag", "True", second)
		b.is(t, "shop", "tag", "2")
		b.hears(t, events.PipelineRunFinishedType, "test/shop/tag", onChain("chain-tag"))
	})

	t.Run("a new tag in the range is applied, one outside is not", func(t *testing.T) {
		one := b.push(t, "range 1.1", app("range", "1.1"))
		b.tellRef(t, "refs/tags/v1.1.0", b.tag(t, "v1.1.0", one), "chain-1.1")
		b.becomes(t, "shop", "range", "True", one)
		two := b.push(t, "range 2", app("range", "2"))
		b.tellRef(t, "refs/tags/v2.0.0", b.tag(t, "v2.0.0", two), "chain-2")
		b.tellRef(t, "refs/tags/v1.2.0-rc.1", b.tag(t, "v1.2.0-rc.1", two), "chain-rc")
		three := b.push(t, "range 1.10", app("range", "1.10"))
		b.tellRef(t, "refs/tags/v1.10.0", b.tag(t, "v1.10.0", three), "chain-1.10")
		s := b.becomes(t, "shop", "range", "True", three)
		b.is(t, "shop", "range", "1.10")
		for _, h := range s.History {
			if h.Commit == two {
				t.Error("a version outside of the range was applied")
			}
		}
	})

	t.Run("a commit stays where it is, and one that isn't there yet is waited for", func(t *testing.T) {
		later := b.push(t, "pin 2", app("pin", "2"))
		b.tell(t, later)
		b.becomes(t, "shop", "pin", "True", first)
		must(t, b.cluster.Apply(t.Context(), source("pin", "commit: "+later)))
		b.becomes(t, "shop", "pin", "True", later)
		b.is(t, "shop", "pin", "2")

		b.git(t, "commit", "--quiet", "--allow-empty", "-m", "not pushed yet")
		unpushed := b.git(t, "rev-parse", "HEAD")
		must(t, b.cluster.Apply(t.Context(), source("late", "commit: "+unpushed)))
		b.says(t, "shop", "late", api.ConditionReconciling, "SourceUnavailable", unpushed)
		b.git(t, "push", "--quiet", "origin", "main")
		b.tell(t, unpushed)
		b.becomes(t, "shop", "late", "True", unpushed)
	})

	t.Run("tags of which no event tells are found by the sweep", func(t *testing.T) {
		b.stop()
		b.sweep = 300 * time.Millisecond
		b.start(outer)
		// The first look after a start has nothing to compare with, and tells of nothing.
		looked := b.push(t, "looked", app("tag", "looked"))
		b.tag(t, "v1.0.0", looked)
		b.becomes(t, "shop", "tag", "True", looked)
		swept := b.push(t, "swept", map[string]string{"apps/tag/cm.yaml": settings("tag", "swept"), "apps/range/cm.yaml": settings("range", "swept")})
		b.tag(t, "v1.0.0", swept)
		b.tag(t, "v1.11.0", swept)
		b.becomes(t, "shop", "tag", "True", swept)
		b.becomes(t, "shop", "range", "True", swept)
		name, err := events.ParseGitRepository(b.url, nil)
		must(t, err)
		b.hears(t, events.RefUpdatedType, string(name), func(e events.Event) bool {
			p, ok := e.Payload.(events.RefUpdated)
			return ok && p.Provider == "sweep" && p.Ref == "refs/tags/v1.0.0" && p.After == swept
		})
	})

	t.Run("what vanishes is told, and deletes nothing", func(t *testing.T) {
		b.git(t, "push", "--quiet", "origin", ":refs/tags/v1.0.0")
		b.tellRef(t, "refs/tags/v1.0.0", "", "chain-gone")
		b.says(t, "shop", "tag", api.ConditionReconciling, "SourceUnavailable", "tag does not exist: v1.0.0")
		b.is(t, "shop", "tag", "swept")
		if s, err := b.status(t, "shop", "tag"); err != nil || s.Condition(api.ConditionReady).Status != "True" {
			t.Errorf("%+v, %v: what runs is no longer ready", s.Conditions, err)
		}
		must(t, b.cluster.Apply(t.Context(), source("pin", "commit: "+strings.Repeat("ab", 20))))
		b.says(t, "shop", "pin", api.ConditionReconciling, "SourceUnavailable", strings.Repeat("ab", 20))
		b.is(t, "shop", "pin", "2")
		must(t, b.cluster.Apply(t.Context(), source("range", `semver: ">=7"`)))
		b.says(t, "shop", "range", api.ConditionReconciling, "SourceUnavailable", `none is a version in the range ">=7"`)
		b.is(t, "shop", "range", "swept")
	})
}

func TestOnlySignedCommitsAreApplied(t *testing.T) {
	t.Parallel()
	b := newSyncBed(t)
	keys := t.TempDir()
	key := func(name string) string {
		file := filepath.Join(keys, name)
		out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file).CombinedOutput()
		if err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
		public, err := os.ReadFile(file + ".pub")
		must(t, err)
		return string(public)
	}
	mine, other := key("mine"), key("other")
	b.git(t, "config", "gpg.format", "ssh")
	signedBy := func(name string) {
		b.git(t, "config", "user.signingKey", filepath.Join(keys, name))
		b.git(t, "config", "commit.gpgSign", map[bool]string{true: "true", false: "false"}[name != ""])
	}
	push := func(value string) string {
		c := b.push(t, value, map[string]string{"apps/web/cm.yaml": settings("web", value)})
		b.tell(t, c)
		return c
	}
	signedBy("mine")
	first := push("one")
	b.begin(t)
	must(t, b.cluster.Apply(t.Context(), sourced("shop", "web", "repository: "+b.url+", path: apps/web, verify: {keys: [release]}", "  sync: {resync: 1h}\n")))
	b.says(t, "shop", "web", api.ConditionReconciling, "KeysMissing", "Secret shop/release, which is not there")
	must(t, b.cluster.Apply(t.Context(), secretText("shop", "release", map[string]string{"maria.pub": mine})))
	b.becomes(t, "shop", "web", "True", first)

	signedBy("")
	second := push("two")
	b.becomes(t, "shop", "web", "False", second, "not signed by a trusted key", "has no signature")
	b.says(t, "shop", "web", api.ConditionStalled, "VerificationFailed", second)
	b.hears(t, events.PipelineRunFinishedType, "test/shop/web", hasOutcome(events.Error, second))
	b.is(t, "shop", "web", "one")

	signedBy("other")
	third := push("three")
	b.becomes(t, "shop", "web", "False", third, "none of those given")
	b.is(t, "shop", "web", "one")
	must(t, b.cluster.Apply(t.Context(), secretText("shop", "release", map[string]string{"maria.pub": mine, "omar.pub": other})))
	b.becomes(t, "shop", "web", "True", third) // the key came, with no commit
	b.is(t, "shop", "web", "three")

	must(t, b.cluster.Apply(t.Context(), secretText("shop", "release", map[string]string{"maria.pub": "nonsense"})))
	b.says(t, "shop", "web", api.ConditionStalled, "VerificationFailed", "Secret release, maria.pub")
	b.is(t, "shop", "web", "three")
	must(t, b.cluster.Apply(t.Context(), secretText("shop", "release", map[string]string{"maria.pub": mine})))
	signedBy("mine")
	fourth := push("four")
	b.becomes(t, "shop", "web", "True", fourth)
	b.is(t, "shop", "web", "four")
}
