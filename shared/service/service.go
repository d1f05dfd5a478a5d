package service

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-cd/slipway/shared/bus"
)

// Service is what a part of the process gets to work with.
type Service struct {
	Name    string
	Config  Config
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Bus     *bus.Bus

	listeners *listeners
}

// Part is one service: in a process of its own, or beside others in
// `slipway up`.
type Part struct {
	Name string
	// Check returns every fault of the config that only this part knows.
	Check func(Config) error
	// Run works until ctx ends and returns when nothing is under way.
	Run func(ctx context.Context, s *Service) error
	// Anew says that a changed config is taken up by running the part again;
	// others take it up themselves, by [Service.Watch].
	Anew bool
	// API says that it serves listen.api, by [Service.HandleAPI].
	API bool
	// Hooks says that it takes webhooks, by [Service.HandleHooks]. Until all
	// such parts do, each webhook gets 503: it may be of one that isn't there yet.
	Hooks bool
}

// drain is how long listeners and handlers may take to finish.
const drain = 10 * time.Second

// Main is the body of a service's main: config from SLIPWAY_CONFIG or the
// first argument, logs to standard error, and an end on SIGINT and SIGTERM.
// With the first argument healthcheck it asks the running service instead. It
// gives the process's exit code.
func Main(parts ...Part) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "healthcheck" {
		return healthcheck(ctx, os.Args[2:])
	}
	file := os.Getenv("SLIPWAY_CONFIG")
	if len(os.Args) > 1 {
		file = os.Args[1]
	}
	cfg, err := Load(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if err := Run(ctx, cfg, parts...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, ErrConfig) {
			return 2
		}
		return 1
	}
	return 0
}

// Run runs parts in this process until ctx ends or one of them fails.
func Run(ctx context.Context, cfg Config, parts ...Part) error {
	if err := check(cfg, parts); err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	l, err := listen(ctx, cfg.Listen, slices.ContainsFunc(parts, func(p Part) bool { return p.API }), metrics, log)
	if err != nil {
		return err
	}
	defer l.close()
	for _, p := range parts {
		if p.Hooks {
			l.hooks.wanted++
		}
	}
	tracer, stop, err := cfg.Tracing.start(ctx, "slipway-"+processName(parts), log)
	if err != nil {
		return err
	}
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	// At once, so that who asks hears what is waited for.
	group.Go(func() error { return l.serve(ctx) })
	var b *bus.Bus
	group.Go(func() (err error) {
		if b, err = connect(ctx, cfg, l, bus.Options{Name: names(parts), Log: log, Metrics: metrics, Tracer: tracer, Inbox: []string{names(parts), cfg.Cluster}}); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		l.ready(func() error {
			if !l.hooks.complete() {
				return errors.New("starting: not all receivers take webhooks yet")
			}
			return b.Healthy()
		})
		metrics.MustRegister(newExpiry(map[string]func() *x509.Certificate{
			"listen": l.keys.leaf, "bus": ownCertificate(cfg.Bus.TLS), "bus-server": b.ServerCertificate,
		}))
		for _, p := range parts {
			s := &Service{Name: p.Name, Config: cfg, Log: log.With("service", p.Name), Metrics: metrics, Bus: b, listeners: l}
			group.Go(func() error { return p.start(ctx, s) })
		}
		log.Info("started", "parts", names(parts))
		notify("READY=1\nSTATUS=running")
		return nil
	})
	if cfg.File != "" {
		own := &Service{Name: "listeners", Config: cfg, Log: log.With("service", "listeners"), Metrics: metrics}
		group.Go(func() error { return own.Watch(ctx, func(now Config) error { return l.takeUp(ctx, cfg, now) }) })
	}
	defer context.AfterFunc(ctx, func() { notify("STOPPING=1") })()
	err = group.Wait()
	if b != nil {
		b.Close()
	}
	log.Info("stopped", "parts", names(parts))
	return err
}

// start runs a part until ctx ends.
func (p Part) start(ctx context.Context, s *Service) error {
	run := p.Run
	if p.Anew {
		run = p.runAnew
	}
	if err := run(ctx, s); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

// check asks every part for its faults, and tells them together.
func check(cfg Config, parts []Part) error {
	var all []error
	for _, p := range parts {
		if p.Check == nil {
			continue
		}
		if err := p.Check(cfg); err != nil {
			all = append(all, err)
		}
	}
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("%w:\n%w", ErrConfig, err)
	}
	return nil
}

func connect(ctx context.Context, cfg Config, l *listeners, of bus.Options) (*bus.Bus, error) {
	o, err := BusOptions(cfg)
	if err != nil {
		return nil, err
	}
	o.Name, o.Log, o.Metrics, o.Tracer, o.Inbox = of.Name, of.Log, of.Metrics, of.Tracer, of.Inbox
	o.Trying = func(err error) {
		l.ready(func() error { return fmt.Errorf("starting, without the bus yet: %w", err) })
		notify("STATUS=waiting for the bus: " + err.Error())
	}
	b, err := bus.Connect(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	return b, nil
}

// BusOptions says how the config's bus is reached from this machine: by its
// URL, or at the embedded server with the token in the data folder.
func BusOptions(cfg Config) (bus.Options, error) {
	o := bus.Options{URL: cfg.Bus.URL, CredentialsFile: cfg.Bus.Credentials.File, TLS: bus.TLS(cfg.Bus.TLS), Replicas: cfg.Bus.Replicas}
	for _, secret := range []struct {
		field string
		from  *Secret
		to    *string
	}{{"token", cfg.Bus.Credentials.Token, &o.Token}, {"password", cfg.Bus.Credentials.Password, &o.Password}} {
		if secret.from == nil {
			continue
		}
		value, err := secret.from.Read()
		if err != nil {
			return o, fmt.Errorf("bus.credentials.%s: %w", secret.field, err)
		}
		*secret.to = value
	}
	o.User = cfg.Bus.Credentials.User
	if e := cfg.Bus.Embedded; e != nil {
		o.URL = "nats://" + e.Listen
		token, err := Secret{File: TokenFile(cfg)}.Read()
		if err != nil {
			return o, fmt.Errorf("the embedded bus's token: %w (is `slipway up` running with this data folder?)", err)
		}
		o.Token = token
	}
	return o, nil
}

// TokenFile is where `slipway up` keeps the embedded bus's token.
func TokenFile(cfg Config) string { return filepath.Join(cfg.Data, "bus.token") }

// processName is the one part's, or "up" for all in one.
func processName(parts []Part) string {
	if len(parts) == 1 {
		return parts[0].Name
	}
	return "up"
}

func names(parts []Part) string {
	var all []string
	for _, p := range parts {
		all = append(all, p.Name)
	}
	return strings.Join(all, ",")
}
