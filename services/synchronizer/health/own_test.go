package health_test

import (
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
)

// What kstatus says otherwise, or doesn't know.
func TestKubernetesOwnKinds(t *testing.T) {
	t.Parallel()
	const (
		job     = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\n"
		pod     = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
		service = "apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v1.metrics.k8s.io}\n"
	)
	for name, c := range map[string]struct {
		kind   string
		status string
		want   status.Status
		says   string
	}{
		"a new job":       {job, `{}`, status.InProgressStatus, "it runs: 0 pods active, 0 failed"},
		"a job that runs": {job, `{startTime: "2026-11-26T10:00:00Z", active: 1, failed: 2}`, status.InProgressStatus, "it runs: 1 pods active, 2 failed"},
		"a complete job":  {job, `{succeeded: 1, conditions: [{type: Complete, status: "True"}]}`, status.CurrentStatus, "it is complete"},
		"a failed job":    {job, `{failed: 1, conditions: [{type: Complete, status: "False"}, {type: Failed, status: "True", message: backoff limit}]}`, status.FailedStatus, "it has failed: backoff limit"},
		"a suspended job": {job, `{conditions: [{type: Suspended, status: "True"}]}`, status.CurrentStatus, "it is suspended"},

		"a pod that starts":  {pod, `{phase: Pending}`, status.InProgressStatus, "Pod is in the Pending phase"},
		"a pod that is over": {pod, `{phase: Succeeded}`, status.CurrentStatus, "Pod has completed successfully"},
		"a pod that failed": {
			pod, `{phase: Failed, initContainerStatuses: [{name: init, state: {terminated: {exitCode: 0}}}], containerStatuses: [{name: main, state: {terminated: {exitCode: 3, reason: Error}}}]}`,
			status.FailedStatus, "it has failed: container main: Error with exit code 3",
		},
		"a pod that was put out": {pod, `{phase: Failed, reason: Evicted, message: the node was low on memory}`, status.FailedStatus, "it has failed: Evicted: the node was low on memory"},
		"a pod that is failed and goes": {
			strings.Replace(pod, "{name: a}", `{name: a, deletionTimestamp: "2026-11-26T10:00:00Z"}`, 1), `{phase: Failed}`, status.TerminatingStatus, "Resource scheduled for deletion",
		},

		"an API service that is new": {service, `{}`, status.InProgressStatus, "it is not known yet whether it is available"},
		"an API service without one that serves": {
			service, `{conditions: [{type: Available, status: "False", reason: MissingEndpoints, message: none are ready}]}`, status.InProgressStatus, "it is not available: MissingEndpoints: none are ready",
		},
		"an API service that serves": {service, `{conditions: [{type: Available, status: "True", reason: Passed}]}`, status.CurrentStatus, "Resource is current"},
	} {
		data, err := yaml.YAMLToJSON([]byte(c.kind + "status: " + c.status))
		if err != nil {
			t.Fatal(err)
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(data); err != nil {
			t.Fatal(err)
		}
		kept, err := health.Reduce(object)
		if err != nil {
			t.Fatal(err)
		}
		if seen := kept.(*health.Seen); seen.Status != c.want || seen.Message != c.says {
			t.Errorf("%s: %s %q", name, seen.Status, seen.Message)
		}
	}
}
