package synchronizer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/sync"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bus"
	"github.com/slipway-cd/slipway/shared/gitrepo"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitconfig"
	"github.com/slipway-cd/slipway/shared/service"
)

// queue is a queue of the bus whose items are wake-ups.
type queue struct{ q *bus.Queue }

// Put stores a wake-up.
func (q queue) Put(ctx context.Context, key string, w sync.Wake) error {
	item, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return q.q.Put(ctx, key, string(item))
}

// Run works through the queue. An item that can't be read, such as one of a
// newer version, still wakes.
func (q queue) Run(ctx context.Context, handle func(context.Context, sync.Work) error) error {
	return q.q.Run(ctx, func(ctx context.Context, w bus.Work) error {
		work := sync.Work{Key: w.Key, Tries: w.Tries, Since: w.Since}
		for _, item := range w.Items {
			wake := sync.Wake{Reason: sync.ReasonStart}
			if err := json.Unmarshal([]byte(item), &wake); err != nil {
				wake = sync.Wake{Reason: sync.ReasonStart}
			}
			work.Wakes = append(work.Wakes, wake)
		}
		return handle(ctx, work)
	})
}

// hostOf groups branches by their Git host.
func hostOf(key string) string {
	host, _, _ := strings.Cut(key, "/")
	return host
}

// mirrors opens mirrors below a folder.
type mirrors struct {
	cfg Config
	dir string
}

// own is where mirrors lie that nobody else may use, each in a folder of its
// own. It is emptied at the start: what was fetched with credentials of before
// is not found with others.
func (m mirrors) own() string { return filepath.Join(m.dir, "own") }

// opener opens mirrors of one repository. Its credentials are read at each
// opening and go to the address in the config alone.
func (m mirrors) opener(r service.Repository, name events.GitRepository) func(context.Context, api.Ref) (sync.Mirror, error) {
	return func(ctx context.Context, ref api.Ref) (sync.Mirror, error) {
		o, err := gitconfig.Options(m.cfg, r)
		if err != nil {
			return nil, fmt.Errorf("repository %s: %w", name, err)
		}
		if ref.Kind == api.RefBranch {
			o.Dir = filepath.Join(m.dir, events.EncodeKey(strings.ReplaceAll(string(name)+"@"+ref.Value, "/", "_")))
		}
		return m.open(ctx, o, ref)
	}
}

// openOwn opens a mirror with the credentials of an Application's own Secret.
// They go to its address alone.
func (m mirrors) openOwn(ctx context.Context, own sync.Own) (sync.Mirror, error) {
	o, err := ownOptions(own.Address, own.Secret)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", sync.ErrCredentials, err)
	}
	opened, err := m.open(ctx, o, own.Ref)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", sync.ErrCredentials, err)
	}
	return opened, nil
}

// open opens a mirror of what ref follows; without a folder in one of its own.
func (m mirrors) open(ctx context.Context, o gitrepo.Options, ref api.Ref) (sync.Mirror, error) {
	o.Branch, o.Tag, o.Commit = "", "", ""
	switch ref.Kind {
	case api.RefTag:
		o.Tag = ref.Value
	case api.RefCommit:
		o.Commit = ref.Value
	case api.RefSemver:
		v, err := api.ParseVersions(ref.Value)
		if err != nil {
			return nil, err
		}
		o.Versions = v
	default:
		o.Branch = ref.Value
	}
	own := o.Dir == ""
	if own {
		if err := os.MkdirAll(m.own(), 0o700); err != nil {
			return nil, fmt.Errorf("make a folder for mirrors: %w", err)
		}
		var err error
		if o.Dir, err = os.MkdirTemp(m.own(), "mirror-"); err != nil {
			return nil, fmt.Errorf("make a folder for a mirror: %w", err)
		}
	}
	opened, err := gitrepo.Open(ctx, o)
	if err != nil {
		if own {
			_ = os.RemoveAll(o.Dir)
		}
		return nil, err
	}
	return mirror{opened}, nil
}

// mirror is a mirror as the brain wants it.
type mirror struct{ m *gitrepo.Mirror }

func (m mirror) Fetch(ctx context.Context, told string) (sync.Commit, error) {
	c, err := m.m.FetchTold(ctx, told)
	if err != nil {
		return nil, err
	}
	return commit{c}, nil
}

// Remove deletes the mirror.
func (m mirror) Remove() error { return m.m.Remove() }

// commit is one as the brain wants it.
type commit struct{ *gitrepo.Commit }

// VerifiedBy gives the brain's own errors.
func (c commit) VerifiedBy(keys map[string][]byte) error {
	err := c.Commit.VerifiedBy(keys)
	switch {
	case errors.Is(err, gitrepo.ErrUntrusted):
		return said{err, sync.ErrUntrusted}
	case errors.Is(err, gitrepo.ErrKeys):
		return said{err, sync.ErrKeys}
	}
	return err
}

// said is one error that also is another.
type said struct {
	error
	is error
}

func (s said) Unwrap() []error { return []error{s.is, s.error} }

func (m mirror) Between(ctx context.Context, from, to string) ([]sync.Commit, error) {
	commits, err := m.m.Between(ctx, from, to)
	if errors.Is(err, gitrepo.ErrGap) {
		err = fmt.Errorf("%w: %w", sync.ErrGap, err)
	}
	all := make([]sync.Commit, len(commits))
	for i, c := range commits {
		all[i] = commit{c}
	}
	return all, err
}

func (m mirror) ChangedPaths(ctx context.Context, from, to string) ([]string, error) {
	return m.m.ChangedPaths(ctx, from, to)
}
