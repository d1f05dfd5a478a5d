package render

import (
	"slices"

	"github.com/slipway-cd/slipway/shared/api"
)

// The stages of an apply; an object waits for those of lower stages.
const (
	StageFoundation = iota // CRDs and namespaces
	StageCluster           // other cluster-wide objects
	StageRest
)

// clusterWide are the cluster-wide kinds of Kubernetes itself, by group. A
// custom kind that isn't here counts as the rest: without a cluster its scope
// isn't known, and an object of a custom kind rarely is what others need.
var clusterWide = map[string][]string{
	"":                             {"Node", "PersistentVolume", "ComponentStatus"},
	"admissionregistration.k8s.io": {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"},
	"apiregistration.k8s.io":       {"APIService"},
	"certificates.k8s.io":          {"CertificateSigningRequest", "ClusterTrustBundle"},
	"flowcontrol.apiserver.k8s.io": {"FlowSchema", "PriorityLevelConfiguration"},
	"networking.k8s.io":            {"IngressClass", "IPAddress", "ServiceCIDR"},
	"node.k8s.io":                  {"RuntimeClass"},
	"rbac.authorization.k8s.io":    {"ClusterRole", "ClusterRoleBinding"},
	"resource.k8s.io":              {"DeviceClass", "ResourceSlice"},
	"scheduling.k8s.io":            {"PriorityClass"},
	"storage.k8s.io":               {"StorageClass", "CSIDriver", "CSINode", "VolumeAttachment", "VolumeAttributesClass"},
}

// Stage is the stage in which an object is applied.
func (id ID) Stage() int {
	group := id.Group()
	switch {
	case group == "" && id.Kind == "Namespace", group == "apiextensions.k8s.io" && id.Kind == "CustomResourceDefinition":
		return StageFoundation
	case slices.Contains(clusterWide[group], id.Kind):
		return StageCluster
	}
	return StageRest
}

// IsApplication says whether it is an Application of ours.
func (id ID) IsApplication() bool { return id.Group() == api.Group && id.Kind == api.ApplicationKind }

// Late orders objects of one turn: it is 1 for Applications, and else 0. Each acts at
// once, with the accounts, the rights and the Projects that lie beside it.
func (id ID) Late() int {
	if id.IsApplication() {
		return 1
	}
	return 0
}

// order sorts by the turn of each object and keeps the tool's order among
// those of one turn.
func order(objects []Object) {
	places := make(map[ID]place, len(objects))
	for _, o := range objects {
		places[o.ID] = placeOf(o)
	}
	slices.SortStableFunc(objects, func(a, b Object) int { return places[a.ID].compare(places[b.ID]) })
}
