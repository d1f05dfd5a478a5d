package render

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/slipway-cd/slipway/shared/bases"
	"github.com/slipway-cd/slipway/shared/charts"
)

// kustomizationNames are the names that kustomize looks for, in its order.
var kustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// source reads a repository within limits. Symbolic links are not followed:
// to it, they are not there.
type source struct {
	fsys   fs.FS
	limits Limits
	ignore []string        // patterns for the path, in front of its ignore file's
	dirs   map[string]bool // known to be directories, not links
	charts charts.Source
	// bases brings what kustomizations name beyond the repository; nil: nothing does.
	bases func(a bases.Address, files bool) (bases.Base, error)
	// cluster is what charts may ask; nil: nothing.
	cluster Cluster
	bytes   int64
	docs    int
	// generated counts the names that were made up, by what they are made of.
	generated map[string]int

	// decrypter is nil where there are no keys; sealed leaves what is encrypted
	// as it is then.
	decrypter func(format Format, data []byte) (plain []byte, values []string, err error)
	sealed    bool
	plain     map[string][]byte // what was decrypted, by file
	masks     Masks
}

// stat is fs.Lstat for what a render may read: nil for what isn't there, for
// links and what lies behind them, and for special files.
func (s *source) stat(name string) fs.FileInfo {
	if !fs.ValidPath(name) {
		return nil
	}
	for dir := path.Dir(name); dir != "." && !s.dirs[dir]; dir = path.Dir(dir) {
		info, err := fs.Lstat(s.fsys, dir)
		if err != nil || !info.IsDir() {
			return nil
		}
		s.dirs[dir] = true
	}
	info, err := fs.Lstat(s.fsys, name)
	if err != nil || (!info.IsDir() && !info.Mode().IsRegular()) {
		return nil
	}
	return info
}

func (s *source) isDir(name string) error {
	info := s.stat(name)
	switch {
	case info == nil:
		return &Error{
			File: name, Reason: ReasonPath, Message: "the path is not in the repository",
			Help: "check spec.source.path and the branch", Err: fs.ErrNotExist,
		}
	case !info.IsDir():
		return &Error{
			File: name, Reason: ReasonPath, Message: "the path is a file, not a directory",
			Help: "name the directory that holds it",
		}
	}
	return nil
}

func (s *source) isFile(name string) bool {
	info := s.stat(name)
	return info != nil && info.Mode().IsRegular()
}

// missing says whether there is nothing at a path of the repository, not even a link on
// the way to it.
func (s *source) missing(name string) bool {
	if !fs.ValidPath(name) {
		return false
	}
	if dir := path.Dir(name); dir != "." && s.stat(dir) == nil {
		return s.missing(dir)
	}
	_, err := fs.Lstat(s.fsys, name)
	return errors.Is(err, fs.ErrNotExist)
}

// read gives a file's plain bytes, within the limits.
func (s *source) read(name string) ([]byte, error) {
	data, err := s.readRaw(name)
	if err != nil {
		return nil, err
	}
	if format := FormatOf(name, data); format != "" {
		return s.decrypt(name, format, data)
	}
	return data, nil
}

// readRaw gives a file's bytes as they lie in the repository.
func (s *source) readRaw(name string) ([]byte, error) {
	f, err := s.fsys.Open(name)
	if err != nil {
		return nil, &Error{File: name, Reason: ReasonInvalid, Message: "read: " + err.Error(), Err: err}
	}
	defer func() { _ = f.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, s.limits.FileBytes+1))
	if err != nil {
		return nil, &Error{File: name, Reason: ReasonInvalid, Message: "read: " + err.Error(), Err: err}
	}
	s.bytes += int64(len(data))
	if int64(len(data)) > s.limits.FileBytes || s.bytes > s.limits.TotalBytes {
		return nil, &Error{
			File: name, Reason: ReasonTooLarge,
			Message: fmt.Sprintf("larger than the limit of %d bytes a file, %d in all", s.limits.FileBytes, s.limits.TotalBytes),
			Help:    "leave the file out with .slipwayignore, or split the application",
		}
	}
	return data, nil
}

// count takes n documents from the limit.
func (s *source) count(file string, n int) error {
	s.docs += n
	if s.docs > s.limits.Documents {
		return &Error{
			File: file, Reason: ReasonTooLarge,
			Message: fmt.Sprintf("more than %d documents in one application", s.limits.Documents), Help: "split the application",
		}
	}
	return nil
}

// kustomization is the kustomization file of a directory; "" where there is
// none. Several are an error, as they are to kustomize.
func (s *source) kustomization(dir string) (string, error) {
	found := ""
	for _, name := range kustomizationNames {
		file := path.Join(dir, name)
		if !s.isFile(file) {
			continue
		}
		if found != "" {
			return "", &Error{
				File: file, Reason: ReasonInvalid,
				Message: fmt.Sprintf("there is also %s", path.Base(found)), Help: "keep one of them",
			}
		}
		found = file
	}
	return found, nil
}

// refuseChart refuses a chart among plain files.
func (s *source) refuseChart(dir string) error {
	chart := path.Join(dir, chartFile)
	if !s.isFile(chart) {
		return nil
	}
	return &Error{
		File: chart, Reason: ReasonUnsupported, Message: "a Helm chart lies among the files of an application that isn't one",
		Help: "name its folder in the application's path or helm.chart, or leave it out with .slipwayignore",
	}
}
