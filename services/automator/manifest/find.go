package manifest

import (
	"errors"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
)

// Reference is an image reference in a file.
type Reference struct {
	File string
	Line int
	// Image is the reference with its names written out.
	Image events.Image

	in   *text
	name string // the repository, as it is written
	// A reference is one scalar, or a group of fields.
	scalar *yaml.Node
	group  *group
	// refused says why it can't be edited; empty where it can.
	refused string
}

// unread is the text of an image field that can't be read as a reference: it
// has a variable, or is a template. Whose image it is isn't known.
type unread struct {
	in   *text
	line int // of the file
	text string
	why  string
}

var kustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// IsKustomization says whether a file is a kustomization by its name.
func IsKustomization(name string) bool {
	return slices.Contains(kustomizationNames, path.Base(name))
}

// chartNames are a chart's own files, which name charts and no images.
var chartNames = []string{"Chart.yaml", "Chart.lock", "requirements.yaml", "requirements.lock"}

// Find lists the references of a file, in its order: every image of a
// Kubernetes object, the entries of a kustomization's images, the images of
// Helm values, and what Flux's markers mark.
func Find(name string, data []byte, aliases events.Aliases) ([]Reference, error) {
	e := editor{name: name, aliases: aliases, policies: newPolicies()}
	e.gather(data)
	var all []Reference
	var faults []error
	for _, c := range split(data) {
		t, err := parse(name, c)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		all = append(all, e.find(t).found...)
	}
	return all, errors.Join(faults...)
}

// place says what a mapping belongs to.
type place int

const (
	workload place = iota // one of Kubernetes' own kinds
	custom                // another kind of object
	values                // Helm values, or any other mapping
)

// finder walks a document. What is anchored is met once.
type finder struct {
	t        *text
	aliases  events.Aliases
	policies *policies
	seen     map[*yaml.Node]bool
	keys     keys
	groups   map[[3]*yaml.Node]bool
	global   string // the registry that the values name for all images
	found    []Reference
	unread   []unread
	nested   []*text
}

func newFinder(t *text, aliases events.Aliases, p *policies) *finder {
	return &finder{t: t, aliases: aliases, policies: p, seen: map[*yaml.Node]bool{}, keys: keys{}, groups: map[[3]*yaml.Node]bool{}}
}

func (f *finder) documents() {
	for _, doc := range f.t.docs {
		before := len(f.found)
		switch {
		case doc.Kind != yaml.MappingNode || slices.Contains(chartNames, path.Base(f.t.name)):
		case IsKustomization(f.t.name):
			f.kustomization(doc)
		case value(doc, "apiVersion") != "" && value(doc, "kind") != "" && f.t.host == nil:
			f.object(doc)
		default:
			f.values(doc)
		}
		if f.t.host == nil {
			f.markers(doc)
		}
		if sops := at(doc, "sops"); value(sops, "mac") != "" && value(sops, "mac_only_encrypted") != "true" {
			for i := range f.found[before:] {
				f.found[before+i].refused = "SOPS has sealed the file, and would not decrypt it any more: edit it with sops"
			}
		}
	}
	f.dropBases()
	slices.SortStableFunc(f.found, func(a, b Reference) int { return a.Line - b.Line })
}

// dropBases takes out the groups without a tag that lend their repository, by
// an anchor, to one that has a tag.
func (f *finder) dropBases() {
	lent := map[*yaml.Node]bool{}
	for _, r := range f.found {
		if r.group != nil && r.refused == "" {
			lent[r.group.repo] = true
		}
	}
	f.found = slices.DeleteFunc(f.found, func(r Reference) bool {
		return r.group != nil && r.group.tag.value == nil && r.refused != "" && lent[r.group.repo]
	})
}

func (f *finder) values(doc *yaml.Node) {
	was := f.global
	f.global = scalarText(at(doc, "global", "imageRegistry"))
	f.walk(doc, "", values)
	f.global = was
}

func (f *finder) walk(n *yaml.Node, parent string, p place) {
	n = follow(n)
	switch {
	case n == nil || f.seen[n] || n.Kind == yaml.ScalarNode:
	case n.Kind == yaml.SequenceNode:
		f.seen[n] = true
		for _, item := range n.Content {
			if v := follow(item); p == values && parent == "images" && v != nil && v.Kind == yaml.ScalarNode {
				f.tagged(v)
			}
			f.walk(item, parent, p)
		}
	case n.Kind == yaml.MappingNode:
		f.seen[n] = true
		f.mapping(n, parent, p)
	}
}

func (f *finder) mapping(m *yaml.Node, parent string, p place) {
	if p != workload {
		f.findGroups(m, parent, p)
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, v := m.Content[i].Value, follow(m.Content[i+1])
		switch {
		case key == "image" && (p == values || (p == custom && !strings.HasSuffix(strings.ToLower(parent), "containers"))):
			f.bare(v)
		case key == "image":
			f.whole(v)
		case p == values && (parent == "images" || strings.HasSuffix(strings.ToLower(key), "image")):
			f.tagged(v)
		}
		if key == "image" {
			f.whole(at(v, "reference")) // of an image volume
		}
		f.walk(v, key, p)
	}
}

// whole takes a scalar that is a reference as a whole.
func (f *finder) whole(n *yaml.Node) *Reference {
	if !isString(n) || f.seen[n] {
		return nil
	}
	f.seen[n] = true
	_, written := unnamed(n.Value)
	image, err := events.ParseImage(written, f.aliases)
	if err != nil {
		f.unreadable(n, "image: "+strings.ReplaceAll(n.Value, "\n", " "), "it can't be read as an image reference, such as one with a variable or a template in it")
		return nil
	}
	return f.add(Reference{Line: f.t.line(n), Image: image, name: repositoryOf(written), scalar: n})
}

// bare is whole for values and fields of other kinds: what is done with an
// image without a tag is known of containers alone.
func (f *finder) bare(n *yaml.Node) {
	if r := f.whole(n); r != nil && r.Image.Tag == "" && r.Image.Digest == "" {
		r.refused = "it has no tag, and what is added to it isn't known: write the tag in use there once"
	}
}

// tagged is whole for fields that often hold something else.
func (f *finder) tagged(n *yaml.Node) {
	if !isString(n) || f.seen[n] {
		return
	}
	if image, err := events.ParseImage(strings.TrimRight(n.Value, "\n"), f.aliases); err != nil || image.Reference() != "" {
		f.whole(n)
	}
}

func (f *finder) add(r Reference) *Reference {
	r.File, r.in = f.t.name, f.t
	f.found = append(f.found, r)
	return &f.found[len(f.found)-1]
}

func (f *finder) unreadable(n *yaml.Node, text, why string) {
	f.unread = append(f.unread, unread{f.t, f.t.line(n), text, why})
}

// unnamed takes the "name=" off that Argo CD's images of a kustomization may
// begin with, and the line feed that a block ends with.
func unnamed(s string) (name, reference string) {
	s = strings.TrimRight(s, "\n")
	if i := strings.LastIndexByte(s, '='); i >= 0 {
		return s[:i+1], s[i+1:]
	}
	return "", s
}

// repositoryOf is a reference without tag and digest, as it is written.
func repositoryOf(s string) string {
	name, _, _ := strings.Cut(s, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return name
}
