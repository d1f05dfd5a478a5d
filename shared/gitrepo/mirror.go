// Package gitrepo gives one branch of a remote Git repository, or a tag or
// commit of it: its files at any commit, what changed between two, who signed
// it, and commits pushed by compare-and-swap. It keeps a bare mirror on disk and never a work tree, so
// that cost follows the change.
package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

var (
	// ErrNoBranch says that the remote has no such branch, or is empty.
	ErrNoBranch = errors.New("branch does not exist")
	// ErrMoved says that the branch was no longer where the pusher thought:
	// fetch and decide again.
	ErrMoved = errors.New("branch has moved")
	// ErrForeign says that somebody else has pushed to a branch of ours.
	ErrForeign = errors.New("somebody else has pushed to the branch")
	// ErrRefused says that the host refused a push for another reason than a
	// moved branch; the error holds the host's words.
	ErrRefused = errors.New("push refused by the Git host")
	// ErrGap says that two commits are not in one line of history, as after
	// a forced push.
	ErrGap = errors.New("commits are not in one line of history")
	// ErrNoRepository says that the host has no such repository, or none for us.
	ErrNoRepository = errors.New("repository does not exist")
	// ErrUnauthorized says that the host did not accept the credentials.
	ErrUnauthorized = errors.New("the Git host refused the credentials")
	// errDamaged says that the mirror's own files are at fault.
	errDamaged = errors.New("the mirror is damaged")
)

// Options say what to mirror, and where to. Exactly one of Branch, Tag,
// Versions, Commit and Revision is given; only a branch can be pushed to.
type Options struct {
	// URL is https://, http:// or ssh://, or user@host:path as Git takes it,
	// without a password in it.
	URL string
	// Branch is the short name, such as "main".
	Branch string
	// Tag is the short name, such as "v1.4.2"; it is followed where it moves to.
	Tag string
	// Versions follows the tag that it chooses at each fetch.
	Versions Versions
	// Commit is a whole id. It never moves.
	Commit string
	// Revision is a tag, a branch or a whole ref such as refs/pull/7/head, in the
	// order in which `git fetch` looks for a name, or HEAD for the default branch.
	// It is followed where it moves to.
	Revision string
	// Dir is the mirror's folder, made when missing. Nobody else may use it.
	Dir string
	// User and Password are sent as basic credentials; for a token the
	// user may be empty.
	User, Password string
	// Bearer is sent as a bearer token instead.
	Bearer string
	// App gives the tokens where a GitHub App signs in; nil for none.
	App *GitHubApp
	// SSH signs in at ssh:// addresses, which need it.
	SSH *SSHKey
	// CA has certificates in PEM form to trust for this repository, beside
	// the system's.
	CA []byte
	// Proxy is the http://, https:// or socks5:// proxy to go through; empty
	// means what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say.
	Proxy string
	// Timeout bounds one exchange with the host; 0 means one minute.
	Timeout time.Duration
}

// cacheSize bounds the objects that are kept in memory for each mirror.
const cacheSize = 32 * cache.MiByte

// maxPacks is after how many fetches and pushes a mirror is cloned anew,
// since go-git never packs what it gathers.
const maxPacks = 200

// Mirror is one branch of one remote. It is safe for concurrent use.
type Mirror struct {
	opts Options
	host host

	network sync.Mutex // one exchange with the host at a time
	mu      sync.Mutex // guards what follows; go-git's storage is not safe
	store   *filesystem.Storage
	head    plumbing.Hash
	fetches int
	suspect bool // something of the head could not be read
	shown   bool // the host showed this mirror its refs
	// capabilities are what the host said last that it can do; nil before.
	capabilities *capability.List
}

// Open prepares a mirror without asking the network. A damaged folder is
// emptied, since all of it can be fetched again.
func Open(_ context.Context, o Options) (*Mirror, error) {
	h, err := newHost(o)
	if err != nil {
		return nil, err
	}
	if err := o.follows(); err != nil {
		return nil, err
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	m := &Mirror{opts: o, host: h}
	if err := m.openStore(); err != nil {
		return nil, err
	}
	return m, nil
}

// openStore opens the storage and finds the head that was fetched last.
func (m *Mirror) openStore() error {
	if os.MkdirAll(m.opts.Dir, 0o700) != nil {
		return m.wipe()
	}
	m.store = filesystem.NewStorage(osfs.New(m.opts.Dir), cache.NewObjectLRU(cacheSize))
	m.head = plumbing.ZeroHash
	if m.store.Init() != nil {
		return m.wipe()
	}
	ref, err := m.store.Reference(m.refName())
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return nil
	}
	if err == nil {
		_, err = object.GetCommit(m.store, ref.Hash())
	}
	if err != nil {
		return m.wipe()
	}
	m.head = ref.Hash()
	packs, _ := filepath.Glob(filepath.Join(m.opts.Dir, "objects", "pack", "*.pack"))
	m.fetches = len(packs)
	return nil
}

// wipe empties a mirror that is damaged or has grown.
func (m *Mirror) wipe() error {
	m.head, m.fetches, m.suspect = plumbing.ZeroHash, 0, false
	if m.store != nil {
		_ = m.store.Close()
	}
	if err := os.RemoveAll(m.opts.Dir); err != nil {
		return fmt.Errorf("empty mirror %s: %w", m.opts.Dir, err)
	}
	if err := os.MkdirAll(m.opts.Dir, 0o700); err != nil {
		return fmt.Errorf("make mirror folder: %w", err)
	}
	m.store = filesystem.NewStorage(osfs.New(m.opts.Dir), cache.NewObjectLRU(cacheSize))
	if err := m.store.Init(); err != nil {
		return fmt.Errorf("prepare mirror in %s: %w", m.opts.Dir, err)
	}
	return nil
}

// Remove deletes the mirror's folder when whoever is at work with the host has
// ended. Nothing may be asked of the mirror any more.
func (m *Mirror) Remove() error {
	m.network.Lock()
	defer m.network.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.store.Close()
	if err := os.RemoveAll(m.opts.Dir); err != nil {
		return fmt.Errorf("remove mirror %s: %w", m.opts.Dir, err)
	}
	return nil
}

// Head is the commit that was fetched or pushed last, or nil before the
// first fetch. It asks nobody.
func (m *Mirror) Head() *Commit {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.head.IsZero() {
		return nil
	}
	c, err := m.commitLocked(m.head)
	if err != nil {
		return nil
	}
	return c
}

// setHead records where the branch is. The mutex is held.
func (m *Mirror) setHead(h plumbing.Hash) error {
	if m.head == h {
		return nil
	}
	if err := m.store.SetReference(plumbing.NewHashReference(m.refName(), h)); err != nil {
		return fmt.Errorf("record head in mirror: %w: %w", errDamaged, err)
	}
	m.head = h
	return nil
}

// hostError turns what go-git says into our sentinels, without credentials.
func (m *Mirror) hostError(doing string, err error) error {
	switch {
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		err = fmt.Errorf("%w: the repository is empty", ErrNoBranch)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		err = fmt.Errorf("%w: %w", ErrNoRepository, err)
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		m.host.refused()
		err = fmt.Errorf("%w: %w", ErrUnauthorized, err)
	}
	return fmt.Errorf("%s %s: %w", doing, m.opts.URL, err)
}
