package sync

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bases"
	"github.com/slipway-cd/slipway/shared/bases/fetch"
	"github.com/slipway-cd/slipway/shared/render"
)

const reasonBase = string(render.ReasonBase)

// bases brings what the kustomizations of an application name beyond their
// repository, asked for at a time or later.
func (b *Brain) bases(a *app, application *api.Application, since time.Time) bases.Source {
	return b.cfg.Bases.Source(b.askBase(a, application, since))
}

// basesHere has what was brought already, for who may not wait.
func (b *Brain) basesHere(a *app, application *api.Application) bases.Source {
	return b.cfg.Bases.Here(b.askBase(a, application, time.Time{}))
}

// askBase asks as the application may: where Projects govern it, one must list the
// address, and only there and in trusted namespaces the config's credentials are used.
// Where what is applied must be signed, only commits are brought: the signed commit
// names them by their hashes.
func (b *Brain) askBase(a *app, application *api.Application, since time.Time) fetch.Ask {
	return func(address bases.Address, files bool) (fetch.Question, error) {
		if application.Spec.Source.Verify != nil {
			var err error
			if address, err = pinned(address, files); err != nil {
				return fetch.Question{}, err
			}
		}
		governing := b.projects.governing(a.name.Namespace)
		if len(governing) > 0 {
			listed := func(place string) bool {
				return slices.ContainsFunc(governing, func(p *project) bool { return p.Repository(place) })
			}
			repository, file := b.cfg.Bases.Places(address)
			if address = narrowed(address, listed(repository), listed(file)); address.Clone == "" && address.File == "" {
				return fetch.Question{}, fmt.Errorf("%w: %s of namespace %s doesn't list %s in spec.repositories", bases.ErrNotAllowed, projectNames(governing), a.name.Namespace, cmp.Or(repository, file))
			}
		}
		return fetch.Question{Address: address, Files: files, Since: since, Config: len(governing) > 0 || slices.Contains(b.cfg.Trusted, a.name.Namespace)}, nil
	}
}

// narrowed is an address that may be reached only as what is allowed.
func narrowed(address bases.Address, repository, file bool) bases.Address {
	if !repository {
		address.Clone = ""
	}
	if !file {
		address.File = ""
	}
	return address
}

// pinned is an address that a signed commit has signed, too: a repository at a commit.
func pinned(address bases.Address, files bool) (bases.Address, error) {
	if files || address.Clone == "" || !address.Exact() {
		return address, fmt.Errorf("%w: spec.source.verify wants all signed: name a repository's commit, by its 40 digits in ref", bases.ErrNotAllowed)
	}
	address.File = ""
	return address, nil
}

// moved has what was brought, and may be another the next time, among the variables:
// it is a reason to sync.
func (v variables) moved(result render.Result) variables {
	if len(result.Moving) == 0 {
		return v
	}
	sum := sha256.Sum256([]byte(strings.Join(result.Moving, "\n")))
	v.version = strings.TrimSpace(v.version + " bases=" + hex.EncodeToString(sum[:12]))
	return v
}
