package webhook

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slipway-cd/slipway/shared/service"
)

// Part is a receiver: the door for the sources whose providers are in the
// table.
func Part(name string, table []Provider) service.Part {
	return service.Part{
		Name: name,
		Check: func(cfg service.Config) error {
			_, err := New(name, cfg, table, nil, nil, prometheus.NewRegistry())
			return err
		},
		Run: func(ctx context.Context, s *service.Service) error {
			d, err := New(name, s.Config, table, s.Bus, s.Log, s.Metrics)
			if err != nil {
				return err
			}
			s.HandleHooks(d.Sources(), d)
			<-ctx.Done()
			return nil
		},
	}
}
