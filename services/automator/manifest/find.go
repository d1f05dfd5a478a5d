package manifest

import (
	"path"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
)

// Reference is an image reference in a file.
type Reference struct {
	File string
	Line int
	// Image is the reference with its names written out.
	Image events.Image

	node  *yaml.Node // of a whole reference
	entry *yaml.Node // of a kustomization's images
}

var kustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// IsKustomization says whether a file is a kustomization by its name.
func IsKustomization(name string) bool {
	return slices.Contains(kustomizationNames, path.Base(name))
}

// Find lists the references of a file, in its order: every image of a
// Kubernetes object, and the entries of a kustomization's images.
func Find(name string, data []byte, aliases events.Aliases) ([]Reference, error) {
	t, err := read(name, data)
	if err != nil {
		return nil, err
	}
	return t.references(aliases), nil
}

func (t *text) references(aliases events.Aliases) []Reference {
	f := finder{t: t, aliases: aliases, seen: map[*yaml.Node]bool{}}
	for _, doc := range t.docs {
		switch {
		case doc.Kind != yaml.MappingNode:
		case IsKustomization(t.name):
			f.kustomization(doc)
		case value(doc, "apiVersion") != "" && value(doc, "kind") != "":
			f.object(doc)
		}
	}
	return f.found
}

// finder walks a file. What is anchored is met once.
type finder struct {
	t       *text
	aliases events.Aliases
	seen    map[*yaml.Node]bool
	found   []Reference
}

// notWorkloads are kinds whose image fields are data, not references.
var notWorkloads = []string{"ConfigMap", "Secret", "CustomResourceDefinition"}

func (f *finder) object(doc *yaml.Node) {
	if !slices.Contains(notWorkloads, value(doc, "kind")) {
		f.walk(doc)
	}
}

func (f *finder) walk(n *yaml.Node) {
	n = follow(n)
	switch {
	case n == nil || f.seen[n]:
	case n.Kind == yaml.SequenceNode:
		f.seen[n] = true
		for _, item := range n.Content {
			f.walk(item)
		}
	case n.Kind == yaml.MappingNode:
		f.seen[n] = true
		for i := 0; i+1 < len(n.Content); i += 2 {
			v := follow(n.Content[i+1])
			if n.Content[i].Value == "image" {
				f.whole(v)
				_, reference := get(v, "reference") // of an image volume
				f.whole(follow(reference))
			}
			f.walk(v)
		}
	}
}

// whole takes a scalar that is a reference as a whole.
func (f *finder) whole(n *yaml.Node) {
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || f.seen[n] {
		return
	}
	image, err := events.ParseImage(n.Value, f.aliases)
	if err != nil {
		return
	}
	f.seen[n] = true
	f.found = append(f.found, Reference{File: f.t.name, Line: n.Line, Image: image, node: n})
}

func (f *finder) kustomization(doc *yaml.Node) {
	_, images := get(doc, "images")
	images = follow(images)
	if images == nil || images.Kind != yaml.SequenceNode {
		return
	}
	for _, item := range images.Content {
		entry := follow(item)
		name := value(entry, "newName")
		if name == "" {
			name = value(entry, "name")
		}
		repo, err := events.ParseImageRepository(name, f.aliases)
		if err != nil {
			continue
		}
		f.found = append(f.found, Reference{
			File: f.t.name, Line: entry.Line, entry: entry,
			Image: events.Image{Repository: repo, Tag: value(entry, "newTag"), Digest: value(entry, "digest")},
		})
	}
}
