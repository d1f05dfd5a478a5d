package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// listeners are the process's doors: for webhooks, for metrics and health, and,
// where a part has one, for its API.
type listeners struct {
	log     *slog.Logger
	cfg     Listen
	keys    keys
	hooks   *hookMux
	api     *apiMux
	mu      sync.Mutex
	healthy func() error
	servers []server
}

type server struct {
	name     string
	listener net.Listener
	http     *http.Server
}

func listen(ctx context.Context, cfg Listen, api bool, metrics *prometheus.Registry, log *slog.Logger) (*listeners, error) {
	l := &listeners{log: log, cfg: cfg, hooks: &hookMux{}, api: &apiMux{}, healthy: func() error { return errors.New("starting") }}
	if err := l.keys.load(cfg.TLS); err != nil {
		return nil, fmt.Errorf("%w:\n%w", ErrConfig, err)
	}
	ops := http.NewServeMux()
	ops.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	ops.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	ops.HandleFunc("GET /readyz", l.readyz)
	for _, d := range []struct {
		name, addr string
		handler    http.Handler
		tls        *tls.Config
		wanted     bool
	}{{"hooks", cfg.Hooks, l.hooks, l.keys.server(), true}, {"api", cfg.API, l.api, l.keys.server(), api}, {"metrics", cfg.Metrics, ops, nil, true}} {
		if !d.wanted {
			continue
		}
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.addr)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("%w:\n%w", ErrConfig, ListenFault("listen."+d.name, d.addr, err))
		}
		s := server{d.name, ln, NewServer(d.handler, log)}
		s.http.TLSConfig = d.tls
		l.servers = append(l.servers, s)
	}
	return l, nil
}

// ListenFault says why an address of the config can't be listened on, and what
// to do.
func ListenFault(field, addr string, err error) error {
	_, port, split := net.SplitHostPort(addr)
	switch {
	case split != nil:
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: port %s is in use by another process (`ss -ltnp 'sport = :%s'` names it): stop that, or give another address: %w", field, port, port, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: port %s is only for privileged processes (CAP_NET_BIND_SERVICE): give one from 1024 on: %w", field, port, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: this machine has no such address: leave the host out to listen on all: %w", field, err)
	}
	return fmt.Errorf("%s: %w", field, err)
}

// NewServer is an HTTP server with the limits that hostile and slow callers
// meet; what they do wrong is logged for debugging alone.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

func (l *listeners) readyz(w http.ResponseWriter, _ *http.Request) {
	l.mu.Lock()
	healthy := l.healthy
	l.mu.Unlock()
	if err := healthy(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
	// No reason to send no traffic: callers that don't check get through.
	if text, refused := fault(l.keys.leaf(), time.Now()); refused {
		fmt.Fprintln(w, "warning:", text)
	}
}

func (l *listeners) ready(healthy func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.healthy = healthy
}

// serve answers until ctx ends, then lets requests under way finish.
func (l *listeners) serve(ctx context.Context) error {
	failed := make(chan error, len(l.servers))
	for _, s := range l.servers {
		l.log.Info("listening", "door", s.name, "address", s.listener.Addr().String(), "tls", s.http.TLSConfig != nil)
		go func() {
			if err := s.serve(); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", s.name, err)
			}
		}()
	}
	go l.keys.watch(ctx, l.log)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	var all []error
	for _, s := range l.servers {
		all = append(all, s.http.Shutdown(end))
	}
	return errors.Join(all...)
}

func (s server) serve() error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(s.listener, "", "") // the config has the certificate
	}
	return s.http.Serve(s.listener)
}

// takeUp takes up a changed config as far as it isn't the parts'.
func (l *listeners) takeUp(ctx context.Context, former, now Config) error {
	if !reflect.DeepEqual(now.Bus, former.Bus) {
		return errors.New("bus: a changed bus needs a restart")
	}
	return l.reload(ctx, now)
}

// reload takes up what of a changed config the listeners can: the keys.
func (l *listeners) reload(ctx context.Context, cfg Config) error {
	now := cfg.Listen
	now.TLS = l.cfg.TLS
	if now != l.cfg || (cfg.Listen.TLS == TLS{}) != (l.cfg.TLS == TLS{}) {
		return errors.New("listen: other addresses, and TLS where there was none or none where it was, need a restart")
	}
	if err := l.keys.load(cfg.Listen.TLS); err != nil {
		return err
	}
	l.keys.tell(ctx, l.log)
	return nil
}

func (l *listeners) close() {
	for _, s := range l.servers {
		s.listener.Close()
	}
}

// HookHandler answers the webhooks of some sources.
type HookHandler interface {
	http.Handler
	// Has says whether the request's source is one of its own.
	Has(r *http.Request) bool
	// Wants says whether a request is for it, where another part has a source
	// of the same name.
	Wants(r *http.Request) bool
}

// HandleHooks gives h the webhooks of its sources. Requests for sources that
// no part of this process has are answered by any of them, so that an unknown
// source looks like a wrong token.
func (s *Service) HandleHooks(h HookHandler) {
	m := s.listeners.hooks
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts = append(m.parts, h)
}

// hookMux hands a webhook to the part that has its source.
type hookMux struct {
	mu     sync.RWMutex
	parts  []HookHandler
	wanted int // parts, before any is asked
}

// complete says whether all parts are there.
func (m *hookMux) complete() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.parts) >= m.wanted
}

// Hooks hands each webhook to the one of the parts that has its source, as
// [Service.HandleHooks] does.
func Hooks(parts ...HookHandler) http.Handler { return &hookMux{parts: parts} }

// find gives the part for a request: of several that have the source, the
// first that wants it; nil before all parts are there.
func (m *hookMux) find(r *http.Request) http.Handler {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if len(m.parts) < m.wanted {
		return nil
	}
	var fallback http.Handler
	for _, h := range m.parts {
		has := h.Has(r)
		if has && h.Wants(r) {
			return h
		}
		if fallback == nil || has {
			fallback = h
		}
	}
	return fallback
}

// ServeHTTP answers 503 while a part is missing: senders try again.
func (m *hookMux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := m.find(r)
	if h == nil {
		starting(w)
		return
	}
	h.ServeHTTP(w, r)
}
