package health

import (
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// Of what is seen by its metadata alone nothing is missed: whatever stands in the rest of
// it, it is current.
func TestStaticKindsAreCurrentWhateverTheySay(t *testing.T) {
	t.Parallel()
	says := map[schema.GroupResource]string{
		{Resource: "services"}:                                  "kind: Service\nspec: {type: LoadBalancer, clusterIP: 10.0.0.1}\nstatus: {loadBalancer: {}, conditions: [{type: LoadBalancerPortsError, status: \"True\"}]}",
		{Resource: "resourcequotas"}:                            "kind: ResourceQuota\nspec: {hard: {pods: 1}}\nstatus: {used: {pods: 9}}",
		{Resource: "endpoints"}:                                 "kind: Endpoints\nsubsets: [{notReadyAddresses: [{ip: 10.0.0.1}]}]",
		{Group: "batch", Resource: "cronjobs"}:                  "kind: CronJob\nspec: {suspend: true}\nstatus: {active: [{name: a}]}",
		{Group: "networking.k8s.io", Resource: "ingresses"}:     "kind: Ingress\nstatus: {loadBalancer: {}}",
		{Group: "coordination.k8s.io", Resource: "leases"}:      "kind: Lease\nspec: {holderIdentity: \"\"}",
		{Group: "discovery.k8s.io", Resource: "endpointslices"}: "kind: EndpointSlice\nendpoints: [{conditions: {ready: false}}]",
	}
	for r, text := range says {
		if !MetadataOnly(r.WithVersion("v1")) {
			t.Errorf("%s is seen whole", r)
		}
		version := schema.GroupVersion{Group: r.Group, Version: "v1"}.String()
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte("apiVersion: "+version+"\nmetadata: {name: a, namespace: b}\n"+text), &object.Object); err != nil {
			t.Fatal(err)
		}
		if state, message := compute(object); state != status.CurrentStatus {
			t.Errorf("%s is %s: %s", r, state, message)
		}
	}
	if MetadataOnly(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}) {
		t.Error("the status of Deployments isn't seen")
	}
}
