package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// Change is what a commit does to the files of its parent.
type Change struct {
	// Files are whole new contents by path; nil deletes the file. A file
	// that exists keeps its mode.
	Files map[string][]byte
	// Message is the whole commit message.
	Message string
	// Name and Email are author and committer.
	Name, Email string
	// When is the time of author and committer.
	When time.Time
	// Signer signs the commit; nil leaves it unsigned.
	Signer Signer
}

// Push makes a commit on base and moves the branch from base to it, if that
// is where the branch is. It errs with [ErrMoved] when it isn't, and with
// [ErrRefused] when the host says no. After any other error it is unknown
// whether the commit arrived: fetch and look.
func (m *Mirror) Push(ctx context.Context, base *Commit, change Change) (*Commit, error) {
	m.network.Lock()
	defer m.network.Unlock()
	if m.opts.Branch == "" {
		return nil, fmt.Errorf("push to %s: only a branch can be pushed to", m.opts.URL)
	}
	ctx, cancel := context.WithTimeout(ctx, m.opts.Timeout)
	defer cancel()
	made, pack, err := m.commit(base, change)
	if err != nil {
		return nil, err
	}
	if err := m.sendPack(ctx, base.c.Hash, made.Hash, pack); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.setHead(made.Hash) != nil { // it has arrived all the same
		m.head, m.suspect = made.Hash, true
	}
	m.fetches++
	return m.wrap(made)
}

// commit writes the new objects to the mirror and packs them.
func (m *Mirror) commit(base *Commit, change Change) (*object.Commit, []byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &writer{m: m, base: base}
	tree, err := w.folder(".", change.Files)
	if err != nil {
		return nil, nil, err
	}
	by := object.Signature{Name: change.Name, Email: change.Email, When: change.When}
	c := &object.Commit{
		Author: by, Committer: by, Message: change.Message,
		TreeHash: tree, ParentHashes: []plumbing.Hash{base.c.Hash},
	}
	if err := sign(c, change.Signer); err != nil {
		return nil, nil, err
	}
	id, err := w.put(c)
	if err != nil {
		return nil, nil, err
	}
	var pack bytes.Buffer
	if _, err := packfile.NewEncoder(&pack, m.store, false).Encode(w.made, 0); err != nil {
		return nil, nil, fmt.Errorf("pack commit: %w", err)
	}
	made, err := object.GetCommit(m.store, id)
	if err != nil {
		return nil, nil, fmt.Errorf("read new commit: %w", err)
	}
	return made, pack.Bytes(), nil
}

// sign signs what the commit says without its signature.
func sign(c *object.Commit, s Signer) error {
	if s == nil {
		return nil
	}
	o := &plumbing.MemoryObject{}
	if err := c.EncodeWithoutSignature(o); err != nil {
		return fmt.Errorf("encode commit to sign: %w", err)
	}
	r, err := o.Reader()
	if err != nil {
		return fmt.Errorf("encode commit to sign: %w", err)
	}
	defer r.Close()
	message, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("encode commit to sign: %w", err)
	}
	c.PGPSignature, err = s.Sign(message) // the header is the same for both kinds
	return err
}

// writer makes the objects of one commit and remembers them for the pack.
type writer struct {
	m    *Mirror
	base *Commit
	made []plumbing.Hash
}

type encoder interface {
	Encode(plumbing.EncodedObject) error
}

func (w *writer) put(e encoder) (plumbing.Hash, error) {
	o := w.m.store.NewEncodedObject()
	if err := e.Encode(o); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("encode object: %w", err)
	}
	return w.store(o)
}

func (w *writer) store(o plumbing.EncodedObject) (plumbing.Hash, error) {
	h, err := w.m.store.SetEncodedObject(o)
	if err != nil {
		return h, fmt.Errorf("write object: %w", err)
	}
	w.made = append(w.made, h)
	return h, nil
}

func (w *writer) blob(data []byte) (plumbing.Hash, error) {
	o := w.m.store.NewEncodedObject()
	o.SetType(plumbing.BlobObject)
	out, err := o.Writer()
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("write blob: %w", err)
	}
	if _, err := out.Write(data); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("write blob: %w", err)
	}
	if err := out.Close(); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("write blob: %w", err)
	}
	return w.store(o)
}

// folder writes the folder dir of the base with the given files changed,
// their paths relative to dir. A folder that becomes empty gives the zero
// hash.
func (w *writer) folder(dir string, changed map[string][]byte) (plumbing.Hash, error) {
	entries := map[string]object.TreeEntry{}
	old, err := w.base.tree(dir)
	switch {
	case err == nil:
		for _, e := range old.Entries {
			entries[e.Name] = e
		}
	case !errors.Is(err, fs.ErrNotExist):
		return plumbing.ZeroHash, err // what can't be read must not get lost
	}
	below := map[string]map[string][]byte{}
	for p, data := range changed {
		name, rest, nested := strings.Cut(p, "/")
		if name == "" || name == "." || name == ".." || name == ".git" {
			return plumbing.ZeroHash, fmt.Errorf("write %q: not a path inside the repository", path.Join(dir, p))
		}
		if nested {
			if below[name] == nil {
				below[name] = map[string][]byte{}
			}
			below[name][rest] = data
			continue
		}
		if err := w.file(entries, name, data); err != nil {
			return plumbing.ZeroHash, fmt.Errorf("write %s: %w", path.Join(dir, p), err)
		}
	}
	for name, files := range below {
		if e, ok := entries[name]; ok && e.Mode != filemode.Dir {
			return plumbing.ZeroHash, fmt.Errorf("write below %s: it is not a folder", path.Join(dir, name))
		}
		h, err := w.folder(path.Join(dir, name), files)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		entries[name] = object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: h}
		if h.IsZero() {
			delete(entries, name)
		}
	}
	return w.tree(dir, entries)
}

func (w *writer) file(entries map[string]object.TreeEntry, name string, data []byte) error {
	if data == nil {
		delete(entries, name)
		return nil
	}
	mode := filemode.Regular
	if e, ok := entries[name]; ok {
		if !e.Mode.IsFile() || e.Mode == filemode.Symlink {
			return errors.New("it is a folder, symbolic link or submodule")
		}
		mode = e.Mode
	}
	h, err := w.blob(data)
	entries[name] = object.TreeEntry{Name: name, Mode: mode, Hash: h}
	return err
}

func (w *writer) tree(dir string, entries map[string]object.TreeEntry) (plumbing.Hash, error) {
	if len(entries) == 0 && dir != "." {
		return plumbing.ZeroHash, nil
	}
	t := &object.Tree{}
	for _, e := range entries {
		t.Entries = append(t.Entries, e)
	}
	sort.Sort(object.TreeEntrySorter(t.Entries))
	return w.put(t)
}

// sendPack moves the branch from old to now on the host. The old id makes
// the host compare and swap; no advertisement is asked for, since git hosts
// take any push whose old id is right.
func (m *Mirror) sendPack(ctx context.Context, old, now plumbing.Hash, pack []byte) error {
	s, err := m.host.pushSession(ctx)
	if err != nil {
		return m.hostError("connect to", err)
	}
	defer s.Close()
	req := packp.NewReferenceUpdateRequest()
	for _, c := range []capability.Capability{capability.ReportStatus, capability.Sideband64k} {
		if err := req.Capabilities.Set(c); err != nil {
			return fmt.Errorf("prepare push: %w", err)
		}
	}
	said := &words{}
	req.Progress = said
	req.Commands = []*packp.Command{{Name: m.refName(), Old: old, New: now}}
	req.Packfile = io.NopCloser(bytes.NewReader(pack))
	report, err := s.ReceivePack(ctx, req)
	if report == nil && err == nil {
		return m.hostError("push to", errors.New("the host gave no report"))
	}
	if report == nil || (report.UnpackStatus == "" && len(report.CommandStatuses) == 0) {
		return m.hostError("push to", err)
	}
	return m.verdict(report, said.String())
}

// verdict reads the host's report of a push.
func (m *Mirror) verdict(report *packp.ReportStatus, said string) error {
	if report.Error() == nil {
		return nil
	}
	var why []string
	moved := false
	if report.UnpackStatus != "ok" {
		why = append(why, "unpack: "+report.UnpackStatus)
	}
	for _, s := range report.CommandStatuses {
		if s.Status == "ok" {
			continue
		}
		why = append(why, s.ReferenceName.Short()+": "+s.Status)
		// What git's receive-pack says when the branch isn't where the
		// pusher thought, or when another push holds it at that moment.
		for _, sign := range []string{"failed to update ref", "fetch first", "non-fast-forward", "failed to lock", "reference already exists", "stale info"} {
			moved = moved || strings.Contains(s.Status, sign)
		}
	}
	if said != "" {
		why = append(why, said)
	}
	kind := ErrRefused
	if moved {
		kind = ErrMoved
	}
	return m.hostError("push to", fmt.Errorf("%w: %s", kind, strings.Join(why, ": ")))
}
