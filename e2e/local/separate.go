package local

import (
	"fmt"
	"net"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"

	"net/http"
)

// Services are the processes of a separate world, in the order of their
// start. Any other order works too.
var Services = []string{"bus", "registry-receiver", "git-receiver", "automator", "synchronizer"}

// startSeparate runs each service and NATS as a process, with a proxy before
// the receivers, since senders know one address.
func (w *World) startSeparate(s settings, hooks int) error {
	token := s.BusToken
	bus := newProcess("bus", w.opts.Dir, filepath.Join(w.opts.Bin, "bus"), "-dir", filepath.Join(w.opts.Dir, "jetstream"), "-addr", s.Bus, "-token", token)
	w.Processes = append(w.Processes, bus)
	targets := map[string]string{}
	for _, name := range Services[1:] {
		own := s
		own.Data = filepath.Join(w.opts.Dir, "data-"+name)
		for _, p := range []*string{&own.Hooks, &own.Metrics} {
			port, err := FreePort()
			if err != nil {
				return err
			}
			*p = fmt.Sprintf("127.0.0.1:%d", port)
		}
		targets[name] = "http://" + own.Hooks
		file, err := w.writeConfig(name, own)
		if err != nil {
			return err
		}
		w.Processes = append(w.Processes, newProcess(name, w.opts.Dir, filepath.Join(w.opts.Bin, name), file))
	}
	var err error
	if w.Config, err = w.writeConfig("slipway", s); err != nil {
		return err
	}
	if err := w.proxy(hooks, targets); err != nil {
		return err
	}
	for _, p := range w.Processes {
		if err := p.Start(); err != nil {
			return err
		}
	}
	return nil
}

// proxy hands webhooks to the receiver whose source they name.
func (w *World) proxy(port int, targets map[string]string) error {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return fmt.Errorf("listen for webhooks: %w", err)
	}
	to := func(name string) http.Handler {
		u, err := url.Parse(targets[name])
		if err != nil {
			return http.NotFoundHandler()
		}
		return httputil.NewSingleHostReverseProxy(u)
	}
	registry, git := to("registry-receiver"), to("git-receiver")
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/hooks/registry") {
				registry.ServeHTTP(rw, r)
				return
			}
			git.ServeHTTP(rw, r)
		}))
	}()
	return nil
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
