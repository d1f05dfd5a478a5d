// Package plane runs Kubernetes' control plane in this process: etcd, the API
// server, the controller manager and the scheduler, unchanged.
package plane

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/version"
)

// Options say where a control plane keeps its state and where it serves.
type Options struct {
	Dir        string // state, certificates and kubeconfig
	Bind       string // the address that the API server listens on
	APIPort    int    // 0: the one of the last time, else a free one
	ServerName string // the host that the kubeconfig names
}

// Plane is a running control plane.
type Plane struct {
	Kubeconfig string       // path of the administrator's kubeconfig
	Server     string       // the API server's address
	Config     *rest.Config // for the simulated nodes

	etcd        *embed.Etcd
	failed      chan error
	stopAPI     context.CancelFunc
	api         sync.WaitGroup
	stopWorkers context.CancelFunc
	workers     sync.WaitGroup
}

// Version is the release of Kubernetes that was built in.
func Version() string { return version.Get().GitVersion }

// Start brings the control plane up; it returns when the API server answers. The
// context bounds the start only: Stop ends the plane.
func Start(ctx context.Context, opts Options) (_ *Plane, err error) {
	keys := pki{dir: filepath.Join(opts.Dir, "pki")}
	if err := keys.make(); err != nil {
		return nil, err
	}
	listener, port, err := listenAPI(opts)
	if err != nil {
		return nil, err
	}
	p := &Plane{failed: make(chan error, 3), stopAPI: func() {}, stopWorkers: func() {}}
	defer func() {
		if err != nil {
			_ = listener.Close()
			p.Stop()
		}
	}()
	p.Server = fmt.Sprintf("https://%s:%d", opts.ServerName, port)
	local := fmt.Sprintf("https://127.0.0.1:%d", port)
	if err := p.writeKubeconfigs(opts.Dir, keys, local); err != nil {
		return nil, err
	}
	var etcdURL string
	if p.etcd, etcdURL, err = startEtcd(ctx, opts.Dir); err != nil {
		return nil, err
	}
	// One process, one set of feature gates: read before any component is built.
	api, kcm, scheduler, err := p.components(ctx, opts.Dir, keys, etcdURL, listener)
	if err != nil {
		return nil, err
	}
	if err := compatibility.DefaultComponentGlobalsRegistry.Set(); err != nil {
		return nil, fmt.Errorf("set the feature gates: %w", err)
	}
	var running, workers context.Context
	running, p.stopAPI = context.WithCancel(context.WithoutCancel(ctx))
	workers, p.stopWorkers = context.WithCancel(context.WithoutCancel(ctx))
	p.run(&p.api, running, "kube-apiserver", api)
	if err := p.waitAPI(ctx); err != nil {
		return nil, err
	}
	p.run(&p.workers, workers, "kube-controller-manager", kcm)
	p.run(&p.workers, workers, "kube-scheduler", scheduler)
	return p, nil
}

// run starts a component and reports its end, unless it was asked for.
func (p *Plane) run(group *sync.WaitGroup, ctx context.Context, name string, component func(context.Context) error) {
	group.Go(func() {
		if err := component(ctx); ctx.Err() == nil {
			p.failed <- fmt.Errorf("%s ended: %w", name, err)
		}
	})
}

// Failed tells when a component ended by itself.
func (p *Plane) Failed() <-chan error { return p.failed }

// Stop ends the components in the reverse order of their start.
func (p *Plane) Stop() {
	p.stopWorkers()
	waitFor(&p.workers, 3*time.Second)
	p.stopAPI()
	waitFor(&p.api, 5*time.Second)
	if p.etcd != nil {
		p.etcd.Close()
	}
}

func waitFor(group *sync.WaitGroup, longest time.Duration) {
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(longest):
	}
}

// waitAPI waits for the API server to call itself ready.
func (p *Plane) waitAPI(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(p.Config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	return p.wait(ctx, "the API server", func() error {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

// WaitReady waits until pods can be created in the default namespace and the given
// number of nodes takes them.
func (p *Plane) WaitReady(ctx context.Context, nodes int) error {
	client, err := kubernetes.NewForConfig(p.Config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	return p.wait(ctx, "the cluster", func() error {
		if _, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return err
		}
		list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		ready := 0
		for _, node := range list.Items {
			if usable(&node) {
				ready++
			}
		}
		if ready < nodes {
			return fmt.Errorf("%d of %d nodes are ready", ready, nodes)
		}
		return nil
	})
}

func usable(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue && len(node.Spec.Taints) == 0
		}
	}
	return false
}

func (p *Plane) wait(ctx context.Context, what string, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case failure := <-p.failed:
			return failure
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, err)
		case <-tick.C:
		}
	}
}
