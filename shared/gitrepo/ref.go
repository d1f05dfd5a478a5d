package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

var (
	// ErrNoTag says that the remote has no such tag.
	ErrNoTag = errors.New("tag does not exist")
	// ErrNoRevision says that the remote has neither such a tag nor branch.
	ErrNoRevision = errors.New("revision does not exist")
	// ErrNoCommit says that the remote has no such commit, or that a tag names
	// none.
	ErrNoCommit = errors.New("commit does not exist")
)

// Versions chooses among a host's tags.
type Versions interface {
	// Greatest is the tag to follow; empty for none.
	Greatest(tags []string) string
	// String is the range as it is written.
	String() string
}

// ownRef is where a mirror that follows no branch keeps its head.
const ownRef = plumbing.ReferenceName("refs/slipway/head")

// target is what a mirror follows, as the host has it now.
type target struct {
	// want is the object to ask for, commit what it leads to.
	want, commit plumbing.Hash
	tag          string
}

// follows says that exactly one thing is followed.
func (o Options) follows() error {
	n := 0
	for _, given := range []bool{o.Branch != "", o.Tag != "", o.Versions != nil, o.Commit != "", o.Revision != ""} {
		if given {
			n++
		}
	}
	switch {
	case n == 0:
		return fmt.Errorf("open mirror of %s: no branch is named", o.URL)
	case n > 1:
		return fmt.Errorf("open mirror of %s: name one of branch, tag, versions, commit and revision", o.URL)
	case o.Commit != "" && !plumbing.IsHash(o.Commit):
		return fmt.Errorf("open mirror of %s: %q is not a whole commit id", o.URL, o.Commit)
	}
	return nil
}

func (m *Mirror) refName() plumbing.ReferenceName {
	if m.opts.Branch == "" {
		return ownRef
	}
	return plumbing.NewBranchReferenceName(m.opts.Branch)
}

// find looks for what is followed among the host's refs.
func (m *Mirror) find(adv *packp.AdvRefs) (target, error) {
	switch {
	case m.opts.Branch != "":
		head, ok := adv.References[m.refName().String()]
		if !ok {
			return target{}, fmt.Errorf("%w: %s", ErrNoBranch, m.opts.Branch)
		}
		return target{want: head, commit: head}, nil
	case m.opts.Commit != "":
		id := plumbing.NewHash(m.opts.Commit)
		return target{want: id, commit: id}, nil
	case m.opts.Revision != "":
		return findRevision(adv, m.opts.Revision)
	}
	tag := m.opts.Tag
	if m.opts.Versions != nil {
		var tags []string
		for name := range adv.References {
			if short, ok := strings.CutPrefix(name, "refs/tags/"); ok {
				tags = append(tags, short)
			}
		}
		if tag = m.opts.Versions.Greatest(tags); tag == "" {
			return target{}, fmt.Errorf("%w: of %d tags none is a version in the range %q", ErrNoTag, len(tags), m.opts.Versions)
		}
	}
	name := plumbing.NewTagReferenceName(tag).String()
	want, ok := adv.References[name]
	if !ok {
		return target{}, fmt.Errorf("%w: %s", ErrNoTag, tag)
	}
	commit := want
	if peeled, annotated := adv.Peeled[name]; annotated {
		commit = peeled
	}
	return target{want: want, commit: commit, tag: tag}, nil
}

// lookedFor are what Git puts before a name, one after the other:
// https://git-scm.com/docs/gitrevisions
var lookedFor = []string{"", "refs/", "refs/tags/", "refs/heads/"}

func findRevision(adv *packp.AdvRefs, name string) (target, error) {
	if name == string(plumbing.HEAD) {
		if adv.Head == nil {
			return target{}, fmt.Errorf("%w: the host names no default branch", ErrNoRevision)
		}
		return target{want: *adv.Head, commit: *adv.Head}, nil
	}
	for _, before := range lookedFor {
		if want, ok := adv.References[before+name]; ok {
			commit := want
			if peeled, annotated := adv.Peeled[before+name]; annotated {
				commit = peeled
			}
			return target{want: want, commit: commit}, nil
		}
	}
	return target{}, fmt.Errorf("%w: %s is neither a tag nor a branch", ErrNoRevision, name)
}

// commitOf reads the commit that a target leads to. The mutex is held.
func (m *Mirror) commitOf(t target) (*Commit, error) {
	o, err := m.store.EncodedObject(plumbing.AnyObject, t.commit)
	if err == nil && o.Type() != plumbing.CommitObject {
		what := "the id"
		if t.tag != "" {
			what = "the tag " + t.tag
		}
		return nil, m.hostError("look at", fmt.Errorf("%w: %s names a %s", ErrNoCommit, what, o.Type()))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	c, err := m.commitLocked(t.commit)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	c.tag, c.tagObject = t.tag, t.want
	return c, nil
}

// pinned is the commit that never moves, once the host has shown that we may
// have it; nil before.
func (m *Mirror) pinned() *Commit {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opts.Commit == "" || !m.shown || m.suspect {
		return nil
	}
	id := plumbing.NewHash(m.opts.Commit)
	c, err := m.commitOf(target{want: id, commit: id})
	if err != nil {
		return nil
	}
	return c
}

// downloadCommit brings a commit by its id, or where the host gives none that
// is no branch's head, through the history of all branches. The mutex is held.
func (m *Mirror) downloadCommit(ctx context.Context, s fetchSession, adv *packp.AdvRefs, id plumbing.Hash, depth int) error {
	err := m.download(ctx, s, adv, []plumbing.Hash{id}, depth)
	if err == nil && m.store.HasEncodedObject(id) == nil || ctx.Err() != nil || errors.Is(err, ErrUnauthorized) || errors.Is(err, errDamaged) {
		return err
	}
	for _, deep := range deeper {
		if deep < depth {
			continue
		}
		if err := m.downloadBranches(ctx, deep); err != nil {
			return err
		}
		if m.store.HasEncodedObject(id) == nil {
			return nil
		}
	}
	return m.hostError("look at", fmt.Errorf("%w: the host doesn't give %s, and none of its branches has it", ErrNoCommit, id))
}

// downloadBranches brings so many commits of every branch. The host may have
// ended the session before it.
func (m *Mirror) downloadBranches(ctx context.Context, depth int) error {
	s, err := m.host.fetchSession(ctx)
	if err != nil {
		return m.hostError("connect to", err)
	}
	defer s.Close()
	adv, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		return m.hostError("ask for refs of", err)
	}
	var heads []plumbing.Hash
	for name, head := range adv.References {
		if strings.HasPrefix(name, "refs/heads/") && !slices.Contains(heads, head) {
			heads = append(heads, head)
		}
	}
	if len(heads) == 0 {
		return m.hostError("look at", fmt.Errorf("%w: it has no branches", ErrNoBranch))
	}
	return m.download(ctx, s, adv, heads, depth)
}
