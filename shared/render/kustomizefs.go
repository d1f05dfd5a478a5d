package render

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// fsRoot is where kustomize sees the repository.
const fsRoot = "/repository"

var errReadOnly = errors.New("the repository is read-only")

// kustomizeFS shows a commit to kustomize, file by file as it asks, and notes
// what it asked for: that is what the build depends on. A kustomization is
// scanned before kustomize sees it.
type kustomizeFS struct {
	src     *source
	asked   map[string]bool
	scanned map[string]error
	refused error // the first kustomization that was refused
}

var _ filesys.FileSystem = (*kustomizeFS)(nil)

func newKustomizeFS(src *source) *kustomizeFS {
	return &kustomizeFS{src: src, asked: map[string]bool{}, scanned: map[string]error{}}
}

func (k *kustomizeFS) absolute(dir string) string { return path.Join(fsRoot, dir) }

// used are the files that were asked for, whether or not they are there.
func (k *kustomizeFS) used() []string { return slices.Sorted(maps.Keys(k.asked)) }

// name is the path within the repository; ok is false outside of it.
func (k *kustomizeFS) name(p string) (string, bool) {
	p = path.Clean(filepath.ToSlash(p))
	if p == fsRoot {
		return ".", true
	}
	name, inside := strings.CutPrefix(p, fsRoot+"/")
	return name, inside
}

// stat looks a path up and notes files, and what isn't there. Directories are
// not noted: what counts in them is the files that are read.
func (k *kustomizeFS) stat(p string) (string, fs.FileInfo) {
	name, inside := k.name(p)
	if !inside {
		return "", nil
	}
	info := k.src.stat(name)
	if info == nil || !info.IsDir() {
		k.asked[name] = true
	}
	return name, info
}

func (k *kustomizeFS) Exists(p string) bool {
	_, info := k.stat(p)
	return info != nil
}

func (k *kustomizeFS) IsDir(p string) bool {
	_, info := k.stat(p)
	return info != nil && info.IsDir()
}

func (k *kustomizeFS) ReadFile(p string) ([]byte, error) {
	name, info := k.stat(p)
	if info == nil || info.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	data, err := k.src.read(name)
	if err != nil {
		k.refuse(err)
		return nil, err
	}
	if _, done := k.scanned[name]; !done {
		k.scanned[name] = k.scan(name, data)
	}
	return data, k.scanned[name]
}

func (k *kustomizeFS) refuse(err error) {
	if k.refused == nil {
		k.refused = err
	}
}

func (k *kustomizeFS) CleanedAbs(p string) (filesys.ConfirmedDir, string, error) {
	p = path.Clean(filepath.ToSlash(p))
	_, info := k.stat(p)
	if info == nil {
		return "", "", fmt.Errorf("%q is not in the repository: %w", strings.TrimPrefix(p, fsRoot+"/"), fs.ErrNotExist)
	}
	if info.IsDir() {
		return filesys.ConfirmedDir(p), "", nil
	}
	return filesys.ConfirmedDir(path.Dir(p)), path.Base(p), nil
}

func (k *kustomizeFS) ReadDir(p string) ([]string, error) {
	name, inside := k.name(p)
	if !inside {
		return nil, fs.ErrNotExist
	}
	k.asked[name] = true
	entries, err := fs.ReadDir(k.src.fsys, name)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (k *kustomizeFS) Glob(pattern string) ([]string, error) {
	name, inside := k.name(pattern)
	if !inside {
		return nil, nil
	}
	k.asked[path.Dir(name)] = true
	found, err := fs.Glob(k.src.fsys, name)
	for i := range found {
		found[i] = k.absolute(found[i])
	}
	return found, err
}

func (k *kustomizeFS) Walk(p string, walk filepath.WalkFunc) error {
	name, inside := k.name(p)
	if !inside {
		return fs.ErrNotExist
	}
	k.asked[name] = true
	return fs.WalkDir(k.src.fsys, name, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return walk(k.absolute(name), nil, err)
		}
		info, err := entry.Info()
		return walk(k.absolute(name), info, err)
	})
}

func (k *kustomizeFS) Create(string) (filesys.File, error) { return nil, errReadOnly }
func (k *kustomizeFS) Open(string) (filesys.File, error)   { return nil, errReadOnly }
func (k *kustomizeFS) Mkdir(string) error                  { return errReadOnly }
func (k *kustomizeFS) MkdirAll(string) error               { return errReadOnly }
func (k *kustomizeFS) RemoveAll(string) error              { return errReadOnly }
func (k *kustomizeFS) WriteFile(string, []byte) error      { return errReadOnly }
