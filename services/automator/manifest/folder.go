package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/bases"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/render"
)

// Folder is a path of a repository whose references are to be set.
type Folder struct {
	// FS is the whole repository, since an overlay's bases may lie outside
	// of the path. Only files below Path are ever changed.
	FS   fs.FS
	Path string
	Helm render.Release // of a chart
	// Kustomize is what the Application adds to a kustomization, or by which it has a
	// chart post-rendered.
	Kustomize *api.KustomizeSource
	Ignore    []string // patterns of files that are not the Application's
	Aliases   events.Aliases
	// Vars and Lenient are those of [render.Request], by which edits are
	// proved.
	Vars    map[string]string
	Lenient bool
	// Charts brings a chart that lies outside of the repository.
	Charts charts.Source
	// Bases brings what kustomizations name beyond the repository.
	Bases bases.Source
	// chart has its files, once it is brought.
	chart fs.FS
}

// request renders the folder as it is in a file system. What is encrypted
// stays so: we have no keys.
func (f Folder) request(fsys fs.FS) render.Request {
	return render.Request{FS: fsys, Path: f.Path, Helm: f.Helm, Kustomize: f.Kustomize, Ignore: f.Ignore, Vars: f.Vars, Lenient: f.Lenient, Sealed: true, Charts: f.Charts, Bases: f.Bases}
}

// Result is what Set did.
type Result struct {
	// Files are the new contents of the files that change, by path.
	Files map[string][]byte
	// Changed are the references that were edited, as they were.
	Changed []Reference
	// Problems are references that should change and couldn't, each with
	// file and line.
	Problems []error
}

// maxFile bounds the files that are read, in bytes.
const maxFile = 64 << 20

// Set edits every reference below the path to one of the images'
// repositories. Where an overlay inherits the image from a base that is not
// edited, its kustomization gets an entry in images; and every kustomization
// is built again to see that the image is what it should be.
func (f Folder) Set(ctx context.Context, images []events.Image) (Result, error) {
	return f.set(ctx, images, func(string) bool { return true })
}

// set is Set for the files that are taken.
func (f Folder) set(ctx context.Context, images []events.Image, takes func(file string) bool) (Result, error) {
	files, err := render.Files(f.FS, f.Path, f.Ignore...)
	if err != nil {
		return Result{}, err
	}
	files = slices.DeleteFunc(files, func(file string) bool { return !takes(file) })
	s := &setter{Folder: f, images: images, policies: newPolicies(), foreign: map[string]string{}, r: Result{Files: map[string][]byte{}}}
	// What Flux's markers mark may be named in another file: files with
	// markers come last.
	var withMarkers []string
	for _, name := range files {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		if s.file(name, false) {
			withMarkers = append(withMarkers, name)
		}
	}
	for _, name := range withMarkers {
		s.file(name, true)
	}
	for _, root := range f.kustomizations(files) {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		if err := s.overlay(ctx, root); err != nil {
			s.r.Problems = append(s.r.Problems, err)
		}
	}
	return s.r, nil
}

// setter is one Set under way.
type setter struct {
	Folder
	images   []events.Image
	policies *policies
	foreign  map[string]string // the submodule that a folder lies in, or none
	r        Result
}

func (s *setter) problem(err error) { s.r.Problems = append(s.r.Problems, err) }

// file edits a file. With markers it only learns from it, and says so, unless
// it is told that all are known.
func (s *setter) file(name string, known bool) (later bool) {
	data, err := readFile(s.FS, name)
	if err != nil {
		s.problem(err)
		return false
	}
	if why := hidden(data); why != "" {
		s.problem(fmt.Errorf("%s:1: %w: %s, or leave it out with .slipwayignore", name, ErrUnsafe, why))
		return false
	}
	e := editor{name: name, images: s.images, aliases: s.Aliases, policies: s.policies}
	if !known && (bytes.Contains(data, markerKey) || bytes.Contains(data, []byte("image.toolkit.fluxcd.io"))) {
		e.gather(data)
		return true
	}
	if !mayHold(data, s.images) {
		return false
	}
	s.edit(e, data)
	return false
}

// edit edits a file's images: all at once, or, where one of them can't be
// edited, one by one, so that it keeps no other back.
func (s *setter) edit(e editor, data []byte) {
	out, changed, err := e.edit(data)
	if err != nil {
		out = data
		for _, i := range s.images {
			e.images = []events.Image{i}
			now, refs, err := e.edit(out)
			if err != nil {
				s.problem(err)
				continue
			}
			out, changed = now, append(changed, refs...)
		}
	}
	if len(changed) == 0 {
		return
	}
	if module := s.submodule(path.Dir(e.name)); module != "" {
		s.problem(fmt.Errorf("%s:%d: %w: it lies in %s, which is a submodule: edit it in its own repository", e.name, changed[0].Line, ErrUnsafe, module))
		return
	}
	s.r.Files[e.name] = out
	s.r.Changed = append(s.r.Changed, changed...)
}

// submodule is the folder below the path that a folder lies in and that is
// another repository's; empty when there is none.
func (s *setter) submodule(dir string) string {
	if dir == path.Clean(s.Path) || dir == "." || dir == "/" {
		return ""
	}
	if known, ok := s.foreign[dir]; ok {
		return known
	}
	module := ""
	if info, err := fs.Lstat(s.FS, path.Join(dir, ".git")); err == nil && info.Mode().IsRegular() {
		module = dir
	} else {
		module = s.submodule(path.Dir(dir))
	}
	s.foreign[dir] = module
	return module
}

// readFile reads a file that is not too large to be looked at.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case len(data) > maxFile:
		return nil, fmt.Errorf("%s:1: %w: it is larger than %d bytes: leave it out with .slipwayignore", name, ErrUnsafe, maxFile)
	}
	return data, nil
}

// hidden says why what a file holds can't be seen: it is what Git LFS keeps in
// place of a large file, or is written in two bytes a letter.
func hidden(data []byte) string {
	switch {
	case len(data) < 1024 && bytes.HasPrefix(data, []byte("version https://git-lfs.github.com/spec/")):
		return "it is a Git LFS pointer, and what it stands for isn't here: fetch it with git lfs pull"
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return "it is UTF-16: write it as UTF-8"
	}
	return ""
}

// Promote is [Folder.Set] for an application: it renders before and after the
// edit, and errs unless exactly the images changed.
func (f Folder) Promote(ctx context.Context, images []events.Image) (map[string][]byte, error) {
	if err := f.setByApplication(images); err != nil {
		return nil, err
	}
	f.Charts = charts.Pin(f.Charts) // one version before and after the edit
	before, err := render.Render(ctx, f.request(f.FS))
	if err != nil {
		return nil, err
	}
	if f.isChart() {
		return f.promoteChart(ctx, images, before.Objects)
	}
	r, err := f.Set(ctx, f.asWritten(images))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(r.Problems...); err != nil {
		return nil, err
	}
	return r.Files, f.proved(ctx, before.Objects, r.Files, images)
}

// setByApplication refuses images that the Application itself sets: its
// document is not a file of the folder.
func (f Folder) setByApplication(images []events.Image) error {
	if f.Kustomize == nil {
		return nil
	}
	for i, set := range f.Kustomize.Images {
		if set.NewTag == "" && set.Digest == "" {
			continue
		}
		for _, name := range []string{set.NewName, set.Name} {
			repository, err := events.ParseImageRepository(name, f.Aliases)
			if err != nil {
				continue
			}
			if _, wanted := targetOf(repository, images); wanted {
				where := "the path's kustomization"
				if f.isChart() {
					where = "the chart's values"
				}
				return fmt.Errorf("%w: the Application sets the reference itself, in spec.source.kustomize.images[%d] (%s): edit it there, or move it into %s", ErrUnsafe, i, name, where)
			}
			break // a new name counts alone
		}
	}
	return nil
}

// asWritten are the images, also under the names by which the files have them where the
// Application gives them another name alone: a mirror's, say.
func (f Folder) asWritten(images []events.Image) []events.Image {
	if f.Kustomize == nil {
		return images
	}
	written := slices.Clone(images)
	for _, set := range f.Kustomize.Images {
		if set.NewName == "" || set.NewTag != "" || set.Digest != "" {
			continue
		}
		from, err := events.ParseImageRepository(set.Name, f.Aliases)
		to, err2 := events.ParseImageRepository(set.NewName, f.Aliases)
		target, wanted := targetOf(to, images)
		if _, too := targetOf(from, written); err == nil && err2 == nil && wanted && !too {
			target.Repository = from
			written = append(written, target)
		}
	}
	return written
}
