package slipway

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-cd/slipway/shared/api"
)

// newSuspend is `slipway suspend`.
func newSuspend() *cobra.Command {
	var kubeconfig, reason string
	c := &cobra.Command{
		Use:   "suspend NAMESPACE/NAME --reason TEXT",
		Short: "Leave an Application of the cluster as it is, until it is resumed",
		Long: `Leave an Application of the cluster as it is: nothing is applied, pruned or put
right until ` + "`slipway resume`" + `. It is an annotation, ` + api.SuspendAnnotation + `; written in
Git it also keeps the automator from moving the application's images.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return fmt.Errorf("%w: say why with --reason: others will ask", errUsage)
			}
			return annotate(cmd, kubeconfig, args[0], api.SuspendAnnotation, &reason, "suspended")
		},
	}
	kubeconfigFlag(c, &kubeconfig)
	c.Flags().StringVar(&reason, "reason", "", "why, for those who find it so")
	return c
}

// newResume is `slipway resume`.
func newResume() *cobra.Command {
	var kubeconfig string
	c := &cobra.Command{
		Use:   "resume NAMESPACE/NAME",
		Short: "End a suspension; what Git has by now is applied",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return annotate(cmd, kubeconfig, args[0], api.SuspendAnnotation, nil, "resumed")
		},
	}
	kubeconfigFlag(c, &kubeconfig)
	return c
}

// newSync is `slipway sync`.
func newSync() *cobra.Command {
	var kubeconfig string
	c := &cobra.Command{
		Use:   "sync NAMESPACE/NAME",
		Short: "Fetch an Application's branch now, and put right what differs",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			now := time.Now().UTC().Format(time.RFC3339Nano)
			return annotate(cmd, kubeconfig, args[0], api.SyncAnnotation, &now, "asked for a sync of")
		},
	}
	kubeconfigFlag(c, &kubeconfig)
	return c
}

func kubeconfigFlag(c *cobra.Command, into *string) {
	c.Flags().StringVar(into, "kubeconfig", "", "the cluster; default $KUBECONFIG, then ~/.kube/config")
}

// annotate sets an annotation of an Application, or takes it away. It is a field
// of this command's, which no synchronizer takes back.
func annotate(cmd *cobra.Command, kubeconfig, name, key string, value *string, done string) error {
	namespace, name, ok := strings.Cut(name, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return fmt.Errorf("%w: name the Application as NAMESPACE/NAME", errUsage)
	}
	clients, err := clientsFor(kubeconfig)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{key: value}}})
	if err != nil {
		return err
	}
	applications := schema.GroupVersionResource{Group: api.Group, Version: "v1alpha1", Resource: api.ApplicationResource}
	_, err = clients.Dynamic.Resource(applications).Namespace(namespace).
		Patch(cmd.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "slipway-command"})
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("the cluster has no Application %s/%s (see `kubectl get applications.slipway.dev -A`)", namespace, name)
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return fmt.Errorf("%w: change Application %s/%s: %w", errRefused, namespace, name, err)
	case err != nil:
		return fmt.Errorf("change Application %s/%s: %w", namespace, name, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s %s/%s\n", done, namespace, name)
	return nil
}
