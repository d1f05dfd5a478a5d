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

// Back walks from a commit along the first parents, the newest first, itself
// included, until look is false or the history ends; at most max commits. More
// history is fetched where the mirror has less.
func (m *Mirror) Back(ctx context.Context, from *Commit, most int, look func(*Commit) bool) error {
	at := from.c.Hash
	deepened := false
	for range most {
		c, err := m.Commit(at.String())
		if errors.Is(err, plumbing.ErrObjectNotFound) && !deepened {
			if err := m.lengthen(ctx, most); err != nil {
				return err
			}
			deepened = true
			c, err = m.Commit(at.String())
		}
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			return nil // the host has no more
		}
		if err != nil {
			return err
		}
		if !look(c) || len(c.c.ParentHashes) == 0 {
			return nil
		}
		at = c.c.ParentHashes[0]
	}
	return nil
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
