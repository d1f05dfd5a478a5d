package manifest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/render"
)

// remote says that the chart lies outside of the repository.
func (f Folder) remote() bool { return f.Helm.Remote != api.ChartRef{} }

// withChart has the files of a chart that lies outside of the repository.
func (f Folder) withChart(ctx context.Context) (Folder, error) {
	if !f.remote() || f.Charts == nil {
		return f, nil
	}
	archive, err := f.Charts.Chart(ctx, f.Helm.Remote)
	if err != nil {
		return f, err
	}
	files, err := charts.Files(archive.Data, render.DefaultLimits.TotalBytes)
	if err != nil {
		return f, fmt.Errorf("chart %s: %w", f.Helm.Remote, err)
	}
	f.chart = newMemory(files)
	return f, nil
}

// ofChart is where the chart's own files are, none of which is edited where it
// lies outside of the repository.
func (f Folder) ofChart() (Folder, string) {
	if f.chart == nil {
		return f, f.chartDir()
	}
	return Folder{FS: f.chart, Path: ".."}, "."
}

// memory is a file system of a few files: by folder, what is in it.
type memory map[string][]packedIn

// packedIn is a file or a folder.
type packedIn struct {
	name string // without its folder
	data []byte
	dir  bool
}

func newMemory(files []charts.File) memory {
	m := memory{".": nil}
	for _, f := range files {
		e := packedIn{name: path.Base(f.Name), data: f.Data}
		for at := path.Dir(f.Name); ; at = path.Dir(at) {
			if slices.ContainsFunc(m[at], func(old packedIn) bool { return old.name == e.name }) {
				break
			}
			m[at] = append(m[at], e)
			if at == "." {
				break
			}
			e = packedIn{name: path.Base(at), dir: true}
		}
	}
	for _, all := range m {
		slices.SortFunc(all, func(a, b packedIn) int { return strings.Compare(a.name, b.name) })
	}
	return m
}

// Open opens a file or a folder.
func (m memory) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if _, isDir := m[name]; isDir {
		return &opened{packedIn: packedIn{name: path.Base(name), dir: true}, list: m[name], r: bytes.NewReader(nil)}, nil
	}
	for _, e := range m[path.Dir(name)] {
		if e.name == path.Base(name) {
			return &opened{packedIn: e, r: bytes.NewReader(e.data)}, nil
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// opened is an packedIn that is read.
type opened struct {
	packedIn
	list []packedIn
	r    *bytes.Reader
}

func (o *opened) Stat() (fs.FileInfo, error) { return info{o.packedIn}, nil }
func (o *opened) Read(p []byte) (int, error) { return o.r.Read(p) }
func (o *opened) Close() error               { return nil }

// ReadDir gives what is left of a folder, as [fs.ReadDirFile] has it.
func (o *opened) ReadDir(n int) (all []fs.DirEntry, err error) {
	if n > 0 && len(o.list) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(o.list) {
		n = len(o.list)
	}
	for _, e := range o.list[:n] {
		all = append(all, fs.FileInfoToDirEntry(info{e}))
	}
	o.list = o.list[n:]
	return all, nil
}

type info struct{ packedIn }

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return int64(len(i.data)) }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }

// Mode is that of a regular file or a folder.
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}
