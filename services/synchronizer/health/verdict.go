package health

import (
	"fmt"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-cd/slipway/services/synchronizer/health/rule"
	"github.com/slipway-cd/slipway/shared/kube"
)

// Target is one object that must be healthy.
type Target struct {
	Kind            schema.GroupVersionKind
	Resource        kube.Resource
	Namespace, Name string
	UID             string
	// ResourceVersion is that of our own write: what the watch saw before
	// says nothing of it. Empty where nothing was sent.
	ResourceVersion string
	// Ends says that it must have done its work, as a hook has: a pod that runs
	// is not ready, one that has succeeded is.
	Ends bool
	// Rule goes before what we know of the kind; nil where a user gave none.
	Rule *rule.Rule
}

// String is such as "Deployment shop/web".
func (t Target) String() string {
	if t.Namespace == "" {
		return t.Kind.Kind + " " + t.Name
	}
	return t.Kind.Kind + " " + t.Namespace + "/" + t.Name
}

// Verdict says how an application is.
type Verdict struct {
	Ready   bool
	Failed  []string // what won't become ready by itself
	Waiting []string // what isn't ready yet
	// Mute are those of Waiting of which no pod says why.
	Mute []Mute
	// Gone are those that are not there, but for hooks.
	Gone []Target
	// Unknown says that a watch has not read everything yet.
	Unknown bool
	// Slow says that a user's rule was stopped for taking too long, for which
	// there may have been another reason: look again some time.
	Slow bool
}

// Mute is one that isn't ready, and no pod says why.
type Mute struct {
	At                   int // in Waiting
	UID, Namespace, Name string
}

// String says what isn't ready and why, at most five of them.
func (v Verdict) String() string {
	const most = 5
	all := append(append([]string(nil), v.Failed...), v.Waiting...)
	if len(all) > most {
		all = append(all[:most:most], fmt.Sprintf("and %d more", len(all)-most))
	}
	return strings.Join(all, "; ")
}

// Watcher sees objects by shared watches.
type Watcher struct{ watches *kube.Watches }

// NewWatcher looks through watches that reduce by [Reduce].
func NewWatcher(watches *kube.Watches) *Watcher { return &Watcher{watches} }

var pods = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// staticKinds have no status that could be bad: that they are there is all
// there is to know, and for secrets all that we want to hold in memory. kstatus says
// the same of each that is there: of a Service, too, whose address the API server gives
// it as it is made. What is more than metadata costs the API server and us to read.
var staticKinds = map[schema.GroupResource]bool{
	{Resource: "configmaps"}:                                              true,
	{Resource: "secrets"}:                                                 true,
	{Resource: "serviceaccounts"}:                                         true,
	{Resource: "limitranges"}:                                             true,
	{Resource: "endpoints"}:                                               true,
	{Resource: "services"}:                                                true,
	{Resource: "resourcequotas"}:                                          true,
	{Resource: "podtemplates"}:                                            true,
	{Group: "batch", Resource: "cronjobs"}:                                true,
	{Group: "coordination.k8s.io", Resource: "leases"}:                    true,
	{Group: "rbac.authorization.k8s.io", Resource: "roles"}:               true,
	{Group: "rbac.authorization.k8s.io", Resource: "rolebindings"}:        true,
	{Group: "rbac.authorization.k8s.io", Resource: "clusterroles"}:        true,
	{Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings"}: true,
	{Group: "networking.k8s.io", Resource: "networkpolicies"}:             true,
	{Group: "networking.k8s.io", Resource: "ingressclasses"}:              true,
	{Group: "networking.k8s.io", Resource: "ingresses"}:                   true,
	{Group: "scheduling.k8s.io", Resource: "priorityclasses"}:             true,
	{Group: "storage.k8s.io", Resource: "storageclasses"}:                 true,
	{Group: "node.k8s.io", Resource: "runtimeclasses"}:                    true,
	{Group: "discovery.k8s.io", Resource: "endpointslices"}:               true,

	{Group: "admissionregistration.k8s.io", Resource: "mutatingwebhookconfigurations"}:   true,
	{Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations"}: true,
}

// MetadataOnly says for which resources the metadata tells all.
func MetadataOnly(r schema.GroupVersionResource) bool { return staticKinds[r.GroupResource()] }

// Look gives what is known of an object. known is false while its watch has
// not read everything; the watch is started.
func (w *Watcher) Look(r kube.Resource, namespace, name string) (seen *Seen, known bool) {
	watch := w.watches.Want(kube.Scope{Resource: r.GroupVersionResource})
	seen, _ = watch.Get(namespace, name).(*Seen)
	return seen, watch.Synced()
}

// ruleTime is how long the rules for all that is judged at once may take: one
// that takes too long must not hold up other applications.
const ruleTime = 500 * time.Millisecond

// Judge says how the targets are, from what the watches have seen.
func (w *Watcher) Judge(targets []Target) Verdict {
	verdict := Verdict{Ready: true}
	deadline := time.Now().Add(ruleTime)
	for _, t := range targets {
		seen, known := w.Look(t.Resource, t.Namespace, t.Name)
		state, message := judge(t, seen, known, deadline)
		verdict.Unknown = verdict.Unknown || seen == nil && !known
		if state == status.NotFoundStatus && !t.Ends {
			verdict.Gone = append(verdict.Gone, t)
		}
		verdict.Slow = verdict.Slow || seen != nil && t.Rule != nil && state == status.UnknownStatus
		switch state {
		case status.CurrentStatus:
			continue
		case status.FailedStatus:
			verdict.Failed = append(verdict.Failed, t.String()+": "+w.why(seen, message))
		default:
			why := w.why(seen, message)
			if seen != nil && why == message {
				verdict.Mute = append(verdict.Mute, Mute{len(verdict.Waiting), string(seen.UID), t.Namespace, t.Name})
			}
			verdict.Waiting = append(verdict.Waiting, t.String()+": "+why)
		}
		verdict.Ready = false
	}
	return verdict
}

func judge(t Target, seen *Seen, known bool, deadline time.Time) (status.Status, string) {
	switch {
	case seen == nil && !known:
		return status.UnknownStatus, "its state is not known yet"
	case seen == nil:
		return status.NotFoundStatus, "it is not there"
	case t.UID != "" && string(seen.UID) != t.UID,
		t.ResourceVersion != "" && !Newer(seen.ResourceVersion, t.ResourceVersion):
		return status.InProgressStatus, "its new state is not seen yet"
	}
	if t.Rule != nil {
		return seen.by(t.Rule, deadline)
	}
	if t.Ends && t.Resource.GroupVersionResource == pods && seen.Status == status.CurrentStatus && !seen.Ended {
		return status.InProgressStatus, "it runs"
	}
	return seen.Status, seen.Message
}

// why adds to a workload's own message what its pods say.
func (w *Watcher) why(seen *Seen, message string) string {
	if seen == nil || len(seen.Selector) == 0 {
		return message
	}
	watch := w.watches.Want(kube.Scope{Resource: pods, Namespace: seen.Namespace})
	for _, kept := range watch.InNamespace(seen.Namespace) {
		pod, ok := kept.(*Seen)
		if ok && pod.Trouble != "" && matches(pod.Labels, seen.Selector) {
			return message + " (" + pod.Trouble + ")"
		}
	}
	return message
}

func matches(labels, selector map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// IsPod says whether a watch is one of pods.
func IsPod(scope kube.Scope) bool { return scope.Resource == pods }
