package synchronizer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/shared/api/crd"
	"github.com/slipway-cd/slipway/shared/kube"
)

// firstPause and longestPause lie between tries to reach the API server.
const (
	firstPause   = 200 * time.Millisecond
	longestPause = 10 * time.Second
)

// install installs the definitions as soon as the API server answers: it may
// start after us, or be away, and the other services of the process go on.
// What it says itself is final, except that it can't answer now.
func install(ctx context.Context, clients *kube.Clients, log *slog.Logger) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := installDefinitions(ctx, clients, log)
		if err == nil || answered(err) {
			return err
		}
		log.WarnContext(ctx, "the API server can't be reached, trying again", "after", pause.String(), "error", err.Error())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// answered says that an error is the API server's own answer.
func answered(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	code := status.Status().Code
	return code >= http.StatusBadRequest && code < http.StatusInternalServerError && code != http.StatusTooManyRequests
}

// installDefinitions brings our CRDs to the version that we speak. Where we
// may not, those that are there must do.
func installDefinitions(ctx context.Context, clients *kube.Clients, log *slog.Logger) error {
	for _, text := range crd.All() {
		if err := installDefinition(ctx, clients, log, text); err != nil {
			return err
		}
	}
	return nil
}

func installDefinition(ctx context.Context, clients *kube.Clients, log *slog.Logger, text []byte) error {
	var definition unstructured.Unstructured
	if err := yaml.Unmarshal(text, &definition.Object); err != nil {
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
		return fmt.Errorf("%s is not installed, and we may not install it: kubectl apply -k deploy/kubernetes/crds: %w", definition.GetName(), err)
	}
	log.Info("the CRD is left as it is: we may not change it", "crd", definition.GetName())
	return nil
}
