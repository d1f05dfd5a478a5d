// Package fetch brings what kustomizations name beyond their repository: other
// repositories, and files. It brings only what it is allowed to.
package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/bases"
	"github.com/slipway-cd/slipway/shared/gate"
	"github.com/slipway-cd/slipway/shared/gitrepo"
)

// Options say what is brought, and how.
type Options struct {
	// Dir is where it is kept. One process uses it.
	Dir string
	// Allow are patterns of repositories and of addresses of files, as of
	// [bases.ParseAllowed].
	Allow []string
	// Git gives how the config has a repository reached, with its credentials.
	// nil: without any.
	Git func(address string) (gitrepo.Options, error)
	// Aliases are of Git hosts.
	Aliases events.Aliases
	// FileBytes bounds a file; 0 is 16 MiB.
	FileBytes int64
}

// Question is what is asked for.
type Question struct {
	bases.Address
	// Files says that a repository is of no use.
	Files bool
	// Config says that the config's credentials may be used.
	Config bool
	// Since is how old what is known may be. Zero: however old, also of before this
	// process began.
	Since time.Time
}

// Client brings bases. It is safe for concurrent use.
type Client struct {
	opts    Options
	allowed bases.Allowed
	gate    *gate.Gate

	mu    sync.Mutex
	known map[string]*entry
}

// entry is what is known of one address.
type entry struct {
	turn chan struct{} // one asks at a time; it guards the mirror

	mirror *gitrepo.Mirror

	mu    sync.Mutex
	base  bases.Base
	asked time.Time // zero: not by this process
	used  time.Time
}

const (
	// maxEntries is how many are kept, but for those that were used just now.
	maxEntries = 32
	justNow    = time.Minute

	defaultFileBytes = 16 << 20
)

// New makes a client. Nothing is asked, or made on disk, yet.
func New(o Options) (*Client, error) {
	allowed, err := bases.ParseAllowed(o.Allow)
	if err != nil {
		return nil, err
	}
	if o.FileBytes == 0 {
		o.FileBytes = defaultFileBytes
	}
	return &Client{opts: o, allowed: allowed, gate: gate.New(bases.ErrAway), known: map[string]*entry{}}, nil
}

// Fetch brings a base. It errs with one of the errors of package bases, or with
// the context's.
func (c *Client) Fetch(ctx context.Context, q Question) (bases.Base, error) {
	base, err := c.fetch(ctx, q)
	if err != nil {
		return bases.Base{}, fmt.Errorf("%s: %w", q.Address, err)
	}
	return base, nil
}

func (c *Client) fetch(ctx context.Context, q Question) (bases.Base, error) {
	may, err := c.may(q)
	if err != nil {
		return bases.Base{}, err
	}
	e := c.entry(q)
	if base, found := e.fresh(q); found {
		return base, nil
	}
	if err := c.gate.Wait(ctx, e.turn); err != nil {
		return bases.Base{}, err
	}
	defer func() { <-e.turn }()
	if base, found := e.fresh(q); found { // who waits shares the answer
		return base, nil
	}
	if q.Since.IsZero() {
		if base, found := c.before(ctx, q, may, e); found {
			e.set(base, time.Time{})
			return base, nil
		}
	}
	began := time.Now()
	base, err := c.ask(ctx, q, may, e)
	if err != nil {
		return bases.Base{}, err
	}
	e.set(base, began)
	return base, nil
}

// Known gives a base if this process has brought it, and nobody has to be asked.
func (c *Client) Known(q Question) (bases.Base, bool) {
	if _, err := c.may(q); err != nil {
		return bases.Base{}, false
	}
	c.mu.Lock()
	e := c.known[q.key()]
	c.mu.Unlock()
	if e == nil {
		return bases.Base{}, false
	}
	return e.fresh(q)
}

// means are the ways in which an address may be reached.
type means struct{ repository, file bool }

// may says how an address may be reached.
func (c *Client) may(q Question) (means, error) {
	m := means{repository: q.Clone != "" && !q.Files, file: q.File != ""}
	if !m.repository && !m.file {
		return m, fmt.Errorf("%w: a file is wanted, and this is a repository", bases.ErrBad)
	}
	repository, file := c.Places(q.Address)
	m.repository = m.repository && c.allowed.Match(repository, plain(q.Clone))
	m.file = m.file && c.allowed.Match(file, plain(q.File))
	switch {
	case m.repository || m.file:
		return m, nil
	case repository == "":
		repository = file
	}
	if plain(q.Clone) || plain(q.File) {
		return m, fmt.Errorf("%w: %s by plain http", bases.ErrNotAllowed, repository)
	}
	return m, fmt.Errorf("%w: %s", bases.ErrNotAllowed, repository)
}

// Places are those of an address, by the hosts' own names.
func (c *Client) Places(a bases.Address) (repository, file string) {
	repository, file = a.Places()
	if name, err := events.ParseGitRepository(a.Clone, c.opts.Aliases); err == nil && a.Clone != "" {
		repository = string(name)
	}
	return repository, file
}

func plain(address string) bool { return strings.HasPrefix(address, "http://") }

func (q Question) key() string {
	a := q.Address
	a.Dir = ""
	text, _ := json.Marshal(struct { //nolint:errchkjson // strings
		A             bases.Address
		Config, Files bool
	}{a, q.Config, q.Files})
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

func (c *Client) entry(q Question) *entry {
	key := q.key()
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.known[key]
	if e == nil {
		c.makeRoom()
		e = &entry{turn: make(chan struct{}, 1), used: time.Now()}
		c.known[key] = e
	}
	return e
}

// makeRoom forgets what was used least recently. Who renders from it just now can
// go on: it is not touched on disk before it is wanted anew. The mutex is held.
func (c *Client) makeRoom() {
	for len(c.known) >= maxEntries {
		var oldest string
		at := time.Now().Add(-justNow)
		for key, e := range c.known {
			e.mu.Lock()
			if e.used.Before(at) && len(e.turn) == 0 {
				oldest, at = key, e.used
			}
			e.mu.Unlock()
		}
		if oldest == "" {
			return
		}
		delete(c.known, oldest)
		c.tidy(oldest)
	}
}

// fresh gives what is known if it is new enough.
func (e *entry) fresh(q Question) (bases.Base, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.used = time.Now()
	if e.base.Version == "" {
		return bases.Base{}, false
	}
	exact := q.Exact() && e.base.Repository != nil
	return e.base, exact || q.Since.IsZero() || !e.asked.IsZero() && !e.asked.Before(q.Since)
}

func (e *entry) set(base bases.Base, asked time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.base, e.asked = base, asked
}

// folder is where one entry's files are.
func (c *Client) folder(key string) string { return filepath.Join(c.opts.Dir, key) }
