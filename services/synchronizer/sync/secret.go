package sync

import (
	"context"
	"encoding/base64"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
)

// What ConfigMaps and Secrets are used as.
const (
	usedAsVariables   = "variables"
	usedAsCredentials = "credentials"
	usedAsKeys        = "keys"
	usedAsKubeconfig  = "kubeconfig"
	usedAsFormer      = "former"  // kubeconfigs of clusters to which it went before
	usedAsChart       = "chart"   // its credentials
	usedAsSigners     = "signers" // of the chart
)

// uses say of what is missing where it was named, and the reason of the condition.
var uses = map[string]struct{ field, reason string }{
	usedAsCredentials: {"spec.source.secret", reasonCredentials},
	usedAsKeys:        {"spec.source.verify", reasonKeys},
	usedAsKubeconfig:  {"spec.destination.kubeconfigSecret", reasonKubeconfig},
	usedAsChart:       {"spec.source.helm.secret", reasonCredentials},
	usedAsSigners:     {"spec.source.helm.verify.cosign", reasonKeys},
}

// secret is one as it was read.
type secret struct {
	name    string
	version string // changes whenever it does
	data    map[string][]byte
}

// secretsOf reads Secrets of an Application's own namespace with its own
// rights. They wake it from then on.
func (b *Brain) secretsOf(ctx context.Context, a *app, application *api.Application, use string, names []string) ([]secret, error) {
	var sources []source
	for _, name := range names {
		sources = append(sources, source{secrets, a.name.Namespace, name})
	}
	b.apps.setSources(a.key, use, sources)
	client, err := b.clientFor(a.name.Namespace, application.Spec)
	if err != nil {
		return nil, err
	}
	b.own.watches.Want(kube.Scope{Resource: secrets}) //nolint:contextcheck // a watch outlives the work that wants it
	var all []secret
	for i, s := range sources {
		u, err := get(ctx, client, s, uses[use].field, uses[use].reason, "")
		if err != nil {
			return nil, err
		}
		all = append(all, secret{names[i], string(u.GetUID()) + "@" + u.GetResourceVersion(), dataOf(u)})
	}
	return all, nil
}

// dataOf is what a Secret holds. What is no base64 isn't of the API server's.
func dataOf(u *unstructured.Unstructured) map[string][]byte {
	values, _, _ := unstructured.NestedStringMap(u.Object, "data")
	data := map[string][]byte{}
	for name, encoded := range values {
		if value, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			data[name] = value
		}
	}
	return data
}
