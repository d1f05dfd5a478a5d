package sync

import (
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

// A replica that was stopped for a while goes on with nothing that another one has
// taken up meanwhile, whether that one has ended it or not.
func TestARunIsOverWhenAnotherReplicaTookItUp(t *testing.T) {
	t.Parallel()
	n := &run{commit: "a", generation: 2, by: "me"}
	ready := []api.Condition{{Type: api.ConditionReady, Status: "True"}}
	for name, c := range map[string]struct {
		status api.ApplicationStatus
		over   bool
	}{
		"it is under way":                     {api.ApplicationStatus{Attempted: "a", ObservedGeneration: 2, By: "me"}, false},
		"another one began the same":          {api.ApplicationStatus{Attempted: "a", ObservedGeneration: 2, By: "other"}, true},
		"another one began a newer commit":    {api.ApplicationStatus{Attempted: "b", ObservedGeneration: 2, By: "other"}, true},
		"another one began a newer spec":      {api.ApplicationStatus{Attempted: "a", ObservedGeneration: 3, By: "other"}, true},
		"it has ended":                        {api.ApplicationStatus{Attempted: "a", Revision: "a", ObservedGeneration: 2, By: "me", Conditions: ready}, true},
		"an older CRD doesn't keep who began": {api.ApplicationStatus{Attempted: "a", ObservedGeneration: 2}, false},
	} {
		if got := n.over(&c.status); got != c.over {
			t.Errorf("%s: over %v", name, got)
		}
	}
}
