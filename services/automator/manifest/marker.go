package manifest

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
)

// Flux marks a scalar by a comment behind it on its line, such as
// # {"$imagepolicy": "flux-system:web:tag"}: the namespace and name of an
// ImagePolicy, and which part of the reference the scalar is; the whole of it
// where no part is named. A policy's name doesn't tell its image. So a whole
// reference and a name tell themselves, and a tag or digest that isn't in a
// group with its repository belongs to the image that the same policy marks
// elsewhere below the path, or that the ImagePolicy names through its
// ImageRepository, if these are there. It gets the tag or the digest alone.

var (
	markerKey = []byte(`$imagepolicy`)
	marker    = regexp.MustCompile(`^[ \t]+#[ \t]*(\{.*\})[ \t]*\r?$`)
)

// policies know which images Flux's policies stand for.
type policies struct {
	marked map[string][]events.ImageRepository // by namespace:name
	images map[string]events.ImageRepository   // of ImageRepositories
	refs   map[string]string                   // ImagePolicies' repositories
}

func newPolicies() *policies {
	return &policies{map[string][]events.ImageRepository{}, map[string]events.ImageRepository{}, map[string]string{}}
}

// learn reads Flux's own objects.
func (p *policies) learn(doc *yaml.Node, group, kind string, aliases events.Aliases) {
	if group != "image.toolkit.fluxcd.io" {
		return
	}
	namespace := scalarText(at(doc, "metadata", "namespace"))
	name := namespace + ":" + scalarText(at(doc, "metadata", "name"))
	switch kind {
	case "ImageRepository":
		if repo, err := events.ParseImageRepository(scalarText(at(doc, "spec", "image")), aliases); err == nil {
			p.images[name] = repo
		}
	case "ImagePolicy":
		ref := at(doc, "spec", "imageRepositoryRef")
		if n := value(ref, "namespace"); n != "" {
			namespace = n
		}
		p.refs[name] = namespace + ":" + value(ref, "name")
	}
}

func (p *policies) mark(policy string, repo events.ImageRepository) {
	if !slices.Contains(p.marked[policy], repo) {
		p.marked[policy] = append(p.marked[policy], repo)
	}
}

// of gives the images of a policy. An object without a namespace gets one when
// it is applied: only its name counts.
func (p *policies) of(policy string) []events.ImageRepository {
	if known := p.marked[policy]; len(known) > 0 {
		return known
	}
	_, name, _ := strings.Cut(policy, ":")
	for _, key := range []string{policy, ":" + name} {
		if ref, ok := p.refs[key]; ok {
			_, repository, _ := strings.Cut(ref, ":")
			for _, r := range []string{ref, ":" + repository} {
				if image, ok := p.images[r]; ok {
					return []events.ImageRepository{image}
				}
			}
		}
	}
	return nil
}

// marked is a scalar with a marker.
type marked struct {
	field
	policy, part string
}

// markers takes what Flux's markers mark.
func (f *finder) markers(doc *yaml.Node) {
	if !bytes.Contains(f.t.data, markerKey) {
		return
	}
	var all []marked
	f.collect(doc, &all)
	pieces := map[*yaml.Node]events.ImageRepository{}
	learn := func() {
		for _, r := range f.found {
			for _, n := range r.nodes() {
				pieces[n] = r.Image.Repository
			}
		}
	}
	learn()
	for _, m := range all {
		if _, known := pieces[m.value]; m.part == "" && !known {
			f.whole(m.value)
		}
	}
	learn()
	var loners []marked
	for _, m := range all {
		repo, known := pieces[m.value]
		if !known && m.part == "name" {
			named, err := events.ParseImageRepository(m.value.Value, f.aliases)
			repo, known = named, err == nil
		}
		switch {
		case known:
			f.policies.mark(m.policy, repo)
		case m.part == "tag" || m.part == "digest":
			loners = append(loners, m)
		}
	}
	for _, m := range loners {
		f.loner(m)
	}
}

func (f *finder) loner(m marked) {
	repos := f.policies.of(m.policy)
	for _, repo := range repos {
		r := Reference{Line: f.t.line(m.value), Image: events.Image{Repository: repo}, name: repo.String(), group: &group{kind: lone}}
		if m.part == "tag" {
			r.Image.Tag, r.group.tag = scalarText(m.value), m.field
		} else {
			r.Image.Digest, r.group.digest = scalarText(m.value), m.field
		}
		if len(repos) > 1 {
			r.refused = "its policy " + m.policy + " marks several images"
		}
		f.add(r)
	}
}

func (f *finder) collect(n *yaml.Node, all *[]marked) {
	for i, c := range n.Content {
		if c.Kind != yaml.ScalarNode {
			f.collect(c, all)
			continue
		}
		m := marked{field: field{value: c}}
		if n.Kind == yaml.MappingNode {
			if i%2 == 0 {
				continue
			}
			m.key = n.Content[i-1]
		}
		if f.marker(&m) {
			*all = append(*all, m)
		}
	}
}

// marker reads the comment behind a scalar.
func (f *finder) marker(m *marked) bool {
	at, err := f.t.whole(m.value)
	if err != nil {
		return false
	}
	if comment := bytes.TrimLeft(f.t.data[at.end:min(at.end+64, len(f.t.data))], " \t"); len(comment) > 0 && comment[0] != '#' {
		return false // the line may be long, and hold many scalars
	}
	found := marker.FindSubmatch(f.t.data[at.end:f.t.lineEnd(at.end)])
	if found == nil {
		return false
	}
	var comment struct {
		Policy string `json:"$imagepolicy"`
	}
	if err := json.Unmarshal(found[1], &comment); err != nil {
		return false
	}
	p := strings.Split(comment.Policy, ":")
	if len(p) < 2 || len(p) > 3 {
		return false
	}
	m.policy = p[0] + ":" + p[1]
	if len(p) == 3 {
		m.part = p[2]
	}
	return slices.Contains([]string{"", "name", "tag", "digest"}, m.part)
}
