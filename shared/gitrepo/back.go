package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Back walks the history of a commit, itself included, the newest first and each commit
// before its parents, until look is false or the history ends. It goes along at most max
// first parents, and through what was merged into them. More history is fetched where the
// mirror has less.
func (m *Mirror) Back(ctx context.Context, from *Commit, most int, look func(*Commit) bool) error {
	const merged = 10 // commits for each first parent, at most, so that no walk is endless
	waiting, seen := []past{{from, true}}, map[plumbing.Hash]bool{from.c.Hash: true}
	deepened := false
	for firsts, looked := 0, 0; len(waiting) > 0 && firsts < most && looked < merged*most; looked++ {
		at := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		if at.first {
			firsts++
		}
		if !look(at.commit) {
			return nil
		}
		for i, hash := range at.commit.c.ParentHashes {
			if seen[hash] {
				continue
			}
			seen[hash] = true
			c, err := m.Commit(hash.String())
			if errors.Is(err, plumbing.ErrObjectNotFound) && !deepened {
				if err := m.lengthen(ctx, most); err != nil {
					return err
				}
				deepened = true
				c, err = m.Commit(hash.String())
			}
			if errors.Is(err, plumbing.ErrObjectNotFound) {
				continue // the host has no more
			}
			if err != nil {
				return err
			}
			waiting = insert(waiting, past{c, at.first && i == 0})
		}
	}
	return nil
}

// past is a commit that a walk is to come to.
type past struct {
	commit *Commit
	first  bool // by first parents alone
}

// insert puts a commit before those that are as old or newer: the last is the next.
func insert(waiting []past, p past) []past {
	i, _ := slices.BinarySearchFunc(waiting, p, func(a, b past) int { return a.commit.When().Compare(b.commit.When()) })
	return slices.Insert(waiting, i, p)
}

// lengthen brings the history up to a depth.
func (m *Mirror) lengthen(ctx context.Context, depth int) error {
	m.network.Lock()
	defer m.network.Unlock()
	ctx, cancel := context.WithTimeout(ctx, m.opts.Timeout)
	defer cancel()
	m.mu.Lock()
	shallows, err := m.store.Shallow()
	m.mu.Unlock()
	if err != nil {
		return fmt.Errorf("read shallow commits of mirror: %w", err)
	}
	if len(shallows) == 0 {
		return nil
	}
	return m.deepenTo(ctx, depth)
}

// Parent gives the commit's first parent; ok is false where it has none, or
// the mirror doesn't know it.
func (c *Commit) Parent() (parent *Commit, ok bool) {
	parents := c.Parents()
	if len(parents) == 0 {
		return nil, false
	}
	return parents[0], true
}

// ParentHash is the id of the commit's first parent, also where the mirror doesn't know that;
// empty where it has none.
func (c *Commit) ParentHash() string {
	if len(c.c.ParentHashes) == 0 {
		return ""
	}
	return c.c.ParentHashes[0].String()
}

// Parents gives the commit's parents, up to the first that the mirror doesn't
// know.
func (c *Commit) Parents() []*Commit {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	var all []*Commit
	for _, hash := range c.c.ParentHashes {
		p, err := object.GetCommit(c.m.store, hash)
		if err != nil {
			break
		}
		parent, err := c.m.wrap(p)
		if err != nil {
			break
		}
		all = append(all, parent)
	}
	return all
}

// Merges says whether the commit is a merge of the one with that id, which may
// be cut short.
func (c *Commit) Merges(id string) bool {
	if id == "" || len(c.c.ParentHashes) < 2 {
		return false
	}
	return slices.ContainsFunc(c.c.ParentHashes[1:], func(p plumbing.Hash) bool { return strings.HasPrefix(p.String(), id) })
}
