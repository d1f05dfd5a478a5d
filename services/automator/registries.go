package automator

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/slipway-cd/slipway/services/automator/keychain"
	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bases"
	basefetch "github.com/slipway-cd/slipway/shared/bases/fetch"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/charts/fetch"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitconfig"
	"github.com/slipway-cd/slipway/shared/registry"
	"github.com/slipway-cd/slipway/shared/service"
)

// registryHosts gives the registries of the config, with credentials and
// mirrors.
func registryHosts(cfg Config) ([]registry.Host, error) {
	var hosts []registry.Host
	for i, r := range cfg.Registries {
		at := fmt.Sprintf("registries[%d]", i)
		h, err := registryHost(registry.Host{Name: r.Host, Endpoint: r.Endpoint, Insecure: r.Insecure}, r.Host, r.Credentials)
		if err != nil {
			return nil, fmt.Errorf("%s.credentials%w", at, err)
		}
		for j, m := range r.Mirrors {
			u, err := url.Parse(m.Endpoint)
			if err != nil {
				return nil, fmt.Errorf("%s.mirrors[%d].endpoint: it is not an address", at, j)
			}
			mirror, err := registryHost(registry.Host{Endpoint: m.Endpoint, Insecure: m.Insecure}, u.Host, m.Credentials)
			if err != nil {
				return nil, fmt.Errorf("%s.mirrors[%d].credentials%w", at, j, err)
			}
			h.Mirrors = append(h.Mirrors, mirror)
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// chartsKnown is how old what is known of a range of charts may be: a push asks
// no chart repository that was asked a moment ago.
const chartsKnown = 10 * time.Minute

// chartsWithin is how long one that is slow may keep a repository's other
// applications waiting.
const chartsWithin = 2 * time.Second

// chartsOf fetches charts that lie outside of the config repos.
func chartsOf(cfg Config, hosts []registry.Host) charts.Source {
	client := fetch.New(fetch.Options{Dir: filepath.Join(cfg.Data, "automator-charts"), Registries: hosts, Aliases: cfg.Aliases()})
	return client.Patient(chartsWithin, func(ref api.ChartRef) fetch.Question {
		return fetch.Question{ChartRef: ref, Access: fetch.Config, Since: time.Now().Add(-chartsKnown)}
	})
}

// basesOf brings what kustomizations name beyond the config repos.
func basesOf(cfg Config) (bases.Source, error) {
	client, err := gitconfig.Bases(cfg, filepath.Join(cfg.Data, "automator-bases"))
	if err != nil {
		return nil, err
	}
	return client.Patient(chartsWithin, func(a bases.Address, files bool) (basefetch.Question, error) {
		return basefetch.Question{Address: a, Files: files, Config: true, Since: time.Now().Add(-chartsKnown)}, nil
	}), nil
}

// openRepos opens the config repos, with charts and bases from elsewhere.
func openRepos(ctx context.Context, s *service.Service, hosts []registry.Host, queue *bus.Queue) (*promote.Repos, error) {
	repos, err := promote.NewRepos(ctx, s.Config, queue, s.Log)
	if err != nil {
		return nil, err
	}
	brought, err := basesOf(s.Config)
	if err != nil {
		return nil, err
	}
	repos.UseElsewhere(ctx, chartsOf(s.Config, hosts), brought)
	return repos, nil
}

// reread is how long a secret counts before its file is read again: it may have
// been rotated. One that the registry refuses is read again at once.
const reread = time.Minute

// registryHost adds credentials; the error begins with the rest of their place
// in the config.
func registryHost(h registry.Host, host string, c service.Credentials) (registry.Host, error) {
	h.DockerConfig = c.DockerConfig
	if c.Password != nil || c.Token != nil {
		h.Source = func(context.Context) (authn.AuthConfig, time.Time, error) {
			user, password, err := c.Basic()
			return authn.AuthConfig{Username: user, Password: password}, time.Now().Add(reread), err
		}
		if _, _, err := c.Basic(); err != nil {
			return h, fmt.Errorf(": %w", err)
		}
	}
	if c.Ambient != "" {
		var err error
		if h.Source, err = keychain.Source(c.Ambient, host); err != nil {
			return h, fmt.Errorf(".ambient: %w", err)
		}
	}
	return h, nil
}
