package synchronizer

import (
	"context"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/slipway-cd/slipway/shared/charts/fetch"
	"github.com/slipway-cd/slipway/shared/registry"
	"github.com/slipway-cd/slipway/shared/service"
)

// chartClient fetches charts as the config's registries say.
func chartClient(cfg service.Config) *fetch.Client {
	var hosts []registry.Host
	for _, r := range cfg.Registries {
		h := chartHost(registry.Host{Name: r.Host, Endpoint: r.Endpoint, Insecure: r.Insecure}, r.Credentials)
		for _, m := range r.Mirrors {
			h.Mirrors = append(h.Mirrors, chartHost(registry.Host{Endpoint: m.Endpoint, Insecure: m.Insecure}, m.Credentials))
		}
		hosts = append(hosts, h)
	}
	return fetch.New(fetch.Options{Dir: filepath.Join(cfg.Data, Name, "charts"), Registries: hosts, Aliases: cfg.Aliases()})
}

// rereadSecret is how long a secret counts before its file is read again.
const rereadSecret = time.Minute

// chartHost adds credentials. The machine's own identity isn't used for charts.
func chartHost(h registry.Host, c service.Credentials) registry.Host {
	h.DockerConfig = c.DockerConfig
	if c.Password != nil || c.Token != nil {
		h.Source = func(context.Context) (authn.AuthConfig, time.Time, error) {
			user, password, err := c.Basic()
			return authn.AuthConfig{Username: user, Password: password}, time.Now().Add(rereadSecret), err
		}
	}
	return h
}
