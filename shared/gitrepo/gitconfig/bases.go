package gitconfig

import (
	"fmt"

	"github.com/slipway-cd/slipway/shared/bases/fetch"
	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/service"
)

// Bases brings what the config allows kustomizations to name beyond their
// repository, and keeps it in a folder that nobody else uses.
func Bases(cfg service.Config, dir string) (*fetch.Client, error) {
	c, err := fetch.New(fetch.Options{
		Dir: dir, Allow: cfg.RemoteBases, Aliases: cfg.GitAliases(),
		Git: func(address string) (gitrepo.Options, error) { return Options(cfg, repositoryAt(cfg, address)) },
	})
	if err != nil {
		return nil, fmt.Errorf("remoteBases: %w", err)
	}
	return c, nil
}

// repositoryAt is the config's repository that an address names, else one of which
// only the address is known.
func repositoryAt(cfg service.Config, address string) service.Repository {
	at := service.Repository{URL: address}
	name, err := at.Name(cfg.GitAliases())
	if err != nil {
		return at
	}
	for _, r := range cfg.Repositories {
		if known, err := r.Name(cfg.GitAliases()); err == nil && known == name {
			return r
		}
	}
	return at
}
