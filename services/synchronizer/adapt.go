package synchronizer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/synchronizer/sync"
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

// opener opens mirrors of one repository. Its credentials are read at each
// opening and go to the address in the config alone.
func opener(cfg Config, r service.Repository, name events.GitRepository, dir string) func(context.Context, string) (sync.Mirror, error) {
	return func(ctx context.Context, branch string) (sync.Mirror, error) {
		o, err := gitconfig.Options(cfg, r)
		if err != nil {
			return nil, fmt.Errorf("repository %s: %w", name, err)
		}
		o.Branch, o.Dir = branch, filepath.Join(dir, events.EncodeKey(strings.ReplaceAll(string(name)+"@"+branch, "/", "_")))
		m, err := gitrepo.Open(ctx, o)
		if err != nil {
			return nil, err
		}
		return mirror{m}, nil
	}
}

// mirror is a mirror as the brain wants it.
type mirror struct{ m *gitrepo.Mirror }

func (m mirror) Fetch(ctx context.Context) (sync.Commit, error) {
	c, err := m.m.Fetch(ctx)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (m mirror) Between(ctx context.Context, from, to string) ([]sync.Commit, error) {
	commits, err := m.m.Between(ctx, from, to)
	if errors.Is(err, gitrepo.ErrGap) {
		return nil, fmt.Errorf("%w: %w", sync.ErrGap, err)
	}
	if err != nil {
		return nil, err
	}
	all := make([]sync.Commit, len(commits))
	for i, c := range commits {
		all[i] = c
	}
	return all, nil
}

func (m mirror) ChangedPaths(ctx context.Context, from, to string) ([]string, error) {
	return m.m.ChangedPaths(ctx, from, to)
}
