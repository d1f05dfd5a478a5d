package kube

import (
	"errors"
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Options say which cluster, and how hard to call it.
type Options struct {
	// Kubeconfig is a file; empty means: in the cluster if we run in one,
	// else $KUBECONFIG, else ~/.kube/config.
	Kubeconfig string
	// QPS and Burst bound the calls of all clients together; 0 means
	// [DefaultQPS] and [DefaultBurst]. client-go's own are far below what one
	// application of 300 objects needs.
	QPS   float32
	Burst int
	// UserAgent names the caller in the API server's logs.
	UserAgent string
}

// The limits where none are given.
const (
	DefaultQPS   = 500
	DefaultBurst = 1000
)

// Load finds the cluster.
func Load(o Options) (*rest.Config, error) {
	config, err := find(o.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = o.QPS, o.Burst
	if config.QPS == 0 {
		config.QPS = DefaultQPS
	}
	if config.Burst == 0 {
		config.Burst = DefaultBurst
	}
	if o.UserAgent != "" {
		config.UserAgent = o.UserAgent
	}
	// Warnings of the API server are for people at a terminal.
	config.WarningHandler = rest.NoWarnings{}
	return config, nil
}

func find(file string) (*rest.Config, error) {
	if file == "" {
		config, err := rest.InClusterConfig()
		if err == nil {
			return config, nil
		}
		if !errors.Is(err, rest.ErrNotInCluster) {
			return nil, fmt.Errorf("read the cluster's configuration of this pod: %w", err)
		}
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = file
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", file, err)
	}
	return config, nil
}
