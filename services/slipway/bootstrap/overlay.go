package bootstrap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/shared/render"
)

// overlay is a tree with files added to it.
type overlay struct {
	below fs.FS
	added map[string]string
}

// Open opens an added file, or what the tree has; of folders, one that has what
// both have.
func (o overlay) Open(name string) (fs.File, error) {
	if text, ok := o.added[name]; ok {
		return &file{entry{path.Base(name), int64(len(text)), 0o644}, strings.NewReader(text)}, nil
	}
	info, err := o.Stat(name)
	if err != nil || !info.IsDir() {
		return o.below.Open(name)
	}
	entries, err := o.ReadDir(name)
	return &folder{info, entries}, err
}

// ReadFile reads the added file, else that of the tree.
func (o overlay) ReadFile(name string) ([]byte, error) {
	if text, ok := o.added[name]; ok {
		return []byte(text), nil
	}
	return fs.ReadFile(o.below, name)
}

// Stat is of the added file or a folder for it, else of what the tree has.
func (o overlay) Stat(name string) (fs.FileInfo, error) {
	if text, ok := o.added[name]; ok {
		return entry{path.Base(name), int64(len(text)), 0o644}, nil
	}
	info, err := fs.Stat(o.below, name)
	if errors.Is(err, fs.ErrNotExist) && len(o.within(name)) > 0 {
		return entry{path.Base(name), 0, fs.ModeDir | 0o755}, nil
	}
	return info, err
}

// within are the entries of a folder that are added.
func (o overlay) within(dir string) map[string]fs.DirEntry {
	found := map[string]fs.DirEntry{}
	for name, text := range o.added {
		rest, below := strings.CutPrefix(name, dir+"/")
		if dir == "." {
			rest, below = name, true
		}
		if !below {
			continue
		}
		first, _, deeper := strings.Cut(rest, "/")
		e := entry{first, int64(len(text)), 0o644}
		if deeper {
			e = entry{first, 0, fs.ModeDir | 0o755}
		}
		found[first] = fs.FileInfoToDirEntry(e)
	}
	return found
}

// ReadDir has what both have.
func (o overlay) ReadDir(name string) ([]fs.DirEntry, error) {
	added := o.within(name)
	entries, err := fs.ReadDir(o.below, name)
	if err != nil && len(added) == 0 {
		return nil, err
	}
	for _, e := range entries {
		if _, known := added[e.Name()]; !known {
			added[e.Name()] = e
		}
	}
	return slices.SortedFunc(maps.Values(added), func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) }), nil
}

// entry describes what is added.
type entry struct {
	name string
	size int64
	mode fs.FileMode
}

func (e entry) Name() string       { return e.name }
func (e entry) Size() int64        { return e.size }
func (e entry) Mode() fs.FileMode  { return e.mode }
func (e entry) ModTime() time.Time { return time.Time{} }
func (e entry) IsDir() bool        { return e.mode.IsDir() }
func (e entry) Sys() any           { return nil }

type file struct {
	info entry
	*strings.Reader
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

type folder struct {
	info    fs.FileInfo
	entries []fs.DirEntry
}

func (f *folder) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *folder) Read([]byte) (int, error)   { return 0, errors.New("it is a folder") }
func (f *folder) Close() error               { return nil }

// ReadDir gives the rest of the entries, or n of them.
func (f *folder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(f.entries) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(f.entries) {
		n = len(f.entries)
	}
	part := f.entries[:n]
	f.entries = f.entries[n:]
	return part, nil
}

// renders wants the path to give what was added, and no object twice.
func (o Options) renders(ctx context.Context, fsys fs.FS, files map[string]string) error {
	result, err := render.Render(ctx, render.Request{FS: overlay{fsys, files}, Path: o.Path})
	if err != nil {
		return fmt.Errorf("%w: with what bootstrap adds, %s can't be rendered: %w", ErrInput, o.Path, err)
	}
	if !slices.ContainsFunc(result.Objects, func(r render.Object) bool {
		return r.Kind == "Application" && r.Name == RootName && r.Namespace == o.Namespace
	}) {
		var short []string
		for _, name := range sorted(files) {
			short = append(short, strings.TrimPrefix(name, o.Path+"/"))
		}
		return fmt.Errorf("%w: %s has a %s that leaves out what bootstrap adds: add %s to its resources, or name another --path",
			ErrInput, o.Path, result.Kind, strings.Join(short, ", "))
	}
	return nil
}

// at is a path below the namespace's folder.
func (o Options) at(name string) string { return path.Join(o.Path, o.Namespace, name) }
