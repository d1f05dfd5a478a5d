package sync

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestAnApplicationIsInOneState(t *testing.T) {
	t.Parallel()
	for conditions, want := range map[string]string{
		"":                             stateReconciling,
		"Ready=False Reconciling=True": stateReconciling,
		"Ready=Unknown":                stateReconciling,
		"Ready=True":                   stateReady,
		"Ready=True Drifted=True":      stateReady,
		"Ready=False Stalled=True":     stateStalled,
		"Ready=False Stalled=False":    stateReconciling,
		"Ready=True Suspended=True":    stateSuspended,
		"Suspended=True Stalled=True":  stateSuspended,
		"Reconciling=False Ready=True": stateReady,
		"Suspended=False Ready=True":   stateReady,
		"Ready=False Unheard=True":     stateReconciling,
	} {
		var list []any
		for c := range strings.FieldsSeq(conditions) {
			kind, status, _ := strings.Cut(c, "=")
			list = append(list, map[string]any{"type": kind, "status": status})
		}
		u := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"conditions": list}}}
		if got := stateOf(u); got != want {
			t.Errorf("%q: %s, want %s", conditions, got, want)
		}
	}
	if got := stateOf(&unstructured.Unstructured{Object: map[string]any{"status": "text"}}); got != stateReconciling {
		t.Errorf("a status that is none: %s", got)
	}
}

// Each state has a value, also where no application has it: an alert that ends
// needs the zero.
func TestEachStateIsTold(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewPedanticRegistry()
	newMetrics(metrics, func() int { return 3 }, func() int { return 0 }, func() map[string]int { return map[string]int{stateReady: 2, stateStalled: 1} })
	want := `# HELP slipway_applications_state Applications of the cluster, by how they are: ready, reconciling, stalled, suspended.
# TYPE slipway_applications_state gauge
slipway_applications_state{state="ready"} 2
slipway_applications_state{state="reconciling"} 0
slipway_applications_state{state="stalled"} 1
slipway_applications_state{state="suspended"} 0
`
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "slipway_applications_state"); err != nil {
		t.Error(err)
	}
}
