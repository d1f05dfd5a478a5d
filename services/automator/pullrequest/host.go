// Package pullrequest opens pull requests at Git hosts, updates them in place
// and closes them. What one host does differently is in one file; that every
// call may be repeated, as after a crash, is held here for all of them.
package pullrequest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/shared/service"
)

// State is what became of a pull request.
type State string

// The states. What a host calls declined or superseded is closed.
const (
	Open   State = "open"
	Merged State = "merged"
	Closed State = "closed"
)

// PR is a pull request as its host tells of it.
type PR struct {
	Number int64
	URL    string // for people
	State  State
	// Base and Head are the short names of the branches: Head is merged into
	// Base.
	Base, Head string
	// Commit is the id of the head branch's commit. Bitbucket Cloud cuts it to
	// 12 digits.
	Commit string
	// Merge is the commit of the base branch by which it was merged, empty
	// where it wasn't or the host doesn't tell.
	Merge       string
	Title, Body string
}

// Request is what a pull request shall be.
type Request struct {
	Base, Head  string // short names of branches of the same repository
	Title, Body string // plain text, Markdown
	// Labels are added where the host has labels; those of people stay.
	Labels []string
}

// Host makes the pull requests of one repository. All of its methods may be
// called again after a crash, and beside another replica. Their errors are
// [*StatusError] where the host answered, and wrap one of [ErrUnauthorized],
// [ErrNotFound], [ErrRefused] and [ErrRateLimited] where it is its answer.
type Host interface {
	// Open opens a pull request, or updates the one that is open already for
	// head and base.
	Open(ctx context.Context, r Request) (PR, error)
	// Update sets title, body and labels where they differ. Errs with
	// [ErrNotOpen] when the pull request was merged or closed meanwhile.
	Update(ctx context.Context, pr PR, r Request) error
	// Close says why, where comment isn't empty, and closes without merging.
	// One that is closed or merged already is no error, and nothing is said.
	Close(ctx context.Context, pr PR, comment string) error
	// Find gives the pull request of head and base: the open one, else the one
	// opened last. Those that come of forks are not ours.
	Find(ctx context.Context, base, head string) (PR, bool, error)
	// MaxBody is how many bytes a body may have.
	MaxBody() int
}

// Options are what a Host is made with beside the config.
type Options struct {
	// Transport sends the requests; nil is a copy of Go's default, which
	// knows the proxies of the environment.
	Transport http.RoundTripper
	// Now tells the time; nil is the clock's.
	Now func() time.Time
}

// row is one kind of host.
type row struct {
	kind string
	// maxBody is how many bytes of a body the host takes, in the worst case
	// of one byte a character.
	maxBody int
	dialect func(*client, repository) (dialect, error)
	sign    signer
}

// hosts are all kinds of hosts; service.GitHostKinds has the same names.
var hosts = []row{
	{"github", 65_536, newGitHub, bearer},
	{"gitlab", 1_048_576, newGitLab, bearer},
	{"gitea", 1_048_576, newGitea, giteaToken},
	{"forgejo", 1_048_576, newGitea, giteaToken},
	{"bitbucket-cloud", 32_768, newBitbucketCloud, bitbucketToken},
	{"bitbucket-datacenter", 32_768, newBitbucketDataCenter, bearer},
}

// dialect is what hosts do differently.
type dialect interface {
	// list gives the pull requests of head into base, newest first: the open
	// ones, or any. It may give others, too.
	list(ctx context.Context, base, head string, state State) ([]pull, error)
	get(ctx context.Context, number int64) (pull, error)
	create(ctx context.Context, r Request) (pull, error)
	// edit sets title and body and adds r's labels, which are those that are
	// missing.
	edit(ctx context.Context, p pull, r Request) error
	close(ctx context.Context, p pull, comment string) error
}

// New gives the host of a config repo. Errs with [service.ErrNoGitHost] where
// the config must say what kind of host it is.
func New(r service.Repository, o Options) (Host, error) {
	h, err := r.PullRequests()
	if err != nil {
		return nil, fmt.Errorf("prepare pull requests: host.%w", err)
	}
	i := slices.IndexFunc(hosts, func(r row) bool { return r.kind == h.Kind })
	if i < 0 {
		return nil, fmt.Errorf("prepare pull requests: nobody speaks to hosts of kind %q", h.Kind)
	}
	c, err := newClient(h, hosts[i].sign, o)
	if err != nil {
		return nil, fmt.Errorf("prepare pull requests: %w", err)
	}
	repo, err := repositoryOf(r, c.base.Path)
	if err != nil {
		return nil, fmt.Errorf("prepare pull requests: %w", err)
	}
	d, err := hosts[i].dialect(c, repo)
	if err != nil {
		return nil, fmt.Errorf("prepare pull requests: %w", err)
	}
	return &host{kind: h.Kind, maxBody: hosts[i].maxBody, d: d}, nil
}

// host holds for every dialect that calls may be repeated.
type host struct {
	kind    string
	maxBody int
	d       dialect
}

func (h *host) MaxBody() int { return h.maxBody }

func (h *host) Open(ctx context.Context, r Request) (PR, error) {
	if err := h.check(r); err != nil {
		return PR{}, fmt.Errorf("open pull request: %w", err)
	}
	if p, ok, err := h.find(ctx, r.Base, r.Head, Open); ok || err != nil {
		return h.adopt(ctx, p, r, err)
	}
	p, err := h.d.create(ctx, r)
	if errors.Is(err, ErrRefused) {
		// Another replica may have been faster.
		if found, ok, findErr := h.find(ctx, r.Base, r.Head, Open); ok && findErr == nil {
			return h.adopt(ctx, found, r, nil)
		}
	}
	if err != nil {
		return PR{}, fmt.Errorf("open pull request of %s: %w", r.Head, err)
	}
	return p.PR, nil
}

// adopt makes an open pull request what r says.
func (h *host) adopt(ctx context.Context, p pull, r Request, err error) (PR, error) {
	if err == nil {
		err = h.edit(ctx, p, r)
	}
	if err != nil {
		return PR{}, fmt.Errorf("open pull request of %s: %w", r.Head, err)
	}
	p.Title, p.Body = r.Title, r.Body
	return p.PR, nil
}

func (h *host) Update(ctx context.Context, pr PR, r Request) error {
	if err := h.check(r); err != nil {
		return fmt.Errorf("update pull request %d: %w", pr.Number, err)
	}
	p, err := h.d.get(ctx, pr.Number)
	if err == nil && p.State != Open {
		err = fmt.Errorf("%w: it is %s", ErrNotOpen, p.State)
	}
	if err == nil {
		err = h.edit(ctx, p, r)
	}
	if err != nil {
		return fmt.Errorf("update pull request %d: %w", pr.Number, err)
	}
	return nil
}

// edit asks for the changes that are needed, if any.
func (h *host) edit(ctx context.Context, p pull, r Request) error {
	missing := slices.DeleteFunc(slices.Clone(r.Labels), func(l string) bool {
		return slices.ContainsFunc(p.labels, func(have string) bool { return strings.EqualFold(have, l) })
	})
	if same(p.Title, r.Title) && same(p.Body, r.Body) && len(missing) == 0 {
		return nil
	}
	r.Labels = missing
	return h.d.edit(ctx, p, r)
}

// same compares texts as hosts keep them: some trim them, some write CRLF.
func same(a, b string) bool {
	plain := func(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }
	return plain(a) == plain(b)
}

func (h *host) Close(ctx context.Context, pr PR, comment string) error {
	p, err := h.d.get(ctx, pr.Number)
	if err == nil && p.State == Open {
		err = h.d.close(ctx, p, comment)
	}
	if errors.Is(err, ErrRefused) {
		// Somebody may have merged or closed it meanwhile.
		if now, getErr := h.d.get(ctx, pr.Number); getErr == nil && now.State != Open {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("close pull request %d: %w", pr.Number, err)
	}
	return nil
}

func (h *host) Find(ctx context.Context, base, head string) (PR, bool, error) {
	p, ok, err := h.find(ctx, base, head, Open)
	if err == nil && !ok {
		p, ok, err = h.find(ctx, base, head, "")
	}
	if err != nil {
		return PR{}, false, fmt.Errorf("find pull request of %s: %w", head, err)
	}
	return p.PR, ok, nil
}

// find gives the newest pull request in that state; an empty state is any.
func (h *host) find(ctx context.Context, base, head string, state State) (pull, bool, error) {
	all, err := h.d.list(ctx, base, head, state)
	for _, p := range all {
		if !p.fork && p.Head == head && p.Base == base && (state == "" || p.State == state) {
			return p, true, err
		}
	}
	return pull{}, false, err
}

// maxTitle is what every host takes.
const maxTitle = 255

func (h *host) check(r Request) error {
	switch {
	case r.Base == "" || r.Head == "" || r.Base == r.Head:
		return fmt.Errorf("%w: %q can't be merged into %q", ErrRefused, r.Head, r.Base)
	case strings.TrimSpace(r.Title) == "" || len(r.Title) > maxTitle || strings.ContainsAny(r.Title, "\r\n"):
		return fmt.Errorf("%w: the title must be one line of 1 to %d bytes", ErrRefused, maxTitle)
	case len(r.Body) > h.maxBody:
		return fmt.Errorf("%w: the body has %d bytes, and %s takes %d", ErrRefused, len(r.Body), h.kind, h.maxBody)
	}
	return nil
}
