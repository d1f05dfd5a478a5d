package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	heartbeat = 10 * time.Second
	retry     = 100 * time.Millisecond
)

// node registers itself and then says that it lives.
type node struct {
	client                 kubernetes.Interface
	name, address, version string
}

func (n *node) run(ctx context.Context) error {
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		next.Reset(heartbeat)
		if err := n.beat(ctx); err != nil && ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "sim: node %s: %v\n", n.name, err)
			next.Reset(retry)
		}
	}
}

// beat makes the node where it is missing, states its condition and renews its lease.
func (n *node) beat(ctx context.Context) error {
	nodes := n.client.CoreV1().Nodes()
	current, err := nodes.Get(ctx, n.name, metav1.GetOptions{})
	if errors.IsNotFound(err) {
		current, err = nodes.Create(ctx, n.object(), metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	status := n.status(current)
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return fmt.Errorf("encode the status: %w", err)
	}
	if _, err := nodes.Patch(ctx, n.name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		return fmt.Errorf("state the condition: %w", err)
	}
	return n.renew(ctx, current)
}

func (n *node) object() *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: n.name,
		Labels: map[string]string{
			corev1.LabelHostname:   n.name,
			corev1.LabelOSStable:   "linux",
			corev1.LabelArchStable: "amd64",
		},
		Annotations: map[string]string{"e2e.slipway.dev/simulated": "true"},
	}}
}

func (n *node) status(current *corev1.Node) corev1.NodeStatus {
	now := metav1.Now()
	since := now
	for _, c := range current.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			since = c.LastTransitionTime
		}
	}
	resources := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("1000"),
		corev1.ResourceMemory:           resource.MustParse("4Ti"),
		corev1.ResourceEphemeralStorage: resource.MustParse("10Ti"),
		corev1.ResourcePods:             resource.MustParse("10000"),
	}
	return corev1.NodeStatus{
		Capacity:    resources,
		Allocatable: resources,
		Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
			Message:           "the simulated kubelet is posting ready status",
			LastHeartbeatTime: now, LastTransitionTime: since,
		}},
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: n.address},
			{Type: corev1.NodeHostName, Address: n.name},
		},
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: n.version, OperatingSystem: "linux", Architecture: "amd64",
			OSImage: "simulated", KernelVersion: "simulated", ContainerRuntimeVersion: "simulated://1",
		},
	}
}

func (n *node) renew(ctx context.Context, owner *corev1.Node) error {
	leases := n.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	now, seconds := metav1.NowMicro(), int32(40)
	lease, err := leases.Get(ctx, n.name, metav1.GetOptions{})
	if errors.IsNotFound(err) {
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: n.name, OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Node", Name: owner.Name, UID: owner.UID,
			}}},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: &n.name, LeaseDurationSeconds: &seconds, RenewTime: &now},
		}, metav1.CreateOptions{})
	} else if err == nil {
		lease.Spec.RenewTime = &now
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("renew the lease: %w", err)
	}
	return nil
}
