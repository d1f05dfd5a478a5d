package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/render"
)

// kustomizations are the folders that can be built and that no other
// kustomization below the path takes in, sorted.
func (f Folder) kustomizations(files []string) []string {
	taken, roots := map[string]bool{}, []string(nil)
	for _, name := range files {
		if !IsKustomization(name) {
			continue
		}
		doc := f.document(name)
		if doc == nil {
			continue // it can't be built, and its edit tells why
		}
		for _, list := range []string{"resources", "bases", "components"} {
			for _, e := range items(at(doc, list)) {
				taken[path.Join(path.Dir(name), scalarText(e))] = true
			}
		}
		if value(doc, "kind") != "Component" {
			roots = append(roots, path.Dir(name))
		}
	}
	roots = slices.DeleteFunc(roots, func(dir string) bool { return taken[dir] })
	slices.Sort(roots)
	return slices.Compact(roots)
}

// document is the one mapping of a file; nil where it has none.
func (f Folder) document(name string) *yaml.Node {
	data, err := readFile(f.FS, name)
	if err != nil {
		return nil
	}
	t, err := parse(name, chunk{data, 1})
	if err != nil || len(t.docs) != 1 || t.docs[0].Kind != yaml.MappingNode {
		return nil
	}
	return t.docs[0]
}

// overlay builds a kustomization with the edits so far, and adds entries for
// the images that still are what they were.
func (s *setter) overlay(ctx context.Context, root string) error {
	c := closure{setter: s, seen: map[string]bool{}}
	if !c.mayHold(root) || s.submodule(root) != "" {
		return nil
	}
	stale, err := s.stale(ctx, root, s.r.Files)
	if err != nil || len(stale) == 0 {
		return err
	}
	file, data, err := s.kustomizationOf(root)
	if err != nil {
		return err
	}
	var changed []Reference
	for _, i := range stale {
		target, _ := targetOf(i.Image.Repository, s.images)
		if data, err = AddEntry(file, data, i.Name, target); err != nil {
			return err
		}
		changed = append(changed, Reference{File: file, Image: i.Image})
	}
	files := maps.Clone(s.r.Files)
	files[file] = data
	still, err := s.stale(ctx, root, files)
	if err != nil {
		return err
	}
	if len(still) > 0 {
		return fmt.Errorf("%s:1: %w: %s stays %s even with an entry in images: it is set outside of %s, or in a field that an entry doesn't reach", file, ErrUnsafe, still[0].Name, still[0].Image.Reference(), s.Path)
	}
	s.r.Files[file] = data
	s.r.Changed = append(s.r.Changed, changed...)
	return nil
}

func (s *setter) kustomizationOf(root string) (string, []byte, error) {
	for _, name := range kustomizationNames {
		file := path.Join(root, name)
		if data, ok := s.r.Files[file]; ok {
			return file, data, nil
		}
		data, err := readFile(s.FS, file)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return file, data, err
		}
	}
	return "", nil, fmt.Errorf("%s: no kustomization", root)
}

// stale are the images in the build of root that should be another.
func (s *setter) stale(ctx context.Context, root string, edited map[string][]byte) ([]Rendered, error) {
	built, err := render.Render(ctx, render.Request{FS: Overlay(s.FS, edited), Path: root, Sealed: true, Charts: s.Charts, Bases: s.Bases})
	if err != nil {
		return nil, err
	}
	var stale []Rendered
	for _, i := range Images(built.Objects, s.Aliases) {
		target, wanted := targetOf(i.Image.Repository, s.images)
		same := i.Image.Tag == target.Tag && i.Image.Digest == target.Digest
		if wanted && !same && !slices.ContainsFunc(stale, func(s Rendered) bool { return s.Name == i.Name }) {
			stale = append(stale, i)
		}
	}
	return stale, nil
}

// closure looks through what a kustomization takes in, so that one that can't
// have the image isn't built.
type closure struct {
	*setter
	seen map[string]bool
}

// remote is what kustomize would fetch.
var remote = regexp.MustCompile(`://|^git@|^github\.com/|\.git(?:[/?]|$)|[?&]ref=`)

// mayHold says whether a folder's kustomization, or anything that it names,
// may hold one of the images: also when that isn't known.
func (c closure) mayHold(dir string) bool {
	if c.seen[dir] {
		return false
	}
	c.seen[dir] = true
	file, _, err := c.kustomizationOf(dir)
	if err != nil {
		return false
	}
	if c.fileMayHold(file) {
		return true
	}
	doc := c.document(file)
	return doc == nil || at(doc, "helmCharts") != nil || c.anyOf(dir, doc)
}

func (c closure) fileMayHold(name string) bool {
	data, err := readFile(c.FS, name)
	return err != nil || mayHold(data, c.images)
}

// anyOf follows every scalar of a kustomization that names a file or folder.
func (c closure) anyOf(dir string, n *yaml.Node) bool {
	if n.Kind == yaml.ScalarNode {
		name := path.Join(dir, n.Value)
		if remote.MatchString(n.Value) {
			return true
		}
		if c.seen[name] || !fs.ValidPath(name) || n.Value == "" || len(n.Value) > 1024 {
			return false
		}
		info, err := fs.Lstat(c.FS, name)
		switch {
		case err != nil:
			return false
		case info.IsDir():
			return c.mayHold(name)
		}
		c.seen[name] = true
		return c.fileMayHold(name)
	}
	for _, child := range n.Content {
		if c.anyOf(dir, child) {
			return true
		}
	}
	return false
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
	seen := map[Rendered]bool{}
	e := editor{aliases: aliases, policies: newPolicies()}
	for _, o := range objects {
		for _, r := range e.rendered(o) {
			i := Rendered{r.name, r.Image}
			if (r.group == nil || r.group.kind != lone) && !seen[i] {
				seen[i] = true
				all = append(all, i)
			}
		}
	}
	return all
}

// rendered finds the references of a rendered object.
func (e editor) rendered(o render.Object) []Reference {
	if !bytes.Contains(o.Raw, []byte("mage")) && !bytes.Contains(o.Raw, []byte("epository")) {
		return nil // it has no field for an image
	}
	t, err := parse(where(o.File), chunk{o.Raw, max(o.Line, 1)})
	if err != nil {
		return nil // it was rendered: it has been read before
	}
	return e.find(t).found
}

// where is a name for a rendered object's text: that of a kustomization would
// make it one.
func where(file string) string {
	if IsKustomization(file) {
		return path.Dir(file)
	}
	return file
}
