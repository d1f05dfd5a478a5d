package policy_test

import (
	"testing"

	"github.com/slipway-cd/slipway/services/automator/policy"
	"github.com/slipway-cd/slipway/shared/api"
)

func TestATagsEndMayLookLikeACommit(t *testing.T) {
	semver := api.Track{Semver: &api.Semver{Range: "*"}}
	matched := api.Track{Semver: &api.Semver{Range: "*", Filter: api.Filter{Match: "^v?(?P<order>.*)$"}}}
	for tag, want := range map[string]bool{
		"1.2.0-3f9a1c2": true, "1.2.0-g3f9a1c2": true, "v1.2.0-sha-3f9a1c2": true, "1.2.0-deadbeef": true, "1.2.3-14-g2414721": true,
		"1.2.0": false, "1.2.0-alpine": false, "1.2.0-rc1": false, "1.2.0-20241101": false, "main": false, "": false,
	} {
		if got := policy.BuildID(semver, tag); got != want {
			t.Errorf("%s: %t", tag, got)
		}
		if policy.BuildID(matched, tag) || policy.BuildID(api.Track{Numeric: &api.Greatest{}}, tag) {
			t.Errorf("%s: where a match says what it is", tag)
		}
	}
}
