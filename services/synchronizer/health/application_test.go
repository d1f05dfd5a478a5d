package health_test

import (
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
)

func TestAnApplicationIsReadyWhenItWasLookedAt(t *testing.T) {
	t.Parallel()
	const ready = `{observedGeneration: 2, conditions: [{type: Ready, status: "True", reason: Healthy}]}`
	for name, c := range map[string]struct {
		meta, status string
		want         status.Status
		says         string
	}{
		"new":           {"", "{}", status.InProgressStatus, "the synchronizer has not looked at it yet"},
		"ready":         {"", ready, status.CurrentStatus, "Resource is Ready"},
		"changed":       {"", `{observedGeneration: 1, conditions: [{type: Ready, status: "True"}]}`, status.InProgressStatus, "the synchronizer has not looked at it yet"},
		"without Ready": {"", `{observedGeneration: 2, images: [a]}`, status.InProgressStatus, "the synchronizer has not looked at it yet"},
		"waits": {
			"", `{conditions: [{type: Reconciling, status: "True", message: it needs a Secret}]}`,
			status.InProgressStatus, "it needs a Secret",
		},
		"stalled": {
			"", `{observedGeneration: 2, conditions: [{type: Ready, status: "False"}, {type: Stalled, status: "True", message: a fault}]}`,
			status.FailedStatus, "a fault",
		},
		"suspended and not ready": {
			", annotations: {slipway.dev/suspend: a rest}", `{observedGeneration: 2, conditions: [{type: Ready, status: "False", message: it is degraded}]}`,
			status.InProgressStatus, "it is degraded",
		},
		"suspended":  {", annotations: {slipway.dev/suspend: a rest}", "{}", status.CurrentStatus, "it is suspended: a rest"},
		"is deleted": {", deletionTimestamp: \"2026-11-26T10:00:00Z\"", ready, status.TerminatingStatus, "Resource scheduled for deletion"},
	} {
		seen := reduce(t, "apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: a, namespace: shop, generation: 2"+c.meta+"}\nspec: {}\nstatus: "+c.status)
		if seen.Status != c.want || seen.Message != c.says {
			t.Errorf("%s: %s %q", name, seen.Status, seen.Message)
		}
	}
}
