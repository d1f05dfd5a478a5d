package kube

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

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

// dialTimeout is how long another cluster may take to answer at all: whoever
// waits for it holds a place.
const dialTimeout = 5 * time.Second

// Parse reads a kubeconfig that somebody else wrote. Whatever would run a program
// or read a file here is refused: it has to hold all that it needs.
func Parse(data []byte) (*rest.Config, error) {
	loaded, err := clientcmd.Load(data)
	if err != nil {
		return nil, fmt.Errorf("it is not a kubeconfig: %w", err)
	}
	current, ok := loaded.Contexts[loaded.CurrentContext]
	if !ok {
		return nil, fmt.Errorf("it has no context %q, which it names as current-context", loaded.CurrentContext)
	}
	cluster, user := loaded.Clusters[current.Cluster], loaded.AuthInfos[current.AuthInfo]
	if cluster == nil || user == nil {
		return nil, fmt.Errorf("its context %q names cluster %q and user %q, of which it lacks one", loaded.CurrentContext, current.Cluster, current.AuthInfo)
	}
	for _, f := range []struct {
		field, instead string
		there          bool
	}{
		{"exec", "token, or client-certificate-data and client-key-data", user.Exec != nil},
		{"auth-provider", "token, or client-certificate-data and client-key-data", user.AuthProvider != nil},
		{"tokenFile", "token", user.TokenFile != ""},
		{"client-certificate", "client-certificate-data", user.ClientCertificate != ""},
		{"client-key", "client-key-data", user.ClientKey != ""},
		{"certificate-authority", "certificate-authority-data", cluster.CertificateAuthority != ""},
	} {
		if f.there {
			return nil, fmt.Errorf("%s is refused, since it would run a program or read a file of ours: use %s", f.field, f.instead)
		}
	}
	if server, err := url.Parse(cluster.Server); err != nil || server.Scheme != "https" || server.Host == "" {
		return nil, fmt.Errorf("its server %q is not an https:// address", cluster.Server)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*loaded, loaded.CurrentContext, nil, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("it can't be used: %w", err)
	}
	config.QPS, config.Burst = DefaultQPS, DefaultBurst
	config.WarningHandler = rest.NoWarnings{}
	config.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
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
	switch {
	case file == "" && clientcmd.IsEmptyConfig(err):
		return nil, errors.New("nothing says how to reach a cluster: this is no pod, and neither $KUBECONFIG nor ~/.kube/config is there: name a kubeconfig")
	case err != nil:
		return nil, fmt.Errorf("read kubeconfig %s: %w", file, err)
	}
	return config, nil
}
