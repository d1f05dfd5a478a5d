package sync

import (
	"context"
	"fmt"
	"maps"

	"k8s.io/client-go/dynamic"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/render"
)

// Variables are what a substitute comes to in a cluster, for who renders without
// a [Brain]. Client acts with the application's rights, in its namespace.
type Variables struct{ v variables }

// LookUp reads variables once.
func LookUp(ctx context.Context, client dynamic.Interface, namespace string, s *api.Substitute) (Variables, error) {
	v := variables{values: map[string]string{}, secret: map[string]string{}}
	for _, from := range s.From {
		if _, err := v.read(ctx, client, sourceOf(namespace, from), from.Optional); err != nil {
			return Variables{}, err
		}
	}
	maps.Copy(v.values, s.Vars)
	return Variables{v}, nil
}

// LookUpValues reads once what a chart has of the cluster.
func LookUpValues(ctx context.Context, client dynamic.Interface, namespace string, from []api.ValuesSource) ([]render.ClusterValues, error) {
	var v variables
	for i, f := range from {
		if _, err := v.readChartValues(ctx, client, sourceOf(namespace, f.VariableSource), valuesField(i), f); err != nil {
			return nil, err
		}
	}
	return v.chartValues, nil
}

// Elsewhere reaches the cluster to which a Secret of an Application's namespace
// leads. Client acts with the application's rights, in its namespace.
func Elsewhere(ctx context.Context, client dynamic.Interface, namespace, name string) (*kube.Clients, error) {
	s := source{secrets, namespace, name}
	u, err := get(ctx, client, s, uses[usedAsKubeconfig].field, reasonKubeconfig, "")
	if err != nil {
		return nil, err
	}
	_, clients, err := dial(dataOf(u))
	if err != nil {
		return nil, fmt.Errorf("spec.destination.kubeconfigSecret: %s: %w", s, err)
	}
	return clients, nil
}

// Values are the variables by name.
func (v Variables) Values() map[string]string { return v.v.values }

// Redacted is a text without the values that come from Secrets.
func (v Variables) Redacted(text string) string { return v.v.redacted(text) }
