package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/slipway-cd/slipway/shared/tracing"
	"github.com/slipway-cd/slipway/shared/tracing/otlp"
)

func (t Tracing) check() error {
	if s := t.Sample; s != nil && (*s < 0 || *s > 1) {
		return fmt.Errorf("tracing.sample: %g is not between 0 and 1", *s)
	}
	if t.Endpoint == "" {
		if len(t.Headers) > 0 || t.Sample != nil {
			return errors.New("tracing.endpoint: without it nothing is traced: give a collector's URL, such as http://collector:4318")
		}
		return nil
	}
	u, err := url.Parse(t.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return errors.New("tracing.endpoint: it is no URL such as http://collector:4318, without user and query")
	}
	if strings.HasSuffix(u.Path, "/v1/traces") {
		return errors.New("tracing.endpoint: leave out /v1/traces, which is added")
	}
	_, err = t.headers()
	return err
}

func (t Tracing) headers() (map[string]string, error) {
	all := map[string]string{}
	for name, secret := range t.Headers {
		value, err := secret.Read()
		if err != nil {
			return nil, fmt.Errorf("tracing.headers.%s: %w", name, err)
		}
		all[name] = value
	}
	return all, nil
}

// start sends spans where the config says so; else the tracer is nil. stop
// sends what is left.
func (t Tracing) start(ctx context.Context, service string, log *slog.Logger) (tracer *tracing.Tracer, stop func(), err error) {
	if t.Endpoint == "" {
		return nil, func() {}, nil
	}
	o := otlp.Options{Service: service, Endpoint: strings.TrimSuffix(t.Endpoint, "/"), Sample: 1, Log: log}
	if t.Sample != nil {
		o.Sample = *t.Sample
	}
	if o.Headers, err = t.headers(); err != nil {
		return nil, nil, err
	}
	tracer, end, err := otlp.Start(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	return tracer, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		end(ctx)
	}, nil
}
