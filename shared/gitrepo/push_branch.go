package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/memory"
)

// OwnBranches begins the names of the branches that are ours to move and to
// delete; others belong to people.
const OwnBranches = "slipway/"

// PushBranch makes a commit on base and moves another branch of the remote to
// it, wherever that was before; a missing one is made. The branch must begin
// with [OwnBranches]. A branch that holds the same files on the same base
// already stays as it is, so that reviews of it stay valid, and its commit is
// returned. Errs with [ErrForeign] when the branch's last commit is neither over, by its id,
// which may be cut short as some hosts do, nor of the change's author; with [ErrMoved] when
// someone else moved the branch at that moment, and with [ErrRefused] when the host says no.
// The mirror's own branch and head stay as they are.
func (m *Mirror) PushBranch(ctx context.Context, base *Commit, branch, over string, change Change) (*Commit, error) {
	if err := m.checkOwn(branch); err != nil {
		return nil, fmt.Errorf("push branch: %w", err)
	}
	m.network.Lock()
	defer m.network.Unlock()
	ctx, cancel := context.WithTimeout(ctx, m.opts.Timeout)
	defer cancel()
	made, pack, err := m.commit(base, change)
	if err != nil {
		return nil, err
	}
	old, last, err := m.tip(ctx, branch)
	if err != nil {
		return nil, err
	}
	if last == nil || last.TreeHash != made.TreeHash || !slices.Equal(last.ParentHashes, made.ParentHashes) {
		if err := m.foreign(old, last, over, change.Email); err != nil {
			return nil, fmt.Errorf("push %s: %w", branch, err)
		}
		if err := m.at(branch).sendPack(ctx, old, made.Hash, pack); err != nil {
			return nil, err
		}
		old = made.Hash
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fetches++
	return m.commitLocked(old)
}

// DeleteBranch deletes a branch that begins with [OwnBranches]. Errs with [ErrForeign] when
// its last commit is neither the given one, by its id, nor of the author with that address.
// A branch that isn't there is no error.
func (m *Mirror) DeleteBranch(ctx context.Context, branch, commit, email string) error {
	if err := m.checkOwn(branch); err != nil {
		return fmt.Errorf("delete branch: %w", err)
	}
	m.network.Lock()
	defer m.network.Unlock()
	ctx, cancel := context.WithTimeout(ctx, m.opts.Timeout)
	defer cancel()
	old, last, err := m.tip(ctx, branch)
	if err != nil || old.IsZero() {
		return err
	}
	if err := m.foreign(old, last, commit, email); err != nil {
		return fmt.Errorf("delete %s: %w", branch, err)
	}
	return m.at(branch).sendPack(ctx, old, plumbing.ZeroHash, nil)
}

// foreign errs with [ErrForeign] where people have pushed to a branch of ours last. What is
// history of the mirror's own branch, which is nil, is nobody's to lose.
func (m *Mirror) foreign(old plumbing.Hash, last *object.Commit, ours, email string) error {
	const shortest = 7
	is := func(h plumbing.Hash) bool {
		return len(ours) >= shortest && strings.HasPrefix(h.String(), strings.ToLower(ours))
	}
	if last == nil || is(old) || last.Author.Email == email {
		return nil
	}
	// Hosts have a button that merges the base into the branch.
	if parents := last.ParentHashes; len(parents) == 2 && is(parents[0]) && m.knows(parents[1]) {
		return nil
	}
	return fmt.Errorf("%w: %.12s, by %s", ErrForeign, old, last.Author.Name)
}

func (m *Mirror) knows(commit plumbing.Hash) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.store.HasEncodedObject(commit) == nil
}

func (m *Mirror) checkOwn(branch string) error {
	if !strings.HasPrefix(branch, OwnBranches) || branch == m.opts.Branch {
		return fmt.Errorf("%q is not ours: it must begin with %s", branch, OwnBranches)
	}
	if err := plumbing.NewBranchReferenceName(branch).Validate(); err != nil {
		return fmt.Errorf("%q is not a name for a branch: %w", branch, err)
	}
	return nil
}

// at speaks to the same host of another branch. It has no store.
func (m *Mirror) at(branch string) *Mirror {
	o := m.opts
	o.Branch = branch
	return &Mirror{opts: o, host: m.host}
}

// look asks the host where the branch is, which is zero when it isn't there.
func (m *Mirror) look(ctx context.Context, branch string) (fetchSession, plumbing.Hash, *packp.AdvRefs, error) {
	s, err := m.host.fetchSession(ctx)
	if err != nil {
		return nil, plumbing.ZeroHash, nil, m.hostError("connect to", err)
	}
	adv, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		_ = s.Close()
		return nil, plumbing.ZeroHash, nil, m.hostError("ask for refs of", err)
	}
	return s, adv.References[plumbing.NewBranchReferenceName(branch).String()], adv, nil
}

// tip says where a branch is, zero where it isn't there, and gives that commit; nil where it
// is history of the mirror's own branch.
func (m *Mirror) tip(ctx context.Context, branch string) (at plumbing.Hash, c *object.Commit, err error) {
	s, at, adv, err := m.look(ctx, branch)
	if err != nil {
		return at, nil, err
	}
	defer s.Close()
	if at.IsZero() {
		return at, nil, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err = object.GetCommit(m.store, at)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		c, err = m.peek(ctx, s, adv, at)
	}
	return at, c, err
}

// peek brings one commit that another replica pushed, and keeps the commit
// alone: what else comes with it stays out of the mirror, which is one branch.
// Nil means that the commit is history of the mirror's own branch. The mutex
// is held.
func (m *Mirror) peek(ctx context.Context, s fetchSession, adv *packp.AdvRefs, want plumbing.Hash) (*object.Commit, error) {
	req := packp.NewUploadPackRequestFromCapabilities(adv.Capabilities)
	req.Wants = []plumbing.Hash{want}
	if !m.head.IsZero() {
		req.Haves = []plumbing.Hash{m.head}
	}
	req.Depth = packp.DepthCommits(1)
	if err := req.Capabilities.Set(capability.Shallow); err != nil {
		return nil, fmt.Errorf("prepare fetch: %w", err)
	}
	res, err := s.UploadPack(ctx, req)
	if errors.Is(err, transport.ErrEmptyUploadPackRequest) {
		return nil, nil
	}
	if err != nil {
		return nil, m.hostError("fetch from", err)
	}
	defer res.Close()
	scratch := memory.NewStorage()
	err = packfile.UpdateObjectStorage(scratch, demux(req.Capabilities, res, nil))
	if err != nil && !errors.Is(err, packfile.ErrEmptyPackfile) {
		return nil, m.hostError("receive objects from", err)
	}
	o, err := scratch.EncodedObject(plumbing.CommitObject, want)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", want, err)
	}
	if _, err := m.store.SetEncodedObject(o); err != nil {
		return nil, fmt.Errorf("write object: %w", err)
	}
	c, err := object.GetCommit(m.store, want)
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", want, err)
	}
	return c, nil
}
