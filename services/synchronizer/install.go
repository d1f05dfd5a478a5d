package synchronizer

import (
	"context"
	"fmt"
	"log/slog"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/shared/api/crd"
	"github.com/slipway-cd/slipway/shared/kube"
)

// installDefinitions brings our CRD to the version that we speak. Where we
// may not, the one that is there must do.
func installDefinitions(ctx context.Context, clients *kube.Clients, log *slog.Logger) error {
	var definition unstructured.Unstructured
	if err := yaml.Unmarshal(crd.Applications, &definition.Object); err != nil {
		return fmt.Errorf("read our own CRD: %w", err)
	}
	err := apply.Definition(ctx, clients, &definition)
	if !apierrors.IsForbidden(err) {
		if err != nil {
			return fmt.Errorf("install %s: %w", definition.GetName(), err)
		}
		return nil
	}
	_, getErr := clients.Dynamic.Resource(apply.DefinitionResource).Get(ctx, definition.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(getErr) {
		return fmt.Errorf("%s is not installed, and we may not install it: kubectl apply -f deploy/crds: %w", definition.GetName(), err)
	}
	log.Info("the CRD is left as it is: we may not change it", "crd", definition.GetName())
	return nil
}
