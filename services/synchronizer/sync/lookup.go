package sync

import (
	"context"
	"maps"

	"k8s.io/client-go/dynamic"

	"github.com/slipway-cd/slipway/shared/api"
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

// Values are the variables by name.
func (v Variables) Values() map[string]string { return v.v.values }

// Redacted is a text without the values that come from Secrets.
func (v Variables) Redacted(text string) string { return v.v.redacted(text) }
