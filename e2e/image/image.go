// Package image builds container images from programs, without an engine: one
// layer on nothing, the same bytes for the same programs.
package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// User is who our own programs run as: nobody of the machine.
const User = 65532

// File is a file of an image, or with Dir a folder.
type File struct {
	Path string // absolute
	Data []byte
	Link string // where a symbolic link points to; the file is one if it isn't empty
	Mode int64
	Dir  bool
	User int // owner and group
}

// Spec is what an image is made of.
type Spec struct {
	Platform   v1.Platform
	Files      []File
	Entrypoint []string
	Env        []string
	WorkingDir string
	User       int
	Labels     map[string]string
}

// epoch is when every file and image was made: the time of a build is no part of
// what was built.
var epoch = time.Unix(0, 0).UTC()

// Build makes the image. Its digest depends on the spec alone.
func (s Spec) Build() (v1.Image, error) { return s.build(true) }

// Plain makes the same image with its layer not compressed, for an engine of this
// machine: the id, which counts there, is the same.
func (s Spec) Plain() (v1.Image, error) { return s.build(false) }

func (s Spec) build(compress bool) (v1.Image, error) {
	files, err := s.tar()
	if err != nil {
		return nil, fmt.Errorf("build an image: %w", err)
	}
	layer, err := layerOf(files, compress)
	if err != nil {
		return nil, fmt.Errorf("build an image: %w", err)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(base, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "slipway"}})
	if err != nil {
		return nil, fmt.Errorf("build an image: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("build an image: %w", err)
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: epoch}
	config.OS, config.Architecture, config.Variant = s.Platform.OS, s.Platform.Architecture, s.Platform.Variant
	config.Config.Entrypoint, config.Config.Env, config.Config.WorkingDir = s.Entrypoint, s.Env, s.WorkingDir
	config.Config.User = fmt.Sprintf("%d:%d", s.User, s.User)
	config.Config.Labels = s.Labels
	return mutate.ConfigFile(image, config)
}

func layerOf(files []byte, compress bool) (v1.Layer, error) {
	if !compress {
		return static.NewLayer(files, types.OCIUncompressedLayer), nil
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil }
	return tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression), tarball.WithCompressedCaching)
}

// tar writes the files in the order of their paths, each after the folders above it.
func (s Spec) tar() ([]byte, error) {
	all := map[string]File{}
	for _, f := range s.Files {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path {
			return nil, fmt.Errorf("%q is not an absolute, clean path", f.Path)
		}
		if _, twice := all[f.Path]; twice {
			return nil, fmt.Errorf("%s is there twice", f.Path)
		}
		all[f.Path] = f
	}
	for _, f := range s.Files {
		for dir := path.Dir(f.Path); dir != "/"; dir = path.Dir(dir) {
			if _, known := all[dir]; !known {
				all[dir] = File{Path: dir, Dir: true, Mode: 0o755}
			}
		}
	}
	paths := make([]string, 0, len(all))
	for p := range all {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	var out bytes.Buffer
	out.Grow(tarSize(all)) // a buffer that grows to a hundred megabytes is filled with zeros four times over
	w := tar.NewWriter(&out)
	for _, p := range paths {
		if err := write(w, all[p]); err != nil {
			return nil, fmt.Errorf("write %s: %w", p, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// tarSize is about what the archive of the files takes: each one's data and headers in
// blocks, and the end.
func tarSize(files map[string]File) int {
	const block, headers, end = 512, 3 * 512, 2 * 512
	size := end
	for _, f := range files {
		size += headers + (len(f.Data)+block-1)/block*block
	}
	return size
}

func write(w *tar.Writer, f File) error {
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: strings.TrimPrefix(f.Path, "/"), Size: int64(len(f.Data)), Mode: f.Mode,
		Uid: f.User, Gid: f.User, ModTime: epoch, Format: tar.FormatPAX,
	}
	switch {
	case f.Dir:
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	case f.Link != "":
		h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, f.Link, 0
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	_, err := w.Write(f.Data)
	return err
}
