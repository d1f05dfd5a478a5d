package service

import (
	"context"
	"crypto/sha256"
	"os"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// watchInterval is how often the config's files and secrets are looked at.
// Files are read rather than watched: Kubernetes replaces the folders of
// secrets behind symbolic links.
const watchInterval = time.Second

// Watch has apply take up each change of the config file, of sources.d beside
// it or of a secret or key that they name, until ctx ends. A config that can't be used, or that apply
// refuses, is told once and leaves the old one in force; the metric
// slipway_config_usable then is 0.
func (s *Service) Watch(ctx context.Context, apply func(Config) error) error {
	usable := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "slipway_config_usable", Help: "1 while the config file as it is now is in force.",
		ConstLabels: prometheus.Labels{"service": s.Name},
	})
	if err := s.Metrics.Register(usable); err != nil {
		return err
	}
	usable.Set(1)
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	current, last := s.Config, s.Config.loaded
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := fingerprint(current)
		if now == last {
			continue
		}
		cfg, err := Load(s.Config.File)
		if fingerprint(current) != now {
			continue // it is being changed: what was read may be of either
		}
		if err == nil {
			err = apply(cfg)
		}
		if err != nil {
			last = now
			usable.Set(0)
			s.Log.ErrorContext(ctx, "the changed config is not taken; the old one stays in force", "error", err.Error())
			continue
		}
		// As it was before apply read the secrets: what changed since is seen.
		current, last = cfg, cfg.loaded
		usable.Set(1)
		s.Log.InfoContext(ctx, "took up the changed config")
	}
}

// fingerprint tells contents apart: of the config file, of sources.d and of
// every secret and key that they name.
func fingerprint(c Config) [sha256.Size]byte {
	h := sha256.New()
	add := func(file string) {
		if file == "" {
			return
		}
		data, err := os.ReadFile(file)
		sum := sha256.Sum256(data)
		h.Write(sum[:])
		if err != nil {
			h.Write([]byte("!"))
		}
	}
	add(c.File)
	if c.File != "" {
		files, err := sourceFiles(c.File)
		if err != nil {
			h.Write([]byte("!"))
		}
		for _, file := range files {
			h.Write([]byte(file))
			add(file)
		}
	}
	secrets(reflect.ValueOf(c), add)
	return [sha256.Size]byte(h.Sum(nil))
}

// secrets calls add for the file of each secret and key below v.
func secrets(v reflect.Value, add func(file string)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			secrets(v.Elem(), add)
		}
	case reflect.Slice:
		for i := range v.Len() {
			secrets(v.Index(i), add)
		}
	case reflect.Struct:
		if s, ok := reflect.TypeAssert[Secret](v); ok {
			add(s.File)
			return
		}
		if t, ok := reflect.TypeAssert[TLS](v); ok {
			add(t.Cert)
			add(t.Key)
			add(t.ClientCA)
			return
		}
		for _, field := range v.Fields() {
			secrets(field, add)
		}
	}
}
