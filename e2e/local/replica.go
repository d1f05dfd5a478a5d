package local

import (
	"path/filepath"

	"github.com/slipway-cd/slipway/shared/freeport"
)

// AddSynchronizer adds a synchronizer of a cluster as a process that is not
// started yet: another replica where the world has one of that cluster, on the
// same bus, with its own data and without proxies.
func (w *World) AddSynchronizer(name, cluster, kubeconfig string) (*Process, error) {
	s := w.settings
	s.Cluster, s.Kubeconfig = cluster, kubeconfig
	return w.addProcess(name, "synchronizer", s)
}

// AddAutomator adds another replica of the automator as a process that is not started
// yet, on the same bus, with its own data, and behind the registry's proxy.
func (w *World) AddAutomator(name string) (*Process, error) {
	s := w.settings
	s.RegistryEndpoint = w.RegistryProxy.Addr
	return w.addProcess(name, "automator", s)
}

func (w *World) addProcess(name, service string, s settings) (*Process, error) {
	s.Data = filepath.Join(w.opts.Dir, "data-"+name)
	for _, p := range []*string{&s.Hooks, &s.Metrics, &s.API} {
		addr, err := freeport.Address()
		if err != nil {
			return nil, err
		}
		*p = addr
	}
	file, err := w.writeConfig(name, s)
	if err != nil {
		return nil, err
	}
	p := newProcess(name, w.opts.Dir, filepath.Join(w.opts.Bin, service), file)
	p.MetricsURL = "http://" + s.Metrics
	w.Processes = append(w.Processes, p)
	return p, nil
}
