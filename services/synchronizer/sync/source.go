package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/shared/api"
)

// refusedError is why a source is not used. Only a change of the spec, of the
// config or of a Project helps.
type refusedError struct {
	reason string
	err    error
}

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// source opens what an Application's source names, with what credentials it
// may use.
func (b *Brain) source(ctx context.Context, a *app, application *api.Application) (*repo, error) {
	p, err := b.repos.place(a.name.Namespace, application.Spec.Source)
	if err != nil {
		return nil, &refusedError{reasonRepository, fmt.Errorf("spec.source: %w", err)}
	}
	if _, err := b.clientFor(a.name.Namespace, application.Spec); err != nil {
		return nil, err
	}
	if application.Status == nil || application.Status.ObservedGeneration == 0 {
		if err := b.projects.fresh(ctx); err != nil {
			return nil, err
		}
	}
	if err := b.mayUse(a.name.Namespace, p); err != nil {
		return nil, err
	}
	if p.secret == "" {
		b.apps.setSources(a.key, usedAsCredentials, nil)
		return b.repos.get(ctx, p)
	}
	_, name, _ := strings.Cut(p.secret, "/")
	found, err := b.secretsOf(ctx, a, application, usedAsCredentials, []string{name})
	if err != nil {
		return nil, err
	}
	r, err := b.repos.own(ctx, p, found[0])
	if errors.Is(err, ErrCredentials) {
		return nil, missingError{reason: reasonCredentials, message: fmt.Sprintf("spec.source.secret: Secret %s: %v", p.secret, err)}
	}
	return r, err
}

// mayUse says whether Applications of a namespace may have manifests from a
// place. The config's credentials are for trusted namespaces, and for those
// whose Project lists the repository.
func (b *Brain) mayUse(namespace string, p place) error {
	governing := b.projects.governing(namespace)
	if len(governing) > 0 {
		for _, project := range governing {
			if project.Repository(string(p.name)) {
				return nil
			}
		}
		return &refusedError{reasonProject, fmt.Errorf("%s of namespace %s doesn't allow the repository %s: add it to spec.repositories there, or take another source",
			projectNames(governing), namespace, p.name)}
	}
	if p.secret != "" || slices.Contains(b.cfg.Trusted, namespace) || !b.repos.known[p.name].Credentials {
		return nil
	}
	return &refusedError{reasonProject, fmt.Errorf("the config's credentials for %s are for trusted namespaces and for those whose Project lists it, and namespace %s has no Project: make one with namespaces: [%s] and repositories: [%s], or name a Secret with credentials in spec.source.secret",
		p.name, namespace, namespace, p.name)}
}

// verify holds a head against the keys that its Application names, before
// anything of it is read.
func (b *Brain) verify(ctx context.Context, a *app, application *api.Application, head Commit) error {
	want := application.Spec.Source.Verify
	if want == nil {
		b.apps.setSources(a.key, usedAsKeys, nil)
		return nil
	}
	found, err := b.secretsOf(ctx, a, application, usedAsKeys, want.Keys)
	if err != nil {
		return err
	}
	keys := map[string][]byte{}
	for _, s := range found {
		for name, value := range s.data {
			keys["Secret "+s.name+", "+name] = value
		}
	}
	return head.VerifiedBy(keys)
}
