package gitrepo

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Commit is one commit of a mirror.
type Commit struct {
	m     *Mirror
	c     *object.Commit
	trees map[string]*object.Tree // by path; guarded by the mirror's mutex

	tag       string // by which it was found
	tagObject plumbing.Hash
}

// Commit gives the commit with that id, which must have been fetched.
func (m *Mirror) Commit(id string) (*Commit, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.commitLocked(plumbing.NewHash(id))
}

func (m *Mirror) commitLocked(h plumbing.Hash) (*Commit, error) {
	c, err := object.GetCommit(m.store, h)
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", h, err)
	}
	return m.wrap(c)
}

func (m *Mirror) wrap(c *object.Commit) (*Commit, error) {
	root, err := object.GetTree(m.store, c.TreeHash)
	if err != nil {
		return nil, fmt.Errorf("read tree of commit %s: %w", c.Hash, err)
	}
	return &Commit{m: m, c: c, trees: map[string]*object.Tree{".": root}}, nil
}

// Hash is the commit's id in hex.
func (c *Commit) Hash() string { return c.c.Hash.String() }

// Message is the whole message with its trailers.
func (c *Commit) Message() string { return c.c.Message }

// Author is "Name <mail>".
func (c *Commit) Author() string { return c.c.Author.Name + " <" + c.c.Author.Email + ">" }

// When is the committer's time.
func (c *Commit) When() time.Time { return c.c.Committer.When }

// TreeHash is the id of the folder or file at p, empty when there is none:
// equal ids mean equal content.
func (c *Commit) TreeHash(p string) (string, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if p = path.Clean(p); p == "." {
		return c.trees["."].Hash.String(), nil
	}
	e, err := c.entry(p)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return e.Hash.String(), nil
}

// tree gives the folder at p. The mirror's mutex is held.
func (c *Commit) tree(p string) (*object.Tree, error) {
	if t, ok := c.trees[p]; ok {
		return t, nil
	}
	e, err := c.entry(p)
	if err != nil {
		return nil, err
	}
	if e.Mode != filemode.Dir {
		return nil, fs.ErrNotExist
	}
	t, err := object.GetTree(c.m.store, e.Hash)
	if err != nil {
		return nil, fmt.Errorf("read folder %s: %w", p, c.broken(err))
	}
	c.trees[p] = t
	return t, nil
}

// broken says that something of the commit, which was fetched whole, can't be
// read. Of the head it has the next fetch begin anew.
func (c *Commit) broken(err error) error {
	if c.c.Hash == c.m.head {
		c.m.suspect = true
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

// entry gives what the parent folder of p says of it. The mutex is held.
func (c *Commit) entry(p string) (*object.TreeEntry, error) {
	parent, err := c.tree(path.Dir(p))
	if err != nil {
		return nil, err
	}
	name := path.Base(p)
	for i := range parent.Entries {
		if parent.Entries[i].Name == name {
			return &parent.Entries[i], nil
		}
	}
	return nil, fs.ErrNotExist
}

// FS gives the commit's files. Symbolic links and submodules are shown with
// their mode and can't be read; nothing is written to disk.
func (c *Commit) FS() fs.FS { return files{c} }

type files struct{ c *Commit }

// Open opens a file or folder.
func (f files) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	info, err := f.stat(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if info.IsDir() {
		entries, err := f.ReadDir(name)
		if err != nil {
			return nil, err
		}
		return &openDir{info: info, entries: entries}, nil
	}
	data, err := f.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &openFile{info: info, data: data}, nil
}

// Stat describes a file or folder without reading its content.
func (f files) Stat(name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrInvalid}
	}
	info, err := f.stat(name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return info, nil
}

func (f files) stat(name string) (fs.FileInfo, error) {
	f.c.m.mu.Lock()
	defer f.c.m.mu.Unlock()
	if name == "." {
		return info{name: ".", mode: fs.ModeDir | 0o755}, nil
	}
	e, err := f.c.entry(name)
	if err != nil {
		return nil, err
	}
	return f.c.info(e), nil
}

func (c *Commit) info(e *object.TreeEntry) info {
	i := info{name: e.Name, mode: modeOf(e.Mode)}
	if i.mode.IsRegular() {
		i.size, _ = c.m.store.EncodedObjectSize(e.Hash)
	}
	return i
}

func modeOf(m filemode.FileMode) fs.FileMode {
	switch m {
	case filemode.Dir:
		return fs.ModeDir | 0o755
	case filemode.Symlink:
		return fs.ModeSymlink | 0o777
	case filemode.Submodule:
		return fs.ModeIrregular
	case filemode.Executable:
		return 0o755
	default:
		return 0o644
	}
}

// ReadFile reads a regular file whole.
func (f files) ReadFile(name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrInvalid}
	}
	f.c.m.mu.Lock()
	defer f.c.m.mu.Unlock()
	data, err := f.c.read(name)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return data, nil
}

func (c *Commit) read(name string) ([]byte, error) {
	e, err := c.entry(name)
	if err != nil {
		return nil, err
	}
	if !modeOf(e.Mode).IsRegular() {
		return nil, fs.ErrInvalid
	}
	data, err := c.m.blob(e.Hash)
	if err != nil {
		return nil, c.broken(err)
	}
	return data, nil
}

// blob reads a file's bytes. The mutex is held.
func (m *Mirror) blob(h plumbing.Hash) ([]byte, error) { return m.object(plumbing.BlobObject, h) }

// ReadDir lists a folder, sorted by name.
func (f files) ReadDir(name string) ([]fs.DirEntry, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}
	f.c.m.mu.Lock()
	defer f.c.m.mu.Unlock()
	t, err := f.c.tree(name)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	entries := make([]fs.DirEntry, 0, len(t.Entries))
	for i := range t.Entries {
		entries = append(entries, fs.FileInfoToDirEntry(f.c.info(&t.Entries[i])))
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	return entries, nil
}
