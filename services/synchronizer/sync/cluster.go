package sync

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/slipway-cd/slipway/services/synchronizer/apply"
	"github.com/slipway-cd/slipway/services/synchronizer/health"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
)

const (
	reasonKubeconfig = "KubeconfigMissing"
	reasonCluster    = "ClusterUnavailable"
)

// cluster is where objects go: the synchronizer's own, or another one, by the
// rights that a Secret of the Application's namespace has there.
type cluster struct {
	// name is what a Project's destinations know it by: our own's is the
	// config's, another's is the host of its API server, which no tenant makes up.
	name    string
	clients *kube.Clients
	watches *kube.Watches
	watcher *health.Watcher
	applier *apply.Applier

	uid atomic.Pointer[string] // its identity, once it is known

	// Of another one:
	key   string             // Secret and version
	end   context.CancelFunc // of its watches
	users map[string]bool    // applications
}

// newCluster watches nothing yet. Its watches end with the context.
func (b *Brain) newCluster(ctx context.Context, name string, clients *kube.Clients) *cluster {
	c := &cluster{name: name, clients: clients, users: map[string]bool{}}
	c.watches = kube.NewWatches(ctx, clients, kube.WatchOptions{
		Reduce: health.Reduce, MetadataOnly: health.MetadataOnly, Dropped: b.dropped,
		Changed: func(scope kube.Scope, before, kept any, _ bool) { b.changed(c, scope, before, kept) },
	})
	c.watcher = health.NewWatcher(c.watches)
	c.applier = apply.New(clients, c.watcher)
	return c
}

// destination is the cluster to which an application's objects go. The
// application's mutex is held where it is of [applications].
func (b *Brain) destination(ctx context.Context, a *app, application *api.Application) (*cluster, error) {
	name := application.Spec.Destination.KubeconfigSecret
	if name == "" {
		b.apps.setSources(a.key, usedAsKubeconfig, nil)
		b.use(a, b.own)
		return b.own, nil
	}
	if !api.ObjectName(name) {
		return nil, &refusedError{reasonRepository, fmt.Errorf("spec.destination.kubeconfigSecret: %q is not the name of a Secret of the Application's own namespace", name)}
	}
	found, err := b.secretsOf(ctx, a, application, usedAsKubeconfig, []string{name})
	if err != nil {
		return nil, err
	}
	c, err := b.remote(a.name.Namespace+"/"+name+"@"+found[0].version, found[0].data) //nolint:contextcheck // its watches outlive the work that wants them
	if err != nil {
		return nil, missingError{reason: reasonKubeconfig, message: fmt.Sprintf("spec.destination.kubeconfigSecret: Secret %s/%s: %v", a.name.Namespace, name, err)}
	}
	b.use(a, c)
	return c, nil
}

// kubeconfigKeys are those of a Secret with a kubeconfig, as Flux and Cluster API
// have them.
var kubeconfigKeys = []string{"value", "value.yaml", "kubeconfig"}

// remote finds or makes another cluster.
func (b *Brain) remote(key string, data map[string][]byte) (*cluster, error) {
	b.clustersMu.Lock()
	defer b.clustersMu.Unlock()
	if c, ok := b.clusters[key]; ok {
		return c, nil
	}
	name, clients, err := dial(data)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(b.watchContext)
	c := b.newCluster(ctx, name, clients)
	c.key, c.end = key, end
	b.clusters[key] = c
	return c, nil
}

// dial makes the clients of a Secret's kubeconfig, and names its cluster. It
// calls nobody.
func dial(data map[string][]byte) (name string, clients *kube.Clients, err error) {
	at := slices.IndexFunc(kubeconfigKeys, func(k string) bool { return len(data[k]) > 0 })
	if at < 0 {
		return "", nil, fmt.Errorf("it has no kubeconfig: put it under the key %s", kubeconfigKeys[0])
	}
	config, err := kube.Parse(data[kubeconfigKeys[at]])
	if err != nil {
		return "", nil, err
	}
	server, err := url.Parse(config.Host)
	if err != nil {
		return "", nil, fmt.Errorf("its server: %w", err)
	}
	clients, err = kube.New(config)
	return strings.ToLower(server.Host), clients, err
}

// use notes which cluster an application uses. One that nobody uses any more,
// such as by a kubeconfig that was changed, is let go.
func (b *Brain) use(a *app, c *cluster) {
	b.clustersMu.Lock()
	defer b.clustersMu.Unlock()
	old := b.taken[a.key]
	if old == c {
		return
	}
	if old != nil {
		b.letGo(a.key, old)
	}
	if c == nil {
		delete(b.taken, a.key)
		return
	}
	b.taken[a.key] = c
	c.users[a.key] = true
}

// clusterOf is the one that an application has taken; our own where it has none.
func (b *Brain) clusterOf(a *app) *cluster {
	b.clustersMu.Lock()
	defer b.clustersMu.Unlock()
	if c := b.taken[a.key]; c != nil {
		return c
	}
	return b.own
}

// moved has a wait or a guard of an application begin anew when its cluster is
// reached in another way than before. The application's mutex is held.
func (b *Brain) moved(a *app) {
	c := b.clusterOf(a)
	if a.guard != nil && a.guard.cluster != c {
		b.leave(a)
		b.health.Add(a.key)
	}
	if a.wait != nil && a.wait.run.cluster != c {
		b.stopWaiting(a)
	}
}

// letGo ends the use of a cluster. The mutex of clusters is held.
func (b *Brain) letGo(key string, c *cluster) {
	if delete(c.users, key); len(c.users) == 0 && c.end != nil {
		c.end()
		delete(b.clusters, c.key)
	}
}

// rights act in the cluster of an application's objects with its rights: in our
// own those of its account; in another those of its kubeconfig and, if it names
// an account, of that one there.
func (b *Brain) rights(c *cluster, namespace string, spec api.ApplicationSpec) (*kube.Acting, error) {
	if c == b.own {
		return b.clientFor(namespace, spec)
	}
	if spec.Destination.ServiceAccount == "" {
		return c.clients.Own(), nil
	}
	return c.clients.As(namespace, spec.Destination.ServiceAccount)
}

// Destination names what the work of an application depends on: empty for our
// own cluster, which everything does.
func (b *Brain) Destination(key string) string {
	u := b.apps.cached(key)
	if u == nil {
		return ""
	}
	application, err := decode(u)
	if err != nil || application.Spec.Destination.KubeconfigSecret == "" {
		return ""
	}
	return u.GetNamespace() + "/" + application.Spec.Destination.KubeconfigSecret
}

func (b *Brain) countWatches() (n int) {
	for _, c := range b.allClusters() {
		n += c.watches.Count()
	}
	return n
}

// allClusters are those in use.
func (b *Brain) allClusters() []*cluster {
	b.clustersMu.Lock()
	defer b.clustersMu.Unlock()
	return append([]*cluster{b.own}, slices.Collect(maps.Values(b.clusters))...)
}
