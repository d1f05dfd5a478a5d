package kube

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// Look gives the resource of a kind as the cluster has it now; ok is false where
// its version has no such kind. A version that the cluster doesn't serve is an
// *[UnknownKindError].
func (m *Mapper) Look(ctx context.Context, kind schema.GroupVersionKind) (r Resource, ok bool, err error) {
	m.mu.Lock()
	r, ok = m.known[kind]
	m.mu.Unlock()
	if ok {
		return r, true, nil
	}
	served, err := m.direct.ServerResourcesForGroupVersionWithContext(ctx, kind.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		return r, false, &UnknownKindError{kind}
	}
	if err != nil {
		return r, false, fmt.Errorf("ask for the kinds of %s: %w", kind.GroupVersion(), err)
	}
	for _, one := range served.APIResources {
		if one.Kind == kind.Kind && !strings.Contains(one.Name, "/") {
			r = Resource{GroupVersionResource: kind.GroupVersion().WithResource(one.Name), Namespaced: one.Namespaced}
			m.Teach(kind, r)
			return r, true, nil
		}
	}
	return r, false, nil
}

// Served is what a cluster is, and can do.
type Served struct {
	Version, Major, Minor string // of the API server, such as "v1.36.2", "1" and "36"
	// Versions are such as "apps/v1" and "apps/v1/Deployment", sorted.
	Versions []string
}

// Served asks the cluster what it serves. What an extension that is away would
// serve is missing.
func (m *Mapper) Served(ctx context.Context) (Served, error) {
	version, err := m.direct.ServerVersionWithContext(ctx)
	if err != nil {
		return Served{}, fmt.Errorf("ask for the cluster's version: %w", err)
	}
	groups, lists, err := m.direct.ServerGroupsAndResourcesWithContext(ctx)
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return Served{}, fmt.Errorf("ask for the cluster's kinds: %w", err)
	}
	all := map[string]struct{}{}
	for _, g := range groups {
		for _, v := range g.Versions {
			all[v.GroupVersion] = struct{}{}
		}
	}
	for _, list := range lists {
		for _, r := range list.APIResources {
			all[path.Join(list.GroupVersion, r.Kind)] = struct{}{}
		}
	}
	return Served{version.GitVersion, version.Major, version.Minor, slices.Sorted(maps.Keys(all))}, nil
}
