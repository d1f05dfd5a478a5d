package sync

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

func valuesField(i int) string { return fmt.Sprintf("spec.source.helm.valuesFrom[%d]", i) }

// readChartValues takes the values of one source behind those before, and gives its
// version.
func (v *variables) readChartValues(ctx context.Context, client dynamic.Interface, s source, field string, from api.ValuesSource) (string, error) {
	u, err := get(ctx, client, s, field, reasonValues, ", or set optional: true")
	if err != nil {
		if e, ok := errors.AsType[missingError](err); ok && e.absent && from.Optional {
			return s.String() + "=absent", nil
		}
		return "", err
	}
	text, found := valueOf(u, s, from.KeyOrDefault())
	if !found && from.Optional {
		return s.versionOf(u), nil
	}
	if !found {
		return "", missingError{reason: reasonValues, message: fmt.Sprintf("%s needs key %q of %s, which has none of this name: add it, or set optional: true", field, from.KeyOrDefault(), s)}
	}
	values := render.ClusterValues{
		Name: fmt.Sprintf("%s (key %q of %s)", field, from.KeyOrDefault(), s), Text: text,
		TargetPath: from.TargetPath, Literal: from.Literal, Secret: s.resource == secrets,
	}
	if err := values.Check(); err != nil {
		return "", missingError{reason: reasonValues, message: fmt.Sprintf("%s: %v", values.Name, err)}
	}
	v.chartValues = append(v.chartValues, values)
	return s.versionOf(u), nil
}

// valueOf is what a ConfigMap or Secret has in a key.
func valueOf(u *unstructured.Unstructured, s source, key string) (text string, found bool) {
	if s.resource == secrets {
		data, found := dataOf(u)[key]
		return string(data), found
	}
	text, found, _ = unstructured.NestedString(u.Object, "data", key)
	return text, found
}
