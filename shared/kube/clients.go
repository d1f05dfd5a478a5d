package kube

import (
	"fmt"
	"net/http"
	"sync"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
)

// Clients are what we have for one cluster. All of them, those that act for
// others included, share connections and one rate limit.
type Clients struct {
	Dynamic  dynamic.Interface
	Metadata metadata.Interface
	Mapper   *Mapper

	config *rest.Config
	mu     sync.Mutex
	acting map[account]*Acting
}

type account struct{ namespace, name string }

// Acting is what somebody does in a cluster, by their rights: with whole objects, and
// where their metadata is all that one wants to know, which costs both sides less.
type Acting struct {
	dynamic.Interface
	Metadata metadata.Interface
}

// New makes the clients. It calls nobody.
func New(config *rest.Config) (*Clients, error) {
	config = rest.CopyConfig(config)
	if config.RateLimiter == nil && config.QPS > 0 {
		config.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(config.QPS, config.Burst)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make a client for the cluster: %w", err)
	}
	c := &Clients{config: config, acting: map[account]*Acting{}}
	if err := c.fill(config, client); err != nil {
		return nil, fmt.Errorf("make a client for the cluster: %w", err)
	}
	return c, nil
}

func (c *Clients) fill(config *rest.Config, client *http.Client) (err error) {
	if c.Dynamic, err = dynamic.NewForConfigAndClient(config, client); err != nil {
		return err
	}
	if c.Metadata, err = metadata.NewForConfigAndClient(config, client); err != nil {
		return err
	}
	c.Mapper, err = newMapper(config, client)
	return err
}

// Own acts with our own rights.
func (c *Clients) Own() *Acting { return &Acting{c.Dynamic, c.Metadata} }

// As acts as a service account, with its rights and no others.
func (c *Clients) As(namespace, serviceAccount string) (*Acting, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	who := account{namespace, serviceAccount}
	if client, ok := c.acting[who]; ok {
		return client, nil
	}
	config := rest.CopyConfig(c.config)
	// The API server adds the groups of every service account itself. To name
	// them here would need the right to impersonate groups, system:masters too.
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + namespace + ":" + serviceAccount}
	whole, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("act as %s: %w", config.Impersonate.UserName, err)
	}
	partial, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("act as %s: %w", config.Impersonate.UserName, err)
	}
	c.acting[who] = &Acting{whole, partial}
	return c.acting[who], nil
}
