package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Contains says whether the commit ancestor is head or lies behind it. More
// history is fetched when the mirror doesn't know.
func (m *Mirror) Contains(ctx context.Context, head *Commit, ancestor string) (bool, error) {
	if head.Hash() == ancestor {
		return true, nil
	}
	_, err := m.Between(ctx, ancestor, head.Hash())
	if errors.Is(err, ErrGap) {
		return false, nil
	}
	return err == nil, err
}

// Between gives the commits behind to that are not behind from, oldest
// first, to included. It errs with [ErrGap] when from is not behind to, as after
// a forced push; the commits are then those since the two parted, as far as the
// mirror has from and that isn't long ago, else none.
func (m *Mirror) Between(ctx context.Context, from, to string) ([]*Commit, error) {
	start, end := plumbing.NewHash(from), plumbing.NewHash(to)
	w, err := m.walk(start, end)
	for _, depth := range deeper {
		if err != nil || w.found || !w.cut {
			break
		}
		// That the mirror has from doesn't say that it has all since.
		if err := m.lengthen(ctx, depth); err != nil {
			return nil, err
		}
		w, err = m.walk(start, end)
	}
	switch {
	case err != nil:
		return nil, err
	case w.found:
		return w.commits, nil
	case w.cut && m.incomplete():
		return nil, fmt.Errorf("walk from %s to %s: commits are missing: %w", from, to, errDamaged)
	}
	err = fmt.Errorf("walk from %s to %s: %w", from, to, ErrGap)
	if w.parted && !w.cut {
		return w.commits, err
	}
	return nil, err
}

// walked is what lies behind a commit and not behind another.
type walked struct {
	commits []*Commit
	found   bool // the other was met
	parted  bool // what lies behind the other was
	cut     bool // the mirror's history ended before the other was
}

// incomplete says whether the mirror's history is said to have no end but the first commits,
// of which the caller misses some. It is fetched anew then.
func (m *Mirror) incomplete() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	shallows, err := m.store.Shallow()
	if err == nil && len(shallows) > 0 {
		return false // the host itself has no more
	}
	m.suspect = true
	return true
}

func (m *Mirror) walk(start, end plumbing.Hash) (w walked, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, _, err := m.behind(start, plumbing.ZeroHash, nil)
	missing := errors.Is(err, plumbing.ErrObjectNotFound)
	if err != nil && !missing {
		return w, err
	}
	fresh, cut, err := m.behind(end, start, old)
	if err != nil {
		return w, err
	}
	w.cut, w.found = cut, start == end
	for _, c := range fresh {
		w.found = w.found || slices.Contains(c.ParentHashes, start)
		w.parted = w.parted || slices.ContainsFunc(c.ParentHashes, func(p plumbing.Hash) bool { return old[p] != nil })
	}
	if missing { // whoever asks may want to read it, too
		w.cut, w.found = w.cut || w.found, false
	}
	order := make([]*object.Commit, 0, len(fresh))
	for _, c := range fresh {
		order = append(order, c)
	}
	for _, c := range oldestFirst(order) {
		wrapped, err := m.wrap(c)
		if err != nil {
			return walked{}, err
		}
		w.commits = append(w.commits, wrapped)
	}
	return w, nil
}

// behindLimit bounds a walk: past it, a commit that isn't found counts as
// out of line.
const behindLimit = 10_000

// behind collects the commits from tip back to stop or to what is in seen.
// Without stop only tip's own presence is asked for, and what lies close
// behind it is collected so that merges don't lead around it.
func (m *Mirror) behind(tip, stop plumbing.Hash, seen map[plumbing.Hash]*object.Commit) (map[plumbing.Hash]*object.Commit, bool, error) {
	found, cut := map[plumbing.Hash]*object.Commit{}, false
	limit := behindLimit
	if stop.IsZero() {
		limit = 100
	}
	queue := []plumbing.Hash{tip}
	for len(queue) > 0 && len(found) < limit {
		h := queue[0]
		queue = queue[1:]
		if h == stop || found[h] != nil || seen[h] != nil {
			continue
		}
		c, err := object.GetCommit(m.store, h)
		if errors.Is(err, plumbing.ErrObjectNotFound) && h != tip {
			cut = true
			continue
		}
		if err != nil {
			return nil, cut, fmt.Errorf("read commit %s: %w", h, err)
		}
		found[h] = c
		queue = append(queue, c.ParentHashes...)
	}
	return found, cut, nil
}

// oldestFirst orders commits so that parents come before their children.
func oldestFirst(commits []*object.Commit) []*object.Commit {
	byHash := map[plumbing.Hash]*object.Commit{}
	for _, c := range commits {
		byHash[c.Hash] = c
	}
	slices.SortFunc(commits, func(a, b *object.Commit) int {
		if d := a.Committer.When.Compare(b.Committer.When); d != 0 {
			return d
		}
		return slices.Compare(a.Hash[:], b.Hash[:])
	})
	var ordered []*object.Commit
	done := map[plumbing.Hash]bool{}
	var visit func(c *object.Commit)
	visit = func(c *object.Commit) {
		if done[c.Hash] {
			return
		}
		done[c.Hash] = true
		for _, p := range c.ParentHashes {
			if parent := byHash[p]; parent != nil {
				visit(parent)
			}
		}
		ordered = append(ordered, c)
	}
	for _, c := range commits {
		visit(c)
	}
	return ordered
}

// ChangedPaths gives the files that differ between two commits, sorted. An
// empty from means: every file of to.
func (m *Mirror) ChangedPaths(ctx context.Context, from, to string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var old *object.Tree
	if from != "" {
		c, err := m.commitLocked(plumbing.NewHash(from))
		if err != nil {
			return nil, err
		}
		old = c.trees["."]
	}
	c, err := m.commitLocked(plumbing.NewHash(to))
	if err != nil {
		return nil, err
	}
	var changed []string
	if err := m.diff(ctx, old, c.trees["."], "", &changed); err != nil {
		if ctx.Err() == nil {
			err = c.broken(err)
		}
		return nil, err
	}
	slices.Sort(changed)
	return changed, nil
}

// diff compares two folders, either of which may be nil, and descends only
// where their ids differ.
func (m *Mirror) diff(ctx context.Context, old, now *object.Tree, dir string, changed *[]string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries := map[string][2]*object.TreeEntry{}
	for side, t := range []*object.Tree{old, now} {
		if t == nil {
			continue
		}
		for i := range t.Entries {
			pair := entries[t.Entries[i].Name]
			pair[side] = &t.Entries[i]
			entries[t.Entries[i].Name] = pair
		}
	}
	for name, pair := range entries {
		a, b := pair[0], pair[1]
		if a != nil && b != nil && a.Hash == b.Hash && a.Mode == b.Mode {
			continue
		}
		subOld, err := m.subtree(a)
		if err != nil {
			return err
		}
		subNow, err := m.subtree(b)
		if err != nil {
			return err
		}
		p := path.Join(dir, name)
		if subOld != nil || subNow != nil {
			if err := m.diff(ctx, subOld, subNow, p, changed); err != nil {
				return err
			}
		}
		if isFile(a) || isFile(b) {
			*changed = append(*changed, p)
		}
	}
	return nil
}

func isFile(e *object.TreeEntry) bool { return e != nil && e.Mode != filemode.Dir }

func (m *Mirror) subtree(e *object.TreeEntry) (*object.Tree, error) {
	if e == nil || e.Mode != filemode.Dir {
		return nil, nil
	}
	return object.GetTree(m.store, e.Hash)
}
