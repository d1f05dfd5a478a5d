package service

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"
)

// runAnew runs a part, and again whenever what it reads of the config changes:
// it ends as at the end of the process, with nothing under way, and begins as at
// the start, in which it finds whatever waits. Events that come meanwhile wait
// on the bus.
func (p Part) runAnew(ctx context.Context, s *Service) error {
	if s.Config.File == "" {
		return p.Run(ctx, s)
	}
	next := make(chan Config)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	go func() {
		failed <- s.Watch(watching, func(cfg Config) error {
			if p.Check != nil {
				if err := p.Check(cfg); err != nil {
					return err
				}
			}
			select {
			case next <- cfg:
				return nil
			case <-watching.Done():
				return watching.Err()
			}
		})
	}()
	current := s.Config
	for {
		metrics := &returning{Registerer: s.Metrics}
		run := &Service{Name: s.Name, Config: current, Log: s.Log, Metrics: metrics, Bus: s.Bus, listeners: s.listeners}
		cfg, err := p.until(ctx, run, current.concerns(), next, failed)
		metrics.giveBack()
		if cfg == nil || err != nil {
			return err
		}
		current = *cfg
		s.Log.InfoContext(ctx, "begins again with the changed config")
	}
}

// until runs a part until what concerns it changes, and gives the new config;
// nil when ctx has ended.
func (p Part) until(ctx context.Context, s *Service, concerns string, next <-chan Config, failed <-chan error) (*Config, error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx, s) }()
	for {
		select {
		case err := <-ended:
			return nil, err
		case err := <-failed:
			end()
			return nil, errors.Join(err, <-ended)
		case cfg := <-next:
			if cfg.concerns() == concerns {
				continue
			}
			end()
			// It was told to end: what it says of that is no fault.
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				s.Log.WarnContext(ctx, "ended for the changed config", "error", err.Error())
			}
			return &cfg, nil
		}
	}
}

// concerns tells apart what parts other than the receivers read: the config and
// the contents of the secrets that it names, as they are now.
func (c Config) concerns() string {
	c.Receivers, c.Listen, c.Bus = Receivers{}, Listen{}, Bus{}
	c.File = ""
	text, err := yaml.Marshal(c)
	if err != nil {
		return err.Error() // a config that was read can be written
	}
	return fmt.Sprintf("%s%x", text, fingerprint(c))
}

// returning gives back what a part registers, so that it can do so again.
type returning struct {
	prometheus.Registerer
	mu    sync.Mutex
	taken []prometheus.Collector
}

func (r *returning) Register(c prometheus.Collector) error {
	if err := r.Registerer.Register(c); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = append(r.taken, c)
	return nil
}

func (r *returning) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

func (r *returning) giveBack() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.taken {
		r.Unregister(c)
	}
	r.taken = nil
}
