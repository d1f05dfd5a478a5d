package manifest

import (
	"bytes"
	"io/fs"
)

// Overlay shows base with some files' contents replaced.
func Overlay(base fs.FS, files map[string][]byte) fs.FS {
	if len(files) == 0 {
		return base
	}
	return overlay{base, files}
}

type overlay struct {
	fs.FS
	files map[string][]byte
}

func (o overlay) Open(name string) (fs.File, error) {
	f, err := o.FS.Open(name)
	data, replaced := o.files[name]
	if err != nil || !replaced {
		return f, err
	}
	return &edited{File: f, r: bytes.NewReader(data)}, nil
}

func (o overlay) ReadFile(name string) ([]byte, error) {
	if data, replaced := o.files[name]; replaced {
		return bytes.Clone(data), nil
	}
	return fs.ReadFile(o.FS, name)
}

func (o overlay) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(o.FS, name) }
func (o overlay) Stat(name string) (fs.FileInfo, error)      { return fs.Stat(o.FS, name) }
func (o overlay) Lstat(name string) (fs.FileInfo, error)     { return fs.Lstat(o.FS, name) }
func (o overlay) ReadLink(name string) (string, error)       { return fs.ReadLink(o.FS, name) }

// edited is a file whose bytes come from elsewhere; its size is not used by
// anyone who reads to the end.
type edited struct {
	fs.File
	r *bytes.Reader
}

func (e *edited) Read(p []byte) (int, error) { return e.r.Read(p) }
