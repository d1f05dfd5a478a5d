// Package keychain gives credentials of registries that a cloud issues to its
// own machines and workloads: no secret is configured for them.
package keychain

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/slipway-cd/slipway/shared/registry"
)

// clouds are the ambient identities by the names that the config has for them.
// Only their own hosts are asked with them: what is sent would be of use to
// others.
var clouds = []struct {
	name   string
	hosts  *regexp.Regexp
	like   string // the hosts, for people
	source func(host string) registry.Source
}{
	{"ecr", ecrHosts, "<account>.dkr.ecr.<region>.amazonaws.com and public.ecr.aws", ecrSource},
	{"gcr", regexp.MustCompile(`^((.+\.)?gcr\.io|.+\.pkg\.dev)$`), "gcr.io and <region>-docker.pkg.dev", gcrSource},
	{"acr", regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.azurecr\.(io|cn|us|de)$`), "<registry>.azurecr.io", acrSource},
}

// Source gives the credentials of a host by a cloud's identity. It errs where
// the host isn't the cloud's.
func Source(name, host string) (registry.Source, error) {
	for _, c := range clouds {
		if c.name != name {
			continue
		}
		if !c.hosts.MatchString(host) {
			return nil, fmt.Errorf("%s is for %s, and %q is neither", name, c.like, host)
		}
		return c.source(host), nil
	}
	names := make([]string, 0, len(clouds))
	for _, c := range clouds {
		names = append(names, c.name)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("%q is none of %v", name, names)
}

// untold is how long something counts that doesn't tell when it ends.
const untold = time.Hour

// renewAt is when to ask again for something that ends: after nine tenths of
// the time that is left.
func renewAt(ends time.Time) time.Time {
	left := untold
	if !ends.IsZero() {
		left = min(time.Until(ends), 24*time.Hour)
	}
	return time.Now().Add(left * 9 / 10)
}

// bounded ends with ctx, whatever f does.
func bounded[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
