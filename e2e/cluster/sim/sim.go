// Package sim stands in for kubelets and container runtimes: its nodes are ready and
// its pods go through the states that real ones go through, but nothing runs in them.
//
// A pod becomes ready when the registry answers for every one of its images. The
// annotation [Annotation] makes it behave otherwise.
package sim

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Options say which nodes to simulate, where.
type Options struct {
	Config  *rest.Config
	Nodes   int
	Version string // the kubelets' release
	Images  *Registries
}

// Run simulates nodes and their pods until ctx ends.
func Run(ctx context.Context, opts Options) error {
	client, err := kubernetes.NewForConfig(opts.Config)
	if err != nil {
		return fmt.Errorf("make the kubelets' client: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	addresses := map[string]string{}
	for i := 1; i <= opts.Nodes; i++ {
		n := &node{
			client:  client,
			name:    fmt.Sprintf("node-%d", i),
			address: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1),
			version: opts.Version,
		}
		addresses[n.name] = n.address
		group.Go(func() error { return n.run(ctx) })
	}
	group.Go(func() error { return newPods(client, opts.Images, addresses).run(ctx) })
	return group.Wait()
}
