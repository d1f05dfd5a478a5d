package webhook

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-cd/slipway/shared/service"
)

// Part is a receiver: the door for the sources whose providers are in the
// table.
func Part(name string, table []Provider) service.Part {
	return service.Part{
		Name:  name,
		Hooks: true,
		Check: func(cfg service.Config) error {
			_, err := New(name, cfg, table, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			return err
		},
		Run: func(ctx context.Context, s *service.Service) error {
			return run(ctx, s, table)
		},
	}
}

func run(ctx context.Context, s *service.Service, table []Provider) error {
	d, err := New(s.Name, s.Config, table, gather(s.Bus), s.Log, s.Metrics)
	if err != nil {
		return err
	}
	s.HandleHooks(d)
	if s.Config.File == "" {
		<-ctx.Done()
		return nil
	}
	return s.Watch(ctx, d.Reload)
}
