package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-cd/slipway/shared/freeport"
)

// Services are the processes of a separate world, in the order of their
// start. Any other order works too.
var Services = []string{"bus", "registry-receiver", "git-receiver", "automator", "synchronizer"}

// separate is what a world has more when each service is a process.
type separate struct {
	// Door stands before the receivers.
	Door *Door
	// BusProxy, by the service's name, stands between it and the bus;
	// RegistryProxy between the automator and the registry; APIProxy between
	// the synchronizer and the API server.
	BusProxy                map[string]*Proxy
	RegistryProxy, APIProxy *Proxy
	// MonitorURLs are where the bus's nodes tell of themselves.
	MonitorURLs []string
}

// Bus is a NATS of three servers, which know services by their certificates.
type Bus struct {
	// Processes gives its servers, of which the first listens at addr and tells
	// of itself at monitor.
	Processes func(addr, monitor string) ([]*Process, error)
	// Certs is a folder with ca.crt, and NAME.crt and NAME.key for each service
	// and the command, slipway.
	Certs string
}

// shows gives the settings of who shows that service's certificate.
func (b *Bus) shows(name string, s settings) settings {
	if b != nil {
		s.BusCA = filepath.Join(b.Certs, "ca.crt")
		s.BusCert, s.BusKey = filepath.Join(b.Certs, name+".crt"), filepath.Join(b.Certs, name+".key")
	}
	return s
}

// busProcesses makes the processes of the bus.
func (w *World) busProcesses(s settings, monitor string) ([]*Process, error) {
	if w.opts.Bus != nil {
		return w.opts.Bus.Processes(s.Bus, monitor)
	}
	return []*Process{newProcess("bus", w.opts.Dir, filepath.Join(w.opts.Bin, "bus"),
		"-dir", filepath.Join(w.opts.Dir, "jetstream"), "-addr", s.Bus, "-token", s.BusToken, "-monitor", monitor)}, nil
}

// startSeparate runs each service and NATS as a process of its own. Each
// talks to the bus, the registry and the API server through proxies.
func (w *World) startSeparate(s settings, hooks int) error {
	if err := w.openProxies(s); err != nil {
		return err
	}
	monitor, err := freeport.Address()
	if err != nil {
		return err
	}
	w.MonitorURLs = []string{"http://" + monitor}
	if w.Processes, err = w.busProcesses(s, monitor); err != nil {
		return err
	}
	hooksOf := map[string]string{}
	for _, name := range Services[1:] {
		own, err := w.ownSettings(name, s)
		if err != nil {
			return err
		}
		hooksOf[name] = own.Hooks
		file, err := w.writeConfig(name, w.opts.Bus.shows(name, own))
		if err != nil {
			return err
		}
		p := newProcess(name, w.opts.Dir, filepath.Join(w.opts.Bin, name), file)
		p.MetricsURL = "http://" + own.Metrics
		w.Processes = append(w.Processes, p)
	}
	if w.Config, err = w.writeConfig("slipway", w.opts.Bus.shows("slipway", s)); err != nil {
		return err
	}
	if w.Door, err = openDoor(hooks, []string{hooksOf["registry-receiver"]}, []string{hooksOf["git-receiver"]}); err != nil {
		return err
	}
	if w.opts.Idle {
		return nil
	}
	for _, p := range w.Processes {
		if err := p.Start(); err != nil {
			return err
		}
	}
	return nil
}

func (w *World) openProxies(s settings) (err error) {
	w.BusProxy = map[string]*Proxy{}
	for _, name := range Services[1:] {
		if w.BusProxy[name], err = newProxy(s.Bus); err != nil {
			return err
		}
	}
	if w.RegistryProxy, err = newProxy(w.Registry.Addr); err != nil {
		return err
	}
	if w.Cluster != nil {
		w.APIProxy, err = newProxy(strings.TrimPrefix(w.Cluster.Server, "https://"))
	}
	return err
}

// ownSettings are a service's: own folders and addresses, and the proxies.
func (w *World) ownSettings(name string, s settings) (settings, error) {
	s.Data = filepath.Join(w.opts.Dir, "data-"+name)
	s.Bus, s.RegistryEndpoint = w.BusProxy[name].Addr, w.RegistryProxy.Addr
	for _, p := range []*string{&s.Hooks, &s.Metrics} {
		addr, err := freeport.Address()
		if err != nil {
			return s, err
		}
		*p = addr
	}
	if name != "synchronizer" || w.Cluster == nil {
		return s, nil
	}
	data, err := os.ReadFile(w.Kubeconfig)
	if err != nil {
		return s, fmt.Errorf("read the kubeconfig: %w", err)
	}
	s.Kubeconfig = filepath.Join(w.opts.Dir, "kubeconfig-"+name)
	through := strings.ReplaceAll(string(data), w.Cluster.Server, "https://"+w.APIProxy.Addr)
	if err := os.WriteFile(s.Kubeconfig, []byte(through), 0o600); err != nil {
		return s, fmt.Errorf("write the kubeconfig: %w", err)
	}
	return s, nil
}

// Process gives a process by its name, or nil.
func (w *World) Process(name string) *Process {
	for _, p := range w.Processes {
		if p.Name == name {
			return p
		}
	}
	return nil
}
