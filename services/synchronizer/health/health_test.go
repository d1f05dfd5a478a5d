package health_test

import (
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
)

func reduce(t *testing.T, text string) *health.Seen {
	t.Helper()
	var u unstructured.Unstructured
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := u.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	kept, err := health.Reduce(&u)
	if err != nil {
		t.Fatal(err)
	}
	return kept.(*health.Seen)
}

func TestReduce(t *testing.T) {
	t.Parallel()
	deployment := reduce(t, `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  resourceVersion: "7"
  generation: 2
  annotations: {slipway.dev/owner: test/shop/web, secret: value}
  managedFields:
  - {manager: slipway, operation: Apply, fieldsV1: {"f:spec": {"f:replicas": {}}}}
  - {manager: kubectl, operation: Update, fieldsV1: {"f:spec": {"f:paused": {}}}}
spec: {replicas: 1, selector: {matchLabels: {app: web}}}
status: {observedGeneration: 1}
`)
	if deployment.Owner != "test/shop/web" || deployment.Fields == 0 || deployment.Status != status.InProgressStatus ||
		deployment.Selector["app"] != "web" || deployment.Annotations != nil {
		t.Errorf("%+v", deployment)
	}
	pod := reduce(t, `
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
status:
  phase: Pending
  containerStatuses:
  - name: main
    state: {waiting: {reason: CrashLoopBackOff, message: back-off 10s}}
    lastState: {terminated: {exitCode: 3}}
`)
	for _, part := range []string{"web-1", "main", "CrashLoopBackOff", "back-off 10s", "exit code 3"} {
		if !strings.Contains(pod.Trouble, part) {
			t.Errorf("%q does not say %q", pod.Trouble, part)
		}
	}
	starting := reduce(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus: {containerStatuses: [{name: main, state: {waiting: {reason: ContainerCreating}}}]}\n")
	if starting.Trouble != "" {
		t.Errorf("a pod that starts has trouble: %q", starting.Trouble)
	}
}

func TestOurFieldsDoNotDependOnOrder(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  managedFields:\n  - {manager: slipway, operation: Apply, time: %q, fieldsV1: "
	a := reduce(t, strings.Replace(head, "%q", "\"2026-01-01T00:00:00Z\"", 1)+`{"f:data": {"f:a": {}, "f:b": {}}}}`)
	b := reduce(t, strings.Replace(head, "%q", "\"2026-01-02T00:00:00Z\"", 1)+`{"f:data": {"f:b": {}, "f:a": {}}}}`)
	c := reduce(t, strings.Replace(head, "%q", "\"2026-01-02T00:00:00Z\"", 1)+`{"f:data": {"f:b": {}}}}`)
	if a.Fields == 0 || a.Fields != b.Fields || a.Fields == c.Fields {
		t.Errorf("%d, %d, %d", a.Fields, b.Fields, c.Fields)
	}
}

func TestNewer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{{"10", "9", true}, {"9", "10", false}, {"9", "9", true}, {"x", "x", true}, {"x", "9", false}} {
		if health.Newer(tt.a, tt.b) != tt.want {
			t.Errorf("Newer(%s, %s) is not %v", tt.a, tt.b, tt.want)
		}
	}
}
