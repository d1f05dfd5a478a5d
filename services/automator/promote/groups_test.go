package promote

import (
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

// A policy of the same name in two repositories is two policies: what one opens
// must not be taken for the other's.
func TestARulesPullRequestIsItsRepositorys(t *testing.T) {
	d := Decision{rule: &Rule{Rule: api.Rule{PullRequests: api.PullBatch}, Name: "shop[0]"}}
	one, _ := groupOf("git.example.com/acme/a@main", d)
	other, _ := groupOf("git.example.com/acme/b@main", d)
	again, _ := groupOf("git.example.com/acme/a@main", d)
	if one == other || one != again {
		t.Errorf("the keys are %q, %q and %q", one, other, again)
	}
}
