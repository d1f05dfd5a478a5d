package synchronizer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/services/synchronizer/manifests"
	"github.com/slipway-cd/slipway/shared/api/crd"
	"github.com/slipway-cd/slipway/shared/kube"
)

// ManifestOptions fill [Manifests].
type ManifestOptions = manifests.Options

// Manifests are what runs a synchronizer in its cluster.
func Manifests(o ManifestOptions) (string, error) { return manifests.Synchronizer(o) }

// Definitions are our CRDs.
func Definitions() string { return string(crd.Applications) }

// InstallDefinitions brings our CRDs to the version that we speak, and waits
// until they are served.
func InstallDefinitions(ctx context.Context, clients *kube.Clients, log *slog.Logger) error {
	return installDefinitions(ctx, clients, log)
}

// ApplyManifests applies a YAML stream with the caller's rights, as the root
// Application would. A mark of who owns an object stays.
func ApplyManifests(ctx context.Context, clients *kube.Clients, stream string) ([]string, error) {
	d := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(stream)), 4096)
	var applied []string
	for {
		u := &unstructured.Unstructured{}
		err := d.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return applied, nil
		}
		if err != nil {
			return applied, fmt.Errorf("read manifests: %w", err)
		}
		if len(u.Object) == 0 {
			continue
		}
		name := health.Target{Kind: u.GroupVersionKind(), Namespace: u.GetNamespace(), Name: u.GetName()}.String()
		if err := applyManifest(ctx, clients, u); err != nil {
			return applied, fmt.Errorf("apply %s: %w", name, err)
		}
		applied = append(applied, name)
	}
}

func applyManifest(ctx context.Context, clients *kube.Clients, u *unstructured.Unstructured) error {
	r, err := clients.Mapper.Find(u.GroupVersionKind())
	if err != nil {
		return err
	}
	var at dynamic.ResourceInterface = clients.Dynamic.Resource(r.GroupVersionResource)
	if r.Namespaced {
		at = clients.Dynamic.Resource(r.GroupVersionResource).Namespace(u.GetNamespace())
	}
	live, err := at.Get(ctx, u.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if err == nil {
		if owner := live.GetAnnotations()[health.OwnerAnnotation]; owner != "" {
			annotations := merged(u.GetAnnotations(), health.OwnerAnnotation, owner)
			u.SetAnnotations(annotations)
		}
	}
	_, err = at.Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: health.FieldManager, Force: true})
	return err
}

func merged(into map[string]string, key, value string) map[string]string {
	if into == nil {
		into = map[string]string{}
	}
	into[key] = value
	return into
}

// reachable bounds the first question to a cluster.
const reachable = 15 * time.Second

// Reach asks a cluster whether it is there.
func Reach(ctx context.Context, clients *kube.Clients) error {
	ctx, cancel := context.WithTimeout(ctx, reachable)
	defer cancel()
	_, err := clients.Dynamic.Resource(ApplicationResource).List(ctx, metav1.ListOptions{Limit: 1})
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil
	}
	return fmt.Errorf("reach the cluster: %w", err)
}
