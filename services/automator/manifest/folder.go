package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/render"
)

// Folder is a path of a repository whose references are to be set.
type Folder struct {
	// FS is the whole repository, since an overlay's bases may lie outside
	// of the path. Only files below Path are ever changed.
	FS      fs.FS
	Path    string
	Aliases events.Aliases
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

// Set edits every reference below the path to one of the images'
// repositories. Where an overlay inherits the image from a base that is not
// edited, its kustomization gets an entry in images; and every kustomization
// is built again to see that the image is what it should be.
func (f Folder) Set(ctx context.Context, images []events.Image) (Result, error) {
	files, err := render.Files(f.FS, f.Path)
	if err != nil {
		return Result{}, err
	}
	r := Result{Files: map[string][]byte{}}
	for _, name := range files {
		data, err := fs.ReadFile(f.FS, name)
		if err != nil {
			return Result{}, fmt.Errorf("read %s: %w", name, err)
		}
		if !mentions(data, images) {
			continue
		}
		out, changed, err := Edit(name, data, images, f.Aliases)
		switch {
		case err != nil:
			r.Problems = append(r.Problems, err)
		case len(changed) > 0:
			r.Files[name] = out
			r.Changed = append(r.Changed, changed...)
		}
	}
	roots, err := f.kustomizations(files)
	if err != nil {
		return Result{}, err
	}
	for _, root := range roots {
		if err := f.inherit(ctx, root, images, &r); err != nil {
			r.Problems = append(r.Problems, err)
		}
	}
	return r, nil
}

// mentions spares the parsing of files that can't hold a reference.
func mentions(data []byte, images []events.Image) bool {
	for _, i := range images {
		if bytes.Contains(data, []byte(path.Base(i.Repository.Path))) {
			return true
		}
	}
	return false
}

// kustomizations are the folders that can be built and that no other
// kustomization below the path takes in, sorted.
func (f Folder) kustomizations(files []string) ([]string, error) {
	taken, roots := map[string]bool{}, []string(nil)
	for _, name := range files {
		if !IsKustomization(name) {
			continue
		}
		data, err := fs.ReadFile(f.FS, name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		t, err := read(name, data)
		if err != nil || len(t.docs) != 1 {
			continue // the build tells
		}
		for _, list := range []string{"resources", "bases", "components"} {
			_, entries := get(t.docs[0], list)
			if entries = follow(entries); entries == nil {
				continue
			}
			for _, e := range entries.Content {
				taken[path.Join(path.Dir(name), e.Value)] = true
			}
		}
		if value(t.docs[0], "kind") != "Component" {
			roots = append(roots, path.Dir(name))
		}
	}
	roots = slices.DeleteFunc(roots, func(dir string) bool { return taken[dir] })
	slices.Sort(roots)
	return slices.Compact(roots), nil
}

// inherit builds a kustomization with the edits so far, and adds entries for
// the images that still are what they were.
func (f Folder) inherit(ctx context.Context, root string, images []events.Image, r *Result) error {
	stale, err := f.stale(ctx, root, images, r.Files)
	if err != nil || len(stale) == 0 {
		return err
	}
	file, data, err := f.kustomization(root, r.Files)
	if err != nil {
		return err
	}
	for _, s := range stale {
		target, _ := targetOf(s.Image.Repository, images)
		if data, err = AddEntry(file, data, s.Name, target); err != nil {
			return err
		}
		r.Changed = append(r.Changed, Reference{File: file, Image: s.Image})
	}
	added := map[string][]byte{file: data}
	for name, content := range r.Files {
		if name != file {
			added[name] = content
		}
	}
	still, err := f.stale(ctx, root, images, added)
	if err != nil {
		return err
	}
	if len(still) > 0 {
		return fmt.Errorf("%s: %w: %s stays %s even with an entry in images", file, ErrUnsafe, still[0].Name, still[0].Image.Reference())
	}
	r.Files[file] = data
	return nil
}

func (f Folder) kustomization(root string, edited map[string][]byte) (string, []byte, error) {
	for _, name := range kustomizationNames {
		file := path.Join(root, name)
		if data, ok := edited[file]; ok {
			return file, data, nil
		}
		data, err := fs.ReadFile(f.FS, file)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return file, data, err
		}
	}
	return "", nil, fmt.Errorf("%s: no kustomization", root)
}

// stale are the images in the build of root that should be another.
func (f Folder) stale(ctx context.Context, root string, images []events.Image, edited map[string][]byte) ([]Rendered, error) {
	built, err := render.Render(ctx, render.Request{FS: Overlay(f.FS, edited), Path: root})
	if err != nil {
		return nil, err
	}
	var stale []Rendered
	for _, i := range Images(built.Objects, f.Aliases) {
		target, wanted := targetOf(i.Image.Repository, images)
		same := i.Image.Tag == target.Tag && i.Image.Digest == target.Digest
		if wanted && !same && !slices.ContainsFunc(stale, func(s Rendered) bool { return s.Name == i.Name }) {
			stale = append(stale, i)
		}
	}
	return stale, nil
}

// Rendered is an image in rendered objects.
type Rendered struct {
	// Name is the repository as it is written there.
	Name  string
	Image events.Image
}

// Images lists the images of rendered objects, each reference once, in
// order.
func Images(objects []render.Object, aliases events.Aliases) []Rendered {
	var all []Rendered
	seen := map[string]bool{}
	take := func(v any) {
		s, ok := v.(string)
		if !ok || seen[s] {
			return
		}
		image, err := events.ParseImage(s, aliases)
		if err != nil {
			return
		}
		seen[s] = true
		name, _, _ := strings.Cut(s, "@")
		if image.Tag != "" {
			name = strings.TrimSuffix(name, ":"+image.Tag)
		}
		all = append(all, Rendered{name, image})
	}
	for _, o := range objects {
		if !slices.Contains(notWorkloads, o.Kind) {
			walkImages(o.Map, take)
		}
	}
	return all
}

func walkImages(v any, take func(any)) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range sortedKeys(v) {
			if key == "image" {
				take(v[key])
				if volume, ok := v[key].(map[string]any); ok {
					take(volume["reference"])
				}
			}
			walkImages(v[key], take)
		}
	case []any:
		for _, item := range v {
			walkImages(item, take)
		}
	}
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Promote is [Folder.Set] for an application: it renders before and after the
// edit, and errs unless exactly the images changed.
func (f Folder) Promote(ctx context.Context, images []events.Image) (map[string][]byte, error) {
	before, err := render.Render(ctx, render.Request{FS: f.FS, Path: f.Path})
	if err != nil {
		return nil, err
	}
	r, err := f.Set(ctx, images)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(r.Problems...); err != nil {
		return nil, err
	}
	after, err := render.Render(ctx, render.Request{FS: Overlay(f.FS, r.Files), Path: f.Path})
	if err != nil {
		return nil, fmt.Errorf("%w: after the edit it doesn't render: %w", ErrUnsafe, err)
	}
	return r.Files, Prove(before.Objects, after.Objects, images, f.Aliases)
}
