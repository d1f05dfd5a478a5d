package health_test

import (
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
)

func TestAJobIsReadyWhenItHasEnded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status string
		want   status.Status
		says   string
	}{
		"new":       {`{}`, status.InProgressStatus, "it runs: 0 pods active, 0 failed"},
		"runs":      {`{startTime: "2026-11-26T10:00:00Z", active: 1, failed: 2}`, status.InProgressStatus, "it runs: 1 pods active, 2 failed"},
		"complete":  {`{succeeded: 1, conditions: [{type: Complete, status: "True"}]}`, status.CurrentStatus, "it is complete"},
		"failed":    {`{failed: 1, conditions: [{type: Complete, status: "False"}, {type: Failed, status: "True", message: backoff limit}]}`, status.FailedStatus, "it has failed: backoff limit"},
		"suspended": {`{conditions: [{type: Suspended, status: "True"}]}`, status.CurrentStatus, "it is suspended"},
	} {
		data, err := yaml.YAMLToJSON([]byte("apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nstatus: " + c.status))
		if err != nil {
			t.Fatal(err)
		}
		job := &unstructured.Unstructured{}
		if err := job.UnmarshalJSON(data); err != nil {
			t.Fatal(err)
		}
		kept, err := health.Reduce(job)
		if err != nil {
			t.Fatal(err)
		}
		if seen := kept.(*health.Seen); seen.Status != c.want || seen.Message != c.says {
			t.Errorf("%s: %s %q", name, seen.Status, seen.Message)
		}
	}
}
