package sync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// Commit is one commit of a mirror.
type Commit interface {
	Hash() string
	Message() string
	FS() fs.FS
	// VerifiedBy errs with [ErrUntrusted] unless one of the public keys, by
	// names of theirs, has signed it or the tag by which it was found, and with
	// [ErrKeys] where one is none.
	VerifiedBy(keys map[string][]byte) error
}

// Mirror is one branch of a Git repository, or a tag or commit of it.
type Mirror interface {
	// Fetch brings the branch's head. It may be told at which commit that is said to be;
	// what the host says counts.
	Fetch(ctx context.Context, told string) (Commit, error)
	// Between gives the commits after from up to to, oldest first, or an
	// error that is [ErrGap].
	Between(ctx context.Context, from, to string) ([]Commit, error)
	// ChangedPaths are the files that differ.
	ChangedPaths(ctx context.Context, from, to string) ([]string, error)
	// Remove deletes it, once nobody asks it anything.
	Remove() error
}

// ErrGap says that two commits are not in one line of history.
var ErrGap = errors.New("commits are not in one line of history")

// Repository is one that the config allows.
type Repository struct {
	Name events.GitRepository
	// Credentials says that the config has some for it.
	Credentials bool
	Open        func(ctx context.Context, ref api.Ref) (Mirror, error)
}

// Own is a repository of which the credentials lie in a Secret of the
// Application's namespace.
type Own struct {
	Name    events.GitRepository
	Address string // credentials go nowhere else
	Ref     api.Ref
	Secret  map[string][]byte
}

var (
	// ErrUnknownRepository says that the config doesn't have a repository.
	ErrUnknownRepository = errors.New("the repository is not in the synchronizer's config")
	// ErrCredentials says that a Secret has none that can be used.
	ErrCredentials = errors.New("it has no credentials that can be used")
	// ErrUntrusted says that a commit is not signed by one of the keys.
	ErrUntrusted = errors.New("it is not signed by a trusted key")
	// ErrKeys says that what should be public keys are none.
	ErrKeys = errors.New("these are no public keys")
)

// repositories are the branches in use.
type repositories struct {
	aliases events.Aliases
	known   map[events.GitRepository]Repository
	openOwn func(context.Context, Own) (Mirror, error)

	mu   sync.Mutex
	open map[string]*repo
}

func newRepositories(known []Repository, own func(context.Context, Own) (Mirror, error), aliases events.Aliases) *repositories {
	r := &repositories{aliases: aliases, openOwn: own, known: map[events.GitRepository]Repository{}, open: map[string]*repo{}}
	for _, k := range known {
		r.known[k.Name] = k
	}
	return r
}

// repo is one place.
type repo struct {
	place
	mirror Mirror
	access string // the version of the Secret with which it was opened
	index  *index

	fetching sync.Mutex // one fetch at a time

	mu      sync.Mutex
	head    Commit
	fetched time.Time
	lines   map[[2]string]line
	diffs   map[[2]string]diff
	// evaluated is the head up to which every application was compared.
	evaluated string
	// passed are commits behind evaluated. Only the branch's worker uses it.
	passed map[string]bool
	// looking is the head with which applications were compared last, or are right
	// now, and when that began.
	looking   string
	lookingAt time.Time
}

// get opens a place with the config's credentials. They go only to the address
// in the config.
func (r *repositories) get(ctx context.Context, p place) (*repo, error) {
	return r.with(p, "", func() (Mirror, error) {
		known, ok := r.known[p.name]
		if !ok {
			return nil, fmt.Errorf("%w: %s: add it to `repositories`, or name a Secret with credentials in spec.source.secret", ErrUnknownRepository, p.name)
		}
		return known.Open(ctx, p.ref)
	})
}

// own opens a place with the credentials of a Secret. What was fetched with
// other ones, be they of the same Secret, is not given.
func (r *repositories) own(ctx context.Context, p place, s secret) (*repo, error) {
	return r.with(p, s.version, func() (Mirror, error) {
		return r.openOwn(ctx, Own{Name: p.name, Address: p.address, Ref: p.ref, Secret: s.data})
	})
}

func (r *repositories) with(p place, access string, open func() (Mirror, error)) (*repo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := p.key()
	found, ok := r.open[key]
	if ok && found.access == access {
		return found, nil
	}
	mirror, err := open()
	if err != nil {
		return nil, err
	}
	if ok {
		found.remove()
	}
	opened := &repo{place: p, mirror: mirror, access: access, index: newIndex()}
	r.open[key] = opened
	return opened, nil
}

// drop forgets a place that nobody uses any more. The branches of the config are
// few, and kept.
func (r *repositories) drop(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, ok := r.open[key]
	if !ok || found.secret == "" && found.ref.Kind == api.RefBranch {
		return
	}
	delete(r.open, key)
	found.remove()
}

// remove deletes what was fetched, when whoever fetches has ended. What can't be
// deleted is when the process starts again.
func (r *repo) remove() { go func() { _ = r.mirror.Remove() }() }

// opened is a branch that is in use already; nil when it isn't.
func (r *repositories) opened(key string) *repo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open[key]
}

// fetch brings the head as the host has it now, which somebody may have told to be a commit.
func (r *repo) fetch(ctx context.Context, told string) (Commit, error) {
	return r.fetchedSince(ctx, time.Now(), told)
}

// fetchedSince gives a head that was fetched at or after a time. Those who
// wait for the host together share what the next fetch brings.
func (r *repo) fetchedSince(ctx context.Context, at time.Time, told string) (Commit, error) {
	r.fetching.Lock()
	defer r.fetching.Unlock()
	if head := r.headSince(at); head != nil {
		return head, nil
	}
	began := time.Now()
	head, err := r.mirror.Fetch(ctx, told)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.head, r.fetched = head, began
	return head, nil
}

// headSince is the head if it was fetched at or after a time; else nil.
func (r *repo) headSince(at time.Time) Commit {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.head == nil || r.fetched.Before(at) {
		return nil
	}
	return r.head
}

// have gives a head that contains the commits and was fetched at or after a
// time.
func (r *repo) have(ctx context.Context, commits []string, at time.Time) (Commit, error) {
	if head := r.headSince(at); head != nil {
		missing, err := r.missing(ctx, head, commits)
		if err == nil && missing == "" {
			return head, nil
		}
		return r.fetch(ctx, missing)
	}
	return r.fetchedSince(ctx, at, lastTold(commits))
}

// lastTold is the last of several commits that somebody told of; empty for none.
func lastTold(commits []string) string {
	if len(commits) == 0 {
		return ""
	}
	return commits[len(commits)-1]
}

// asNewAs gives a head that is not older than a commit that an application was seen to
// have attempted: another replica may be further than this one. One that contains it, and
// isn't it, counts only when it was fetched since then, as the branch may have gone back to
// that commit. Where it went back behind it no head contains it, and the host's counts.
func (r *repo) asNewAs(ctx context.Context, head Commit, attempted string, seen time.Time) (Commit, error) {
	if attempted == "" || attempted == head.Hash() {
		return head, nil
	}
	if in, err := r.contains(ctx, head.Hash(), attempted); err == nil && in {
		return r.have(ctx, nil, seen)
	}
	return r.have(ctx, []string{attempted}, time.Time{})
}

// missing is the first of the commits that the head doesn't contain.
func (r *repo) missing(ctx context.Context, head Commit, commits []string) (string, error) {
	for _, c := range commits {
		if in, err := r.contains(ctx, head.Hash(), c); err != nil || !in {
			return c, err
		}
	}
	return "", nil
}

func (r *repo) contains(ctx context.Context, head, ancestor string) (bool, error) {
	if head == ancestor {
		return true, nil
	}
	_, err := r.between(ctx, ancestor, head)
	if errors.Is(err, ErrGap) {
		return false, nil
	}
	return err == nil, err
}

// line is what lies between two commits: it never changes.
type line struct {
	commits []Commit
	err     error
}

// diff are the paths that differ between two commits.
type diff struct {
	paths []string
	known bool
}

const (
	maxLines = 4096
	maxDiffs = 64 // a diff may name very many paths
)

// between is the mirror's, remembered: many applications ask the same.
func (r *repo) between(ctx context.Context, from, to string) ([]Commit, error) {
	key := [2]string{from, to}
	r.mu.Lock()
	known, ok := r.lines[key]
	r.mu.Unlock()
	if ok {
		return known.commits, known.err
	}
	commits, err := r.mirror.Between(ctx, from, to)
	if err != nil && !errors.Is(err, ErrGap) {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lines == nil || len(r.lines) >= maxLines {
		r.lines = map[[2]string]line{}
	}
	r.lines[key] = line{commits, err}
	return commits, err
}

// touches says whether what lies between two commits may change what is rendered of
// inputs.
func (r *repo) touches(ctx context.Context, inputs []string, from, to string) bool {
	changed, known := r.changes(ctx, from, to)
	return !known || render.Result{Inputs: inputs}.Touched(changed)
}

// changes are the paths that differ between two commits; ok is false where
// the mirror can't tell, which means: everything may have changed.
func (r *repo) changes(ctx context.Context, from, to string) (paths []string, ok bool) {
	if from == "" {
		return nil, false
	}
	if from == to {
		return nil, true
	}
	key := [2]string{from, to}
	r.mu.Lock()
	d, ok := r.diffs[key]
	r.mu.Unlock()
	if ok {
		return d.paths, d.known
	}
	// Between brings the older commit into a shallow mirror.
	if _, err := r.between(ctx, from, to); err != nil && !errors.Is(err, ErrGap) {
		return nil, false
	}
	paths, err := r.mirror.ChangedPaths(ctx, from, to)
	if ctx.Err() != nil {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.diffs == nil || len(r.diffs) >= maxDiffs {
		r.diffs = map[[2]string]diff{}
	}
	r.diffs[key] = diff{paths, err == nil}
	return paths, err == nil
}
