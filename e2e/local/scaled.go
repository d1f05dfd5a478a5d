package local

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/shared/freeport"
)

// Scale says how many there are of what a separate world has one of.
type Scale struct {
	// Replicas is of each service, and Nodes of NATS: 1 or 3, which is also
	// how many of them keep each message.
	Replicas, Nodes int
	// Latency is how much longer a request to the Git host, the registry or
	// the API server takes than on this machine alone.
	Latency time.Duration
	// Concurrency is how many applications a synchronizer has in work at a time;
	// 0 is the config's default.
	Concurrency int
	// Network has a machine for each node and replica of a number: the first of
	// all are on the first, and so on. Nil has all on this machine's loopback.
	Network *Network
}

// hub is the address at which the world's parts are.
func (w *World) hub() string {
	if s := w.opts.Scale; s != nil && s.Network != nil {
		return s.Network.Address(Hub)
	}
	return "127.0.0.1"
}

// host is the address of machine i, and the network namespace that it is.
func (w *World) host(i int) (addr, space string) {
	if n := w.opts.Scale.Network; n != nil {
		return n.Address(i), n.space(i)
	}
	return "127.0.0.1", ""
}

// aroundGit is what wraps the Git host: the test's, and the latency.
func (w *World) aroundGit() func(http.Handler) http.Handler {
	around := w.opts.AroundGit
	if w.opts.Scale == nil || w.opts.Scale.Latency == 0 {
		return around
	}
	return func(h http.Handler) http.Handler {
		if around != nil {
			h = around(h)
		}
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(w.opts.Scale.Latency):
				h.ServeHTTP(rw, r)
			case <-r.Context().Done():
			}
		})
	}
}

// ReplicaName is the process of replica i of a service, or of node i of the
// bus; the first has the service's own name.
func ReplicaName(service string, i int) string {
	if i == 0 {
		return service
	}
	return fmt.Sprintf("%s-%d", service, i+1)
}

// startScaled runs the nodes of NATS and the replicas of the services.
func (w *World) startScaled(s settings, hooks int) (err error) {
	o := w.opts.Scale
	if w.RegistryProxy, err = newSlowProxy(w.hub(), w.Registry.Addr, o.Latency); err != nil {
		return err
	}
	if w.APIProxy, err = newSlowProxy(w.hub(), strings.TrimPrefix(w.Cluster.Server, "https://"), o.Latency); err != nil {
		return err
	}
	if s.Bus, err = w.addNodes(s.BusToken); err != nil {
		return err
	}
	s.Concurrency = o.Concurrency
	s.BusReplicas, w.settings.Bus, w.settings.BusReplicas = o.Nodes, s.Bus, o.Nodes
	receivers := map[string][]string{}
	for _, name := range Services[1:] {
		for i := range o.Replicas {
			own, err := w.addReplica(name, i, s)
			if err != nil {
				return err
			}
			receivers[name] = append(receivers[name], own.Hooks)
			if name == "automator" && i == 0 {
				s.API, w.APIURL = own.API, "http://"+own.API
			}
		}
	}
	if w.Config, err = w.writeConfig("slipway", s); err != nil {
		return err
	}
	if w.Door, err = openDoor(hooks, receivers["registry-receiver"], receivers["git-receiver"]); err != nil {
		return err
	}
	if w.opts.Idle {
		return nil
	}
	return w.startAll()
}

// startAll starts what doesn't run.
func (w *World) startAll() error {
	for _, p := range w.Processes {
		if p.Running() {
			continue
		}
		if err := p.Start(); err != nil {
			return err
		}
	}
	return nil
}

// addNodes gives the addresses of the nodes, as the config has them.
func (w *World) addNodes(token string) (urls string, err error) {
	nodes := w.opts.Scale.Nodes
	addrs, clusters, routes := make([]string, nodes), make([]string, nodes), make([]string, nodes)
	for i := range nodes {
		host, _ := w.host(i)
		if addrs[i], err = freeAddrOn(host); err != nil {
			return "", err
		}
		if clusters[i], err = freeAddrOn(host); err != nil {
			return "", err
		}
		routes[i] = "nats://" + clusters[i]
	}
	for i := range nodes {
		host, space := w.host(i)
		monitor, err := freeAddrOn(host)
		if err != nil {
			return "", err
		}
		w.MonitorURLs = append(w.MonitorURLs, "http://"+monitor)
		name := ReplicaName("bus", i)
		args := []string{"-dir", filepath.Join(w.opts.Dir, "jetstream-"+name), "-addr", addrs[i], "-token", token, "-monitor", monitor}
		if nodes > 1 {
			args = append(args, "-name", name, "-cluster", clusters[i], "-routes", strings.Join(routes, ","))
		}
		p := newProcess(name, w.opts.Dir, filepath.Join(w.opts.Bin, "bus"), args...)
		p.on = space
		w.Processes = append(w.Processes, p)
	}
	return strings.Join(addrs, ",nats://"), nil
}

// freeAddrOn is an address of a host, whose ports are taken by nobody but us.
func freeAddrOn(host string) (string, error) {
	port, err := freeport.Take()
	return net.JoinHostPort(host, strconv.Itoa(port)), err
}

func (w *World) addReplica(service string, i int, s settings) (settings, error) {
	host, space := w.host(i)
	name := ReplicaName(service, i)
	s.Data, s.RegistryEndpoint = filepath.Join(w.opts.Dir, "data-"+name), w.RegistryProxy.Addr
	for _, p := range []*string{&s.Hooks, &s.Metrics, &s.API} {
		addr, err := freeAddrOn(host)
		if err != nil {
			return s, err
		}
		*p = addr
	}
	if service == "synchronizer" {
		var err error
		if s.Kubeconfig, err = w.throughProxy(name); err != nil {
			return s, err
		}
	}
	file, err := w.writeConfig(name, s)
	if err != nil {
		return s, err
	}
	p := newProcess(name, w.opts.Dir, filepath.Join(w.opts.Bin, service), file)
	p.MetricsURL, p.on = "http://"+s.Metrics, space
	w.Processes = append(w.Processes, p)
	return s, nil
}

var serverLine = regexp.MustCompile(`(?m)^(\s*)server: \S+$`)

// throughProxy is a kubeconfig whose API server is behind the proxy; its
// certificate is for localhost.
func (w *World) throughProxy(name string) (file string, err error) {
	data, err := os.ReadFile(w.Kubeconfig)
	if err != nil {
		return "", fmt.Errorf("read the kubeconfig: %w", err)
	}
	file = filepath.Join(w.opts.Dir, "kubeconfig-"+name)
	through := serverLine.ReplaceAll(data, []byte("${1}server: https://"+w.APIProxy.Addr+"\n${1}tls-server-name: localhost"))
	if err := os.WriteFile(file, through, 0o600); err != nil {
		return "", fmt.Errorf("write the kubeconfig: %w", err)
	}
	return file, nil
}
