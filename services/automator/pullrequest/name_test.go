package pullrequest_test

import (
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/pullrequest"
)

func app(t *testing.T, name string) events.Application {
	t.Helper()
	a, err := events.ParseApplication(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestBranchesAreNamedAfterApplications(t *testing.T) {
	for name, want := range map[string]string{
		"production/shop/web":       "slipway/production-shop-web",
		"production/shop/web-api":   "slipway/production-shop-web-api",
		"production/shop/web.v2":    "slipway/production-shop-web.v2",
		"production/shop/a..b":      "slipway/production-shop-a-b_c06aa088f7",
		"production/shop/web.lock":  "slipway/production-shop-web.lock_4460c6048f",
		"production/shop-eu/web":    "slipway/production-shop-eu-web_74f31ee415",
		"eu-production/shop/web":    "slipway/eu-production-shop-web_2c9e1789e5",
		"production/shop/eu-web":    "slipway/production-shop-eu-web",
		"production-shop/eu/web":    "slipway/production-shop-eu-web_b22ecaf381",
		"batch/shop/web":            "slipway/batch-shop-web",
		"production/shop/" + long(): "slipway/production-shop-" + strings.Repeat("a", 165) + "_d8ef365b49",
	} {
		got := pullrequest.Branch(app(t, name))
		if got != want {
			t.Errorf("%.40s: %s, want %s", name, got, want)
		}
		if out, err := exec.Command("git", "check-ref-format", "--branch", got).CombinedOutput(); err != nil {
			t.Errorf("git doesn't take %s: %s", got, out)
		}
	}
}

func long() string { return strings.Repeat("a", 250) }

func TestABatchIsNamedAfterItsRule(t *testing.T) {
	for rule, want := range map[string]string{
		"shop[0]": "slipway/batch_shop-0-_d9112cdeeb", "shop[1]": "slipway/batch_shop-1-_f326913985", "shop-0-": "slipway/batch_shop-0-_b3f09dab39",
	} {
		if got := pullrequest.BatchBranch(rule); got != want {
			t.Errorf("%s has %s, want %s", rule, got, want)
		}
	}
	if got := pullrequest.BatchBranch(strings.Repeat("läng ", 90)); len(got) > 200 || strings.ContainsAny(got, " ä") {
		t.Errorf("a long name gives %s", got)
	}
	if got := pullrequest.RollbackBranch(app(t, "production/shop/web"), "1"); got != "slipway/rollback_production-shop-web_6b86b273ff" {
		t.Errorf("a rollback's is %s", got)
	}
}

// No two applications have one branch, and none has a batch's.
func TestBranchesDoNotCollide(t *testing.T) {
	part := rapid.StringMatching(`[a-b]([-a-b.]{0,4}[a-b])?(\.lock)?`)
	name := rapid.Custom(func(t *rapid.T) events.Application {
		return events.Application{Cluster: part.Draw(t, "cluster"), Namespace: part.Draw(t, "namespace"), Name: part.Draw(t, "name")}
	})
	rapid.Check(t, func(t *rapid.T) {
		seen := map[string]events.Application{}
		for _, a := range rapid.SliceOfN(name, 2, 60).Draw(t, "applications") {
			branch := pullrequest.Branch(a)
			if other, twice := seen[branch]; twice && other != a {
				t.Fatalf("%s and %s both have %s", a, other, branch)
			}
			seen[branch] = a
			rest := strings.TrimPrefix(branch, "slipway/")
			if rest == branch || strings.Contains(rest, "..") || strings.HasSuffix(rest, ".lock") || strings.HasSuffix(rest, ".") || strings.ContainsAny(rest, "/ ~^:?*[\\") || strings.Contains(rest, "@{") || len(branch) > 200 {
				t.Fatalf("%s has %s, which Git doesn't take", a, branch)
			}
		}
	})
}
