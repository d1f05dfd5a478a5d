package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/shared/api"
)

// TestWhatGitHasAgainIsNotDeleted has an object move to an application that is suspended,
// so that the one that had it keeps it for that one. A commit takes that back, of which
// nobody has told yet when it is asked once more who wants it.
func TestWhatGitHasAgainIsNotDeleted(t *testing.T) {
	t.Parallel()
	b := newSyncBed(t)
	before := map[string]string{"apps/giver/kept.yaml": settings("kept", "1"), "apps/giver/moving.yaml": settings("moving", "1"), "apps/taker/own.yaml": settings("own", "1")}
	first := b.push(t, "first", before)
	b.begin(t)
	must(t, b.cluster.Apply(t.Context(), application("shop", "giver", b.url, "apps/giver", "")+application("shop", "taker", b.url, "apps/taker", "")))
	b.becomes(t, "shop", "giver", "True", first)
	b.becomes(t, "shop", "taker", "True", first)
	uid := func() string {
		t.Helper()
		out, err := b.cluster.Kubectl(t.Context(), "get", "configmap", "moving", "-n", "shop", "-o", "jsonpath={.metadata.uid}")
		must(t, err)
		return out
	}
	was := uid()
	kubectl := func(args ...string) {
		t.Helper()
		_, err := b.cluster.Kubectl(t.Context(), args...)
		must(t, err)
	}
	goesTo := func(ok func(to string) bool) {
		t.Helper()
		must(t, parts.Eventually(t.Context(), syncPatience, func() error {
			s, err := b.status(t, "shop", "giver")
			if err != nil {
				return err
			}
			for _, e := range s.Inventory {
				if e.Name == "moving" && !ok(e.To) {
					return fmt.Errorf("it goes to %q", e.To)
				}
			}
			return nil
		}))
	}
	kubectl("annotate", "applications.slipway.dev", "taker", "-n", "shop", "slipway.dev/suspend=a person says so")
	moved := b.push(t, "moved", map[string]string{"apps/giver/moving.yaml": "", "apps/taker/moving.yaml": settings("moving", "1")})
	b.tell(t, moved)
	b.becomes(t, "shop", "giver", "True", moved)
	goesTo(func(to string) bool { return to == "test/shop/taker" })

	back := b.push(t, "back", map[string]string{"apps/giver/moving.yaml": settings("moving", "1"), "apps/taker/moving.yaml": ""})
	kubectl("label", "applications.slipway.dev", "taker", "-n", "shop", "looked=at") // who waits for it looks again
	goesTo(func(to string) bool { return to != "test/shop/taker" })
	b.tell(t, back)
	b.becomes(t, "shop", "giver", "True", back)
	goesTo(func(to string) bool { return to == "" })
	if now := uid(); now != was {
		t.Errorf("it was made anew: %s, and before %s", now, was)
	}
}

// TestAnApplicationFollowsABranchThatHasTheSame has a forced push take the commit away that
// was applied, and have the same for the application: what it tells of is on the branch.
func TestAnApplicationFollowsABranchThatHasTheSame(t *testing.T) {
	t.Parallel()
	b := newSyncBed(t)
	first := b.push(t, "first", map[string]string{"apps/web/settings.yaml": settings("web", "1")})
	second := b.push(t, "second", map[string]string{"apps/web/settings.yaml": settings("web", "2")})
	b.begin(t)
	must(t, b.cluster.Apply(t.Context(), application("shop", "web", b.url, "apps/web", "")))
	was := b.becomes(t, "shop", "web", "True", second)
	b.git(t, "reset", "-q", "--hard", first)
	b.git(t, "push", "-q", "--force", "origin", "HEAD:main")
	again := b.push(t, "second, in other words", map[string]string{"apps/web/settings.yaml": settings("web", "2"), "README.md": "# Shop\n"})
	b.tell(t, again)
	is := b.becomes(t, "shop", "web", "True", again)
	if ready := is.Condition(api.ConditionReady); is.Healthy != again || is.Attempted != again || !strings.Contains(ready.Message, again[:12]) {
		t.Errorf("healthy at %s, attempted %s: %s", is.Healthy, is.Attempted, ready.Message)
	}
	if len(is.History) != len(was.History) {
		t.Errorf("it was synced: %v", is.History)
	}
	// What people change by hand is put right as before.
	_, err := b.cluster.Kubectl(t.Context(), "patch", "configmap", "web", "-n", "shop", "--type=merge", "-p", `{"data":{"value":"by hand"}}`)
	must(t, err)
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		if out, err := b.cluster.Kubectl(t.Context(), "get", "configmap", "web", "-n", "shop", "-o", "jsonpath={.data.value}"); err != nil || out != "2" {
			return fmt.Errorf("it is %q: %w", out, err)
		}
		return nil
	}))
}
