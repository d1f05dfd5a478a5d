package local

import "path/filepath"

// AddSynchronizer adds a synchronizer of a cluster as a process that is not
// started yet: another replica where the world has one of that cluster, on the
// same bus, with its own data and without proxies.
func (w *World) AddSynchronizer(name, cluster, kubeconfig string) (*Process, error) {
	s := w.settings
	s.Cluster, s.Kubeconfig = cluster, kubeconfig
	s.Data = filepath.Join(w.opts.Dir, "data-"+name)
	for _, p := range []*string{&s.Hooks, &s.Metrics} {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		*p = addr
	}
	file, err := w.writeConfig(name, s)
	if err != nil {
		return nil, err
	}
	p := newProcess(name, w.opts.Dir, filepath.Join(w.opts.Bin, "synchronizer"), file)
	p.MetricsURL = "http://" + s.Metrics
	w.Processes = append(w.Processes, p)
	return p, nil
}
