package sync

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
)

// place is what manifests come from: what a source follows of a repository, and
// with whose credentials. Applications with other credentials never share one.
type place struct {
	name events.GitRepository
	ref  api.Ref
	// secret, namespace/name, has the credentials for address; empty: they are
	// the config's, and so is the address.
	secret, address string
	versions        api.Versions // of a range
}

// place reads a source of an Application in a namespace; the error tells a
// wrong address, or a ref that is none.
func (r *repositories) place(namespace string, s api.Source) (place, error) {
	name, err := events.ParseGitRepository(s.Repository, r.aliases)
	if err != nil {
		return place{}, err
	}
	p := place{name: name}
	if p.ref, err = s.Ref(); err != nil {
		return place{}, err
	}
	if p.ref.Kind == api.RefSemver {
		if p.versions, err = api.ParseVersions(p.ref.Value); err != nil {
			return place{}, err
		}
	}
	if s.Secret == "" {
		return p, nil
	}
	if !api.ObjectName(s.Secret) {
		return place{}, fmt.Errorf("secret %q is not the name of a Secret of the Application's own namespace", s.Secret)
	}
	p.secret, p.address = namespace+"/"+s.Secret, s.Repository
	return p, nil
}

// key names the place in the queue of branches. No name that Git takes has a
// colon or a question mark.
func (p place) key() string {
	if p.name == "" {
		return ""
	}
	key := string(p.name) + "@" + p.of()
	if p.secret != "" {
		sum := sha256.Sum256([]byte(p.address)) // it is nothing for a log
		key += "?" + p.secret + "?" + hex.EncodeToString(sum[:6])
	}
	return key
}

// of is what is followed: a branch by its name.
func (p place) of() string {
	switch p.ref.Kind {
	case api.RefBranch:
		return p.ref.Value
	case api.RefTag:
		return tagPrefix + p.ref.Value
	case api.RefSemver, api.RefCommit:
	}
	return string(p.ref.Kind) + ":" + p.ref.Value
}

const (
	branchPrefix = "refs/heads/"
	tagPrefix    = "refs/tags/"
)

// branch is the place's branch; empty where it follows something else.
func (p place) branch() string {
	if p.ref.Kind != api.RefBranch {
		return ""
	}
	return p.ref.Value
}

// moved says whether a move of a Git ref concerns the place, and what woke it.
// The commit is what a branch must contain; of a tag the host may have told the
// tag's own id.
func (p place) moved(e events.RefUpdated, chain string) (Wake, bool) {
	branch, isBranch := strings.CutPrefix(e.Ref, branchPrefix)
	tag, isTag := strings.CutPrefix(e.Ref, tagPrefix)
	switch {
	case e.Repository != p.name:
		return Wake{}, false
	case p.ref.Kind == api.RefCommit: // it may have come with it
		return Wake{Reason: ReasonTag}, e.After != ""
	case isBranch && p.branch() == branch:
		return Wake{Reason: ReasonCommit, Commit: e.After, Before: e.Before, Chain: chain}, e.After != ""
	case isTag && (p.ref.Kind == api.RefTag && p.ref.Value == tag || p.ref.Kind == api.RefSemver && p.versions.Has(tag)):
		return Wake{Reason: ReasonTag, Chain: chain}, true
	}
	return Wake{}, false
}

// places are those that applications use, by their keys.
func (a *applications) places() map[string]place {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.followed)
}

func (a *applications) placeOf(key string) (p place, used bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, used = a.followed[key]
	return p, used
}

// of are the applications of a place, by its key.
func (a *applications) of(source string) []*app {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]*app, 0, len(a.bySource[source]))
	for _, entry := range a.bySource[source] {
		all = append(all, entry)
	}
	return all
}

// unlink takes an application out of the index of its source.
func (a *applications) unlink(entry *app) {
	delete(a.bySource[entry.source], entry.key)
	if r := a.brain.repos.opened(entry.source); r != nil {
		r.index.drop(entry.key)
	}
	if len(a.bySource[entry.source]) == 0 {
		delete(a.bySource, entry.source)
		delete(a.followed, entry.source)
		a.brain.repos.drop(entry.source)
	}
}

// wakeGoverned wakes the applications of namespaces of which a Project says
// something else than before.
func (a *applications) wakeGoverned(governs func(namespace string) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, entry := range a.byKey {
		if governs(entry.name.Namespace) {
			a.wakeups.Add(wakeup{key, ReasonProject, false})
		}
	}
}
