package sync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/keyless"
	"github.com/slipway-cd/slipway/shared/registry"
)

// errNotAsked says that who may not wait would have to.
var errNotAsked = errors.New("Sigstore's trusted root must be asked for first") //nolint:staticcheck // a name

// chartTrust is who must have signed an Application's chart; nil: nobody. The
// Secrets that say so wake from then on. Where here is set nobody is asked over
// the network.
func (b *Brain) chartTrust(ctx context.Context, a *app, application *api.Application, verify *api.ChartVerify, here bool) (registry.Trust, error) {
	if verify == nil {
		b.apps.setSources(a.key, usedAsSigners, nil)
		return nil, nil //nolint:nilnil // nobody need have signed it
	}
	want := verify.Cosign
	if want.Keyless != nil {
		return b.chartIdentities(ctx, a, application, *want.Keyless, here)
	}
	found, err := b.secretsOf(ctx, a, application, usedAsSigners, want.Keys)
	if err != nil {
		return nil, err
	}
	var keys registry.Keys
	for _, s := range found {
		for _, name := range publicOf(s.data) {
			some, err := registry.ParseKeys(s.data[name])
			if err != nil {
				return nil, unusable(a, "keys", s.name, name, err)
			}
			keys = append(keys, some...)
		}
	}
	if len(keys) == 0 {
		return nil, missingError{reason: reasonKeys, message: fmt.Sprintf("%s.keys: no Secret has a public key", uses[usedAsSigners].field)}
	}
	return keys, nil
}

// publicOf are the keys of a Secret whose values are public keys: what cosign makes
// has the private one beside it.
func publicOf(data map[string][]byte) []string {
	all := slices.Sorted(maps.Keys(data))
	if public := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !strings.HasSuffix(name, ".pub") }); len(public) > 0 {
		return public
	}
	return all
}

func (b *Brain) chartIdentities(ctx context.Context, a *app, application *api.Application, want api.ChartKeyless, here bool) (registry.Trust, error) {
	if want.Roots == "" {
		b.apps.setSources(a.key, usedAsSigners, nil)
		return b.sigstoreIdentities(ctx, want.Identities, here)
	}
	found, err := b.secretsOf(ctx, a, application, usedAsSigners, []string{want.Roots})
	if err != nil {
		return nil, err
	}
	text, has := found[0].data[api.RootsKey]
	if !has {
		return nil, unusable(a, "keyless.roots", want.Roots, api.RootsKey, errors.New("it has none of this name"))
	}
	trust, err := b.roots.Trust(api.RootsKey, text, want.Identities)
	if err != nil {
		return nil, unusable(a, "keyless.roots", want.Roots, api.RootsKey, err)
	}
	return trust, nil
}

// sigstoreIdentities are trusted by the roots of the config's Sigstore.
func (b *Brain) sigstoreIdentities(ctx context.Context, identities []api.Identity, here bool) (registry.Trust, error) {
	var trust *keyless.Trust
	var err error
	if here {
		var known bool
		if trust, known, err = b.cfg.Sigstore.Known(ctx, identities); !known {
			return nil, errNotAsked
		}
	} else {
		trust, err = b.cfg.Sigstore.Trust(ctx, identities)
	}
	switch {
	case err == nil:
		return trust, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, missingError{reason: reasonKeys, message: uses[usedAsSigners].field + ".keyless: " + err.Error()}
}

// unusable says where what a Secret has is of no use.
func unusable(a *app, field, secret, key string, err error) error {
	return missingError{reason: reasonKeys, message: fmt.Sprintf("%s.%s: Secret %s/%s, key %s: %v", uses[usedAsSigners].field, field, a.name.Namespace, secret, key, err)}
}
