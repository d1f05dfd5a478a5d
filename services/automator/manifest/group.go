package manifest

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
)

// group is a reference in several fields.
type group struct {
	kind        groupKind
	owner       *yaml.Node // the entry, which fields can be added to
	repo        *yaml.Node
	tag, digest field
	// byDigest says that the chart always writes the digest.
	byDigest bool
}

type groupKind int

const (
	helmGroup groupKind = iota // repository, tag, digest
	entry                      // of a kustomization's images: name, newName, newTag, digest
	lone                       // a tag or a digest that a marker marks
)

// field is a key of a mapping and its value; both nil where it isn't there.
type field struct{ key, value *yaml.Node }

// findGroups finds the groups whose fields stand in a mapping: repository and
// tag, and the same behind a prefix, as in sidecarRepository and sidecarTag.
func (f *finder) findGroups(m *yaml.Node, parent string, p place) {
	f.repositoryGroup(m, parent, p)
	for i := 0; i+1 < len(m.Content); i += 2 {
		prefix, ok := strings.CutSuffix(m.Content[i].Value, "Repository")
		if !ok || prefix == "" {
			continue
		}
		f.take(parts{
			repo: field{m.Content[i], follow(m.Content[i+1])}, registry: f.keys.field(m, prefix+"Registry"),
			tag: f.keys.field(m, prefix+"Tag"), digest: f.keys.field(m, prefix+"Digest"),
			likely: imageLike(prefix) || imageLike(parent),
		}, p)
	}
}

func imageLike(name string) bool { return strings.Contains(strings.ToLower(name), "image") }

// repositoryGroup looks for the fields without a prefix. The repository is
// called repository; beside a tag also image, and in an image also name.
func (f *finder) repositoryGroup(m *yaml.Node, parent string, p place) {
	g := parts{
		registry: f.keys.field(m, "registry"), repo: f.keys.field(m, "repository"), byDigest: f.keys.field(m, "useDigest"),
		tag: f.keys.field(m, "tag", "imageTag"), digest: f.keys.field(m, "digest"), sha: f.keys.field(m, "sha"),
	}
	g.likely = imageLike(parent) || g.registry.value != nil || f.keys.field(m, "pullPolicy", "imagePullPolicy").value != nil
	if scalarText(g.registry.value) == "" {
		if usual := f.keys.field(m, "defaultRegistry"); usual.value != nil {
			g.registry = usual
		}
	}
	if scalarText(g.repo.value) == "" {
		if g.tag.value == nil {
			return
		}
		g.repo = f.keys.field(m, "image")
		if image, err := events.ParseImage(scalarText(g.repo.value), f.aliases); err == nil && image.Reference() != "" {
			return // a reference as a whole; the tag is another's
		}
		g.likely = g.likely || g.repo.value != nil
		if g.repo.value == nil && imageLike(parent) {
			g.repo = f.keys.field(m, "name")
		}
	}
	f.take(g, p)
}

// parts are the fields that may make a group.
type parts struct {
	registry, repo, tag, digest, sha, byDigest field
	// likely says that what is around them speaks of an image.
	likely bool
}

// take adds the group that the fields make, if they make one.
func (f *finder) take(g parts, p place) {
	if !isString(g.repo.value) || isEmpty(g.repo.value) {
		return
	}
	name := strings.TrimRight(scalarText(g.repo.value), "\n")
	switch registry := strings.TrimRight(scalarText(g.registry.value), "/"); {
	case registry != "":
		name = registry + "/" + name
	case f.global != "" && !strings.ContainsAny(strings.SplitN(name, "/", 2)[0], ".:"):
		name = strings.TrimRight(f.global, "/") + "/" + name
	}
	repo, err := events.ParseImageRepository(name, f.aliases)
	if err != nil {
		f.odd(g, name)
		return
	}
	explicit := repo.Host != "docker.io" || strings.Contains(name, "docker.io/")
	hasTag := g.tag.value != nil || g.digest.value != nil
	if !explicit && !g.likely && (p != values || !hasTag) || p != values && !hasTag {
		return
	}
	nodes := [3]*yaml.Node{g.repo.value, g.tag.value, g.digest.value}
	if f.groups[nodes] {
		return
	}
	f.groups[nodes], f.seen[g.repo.value] = true, true
	f.add(f.groupReference(g, repo, name))
}

func (f *finder) groupReference(g parts, repo events.ImageRepository, name string) Reference {
	r := Reference{
		Line: f.t.line(g.repo.value), Image: events.Image{Repository: repo}, name: name,
		group: &group{kind: helmGroup, repo: g.repo.value, tag: g.tag, digest: g.digest, byDigest: scalarText(g.byDigest.value) == "true"},
	}
	if g.tag.value != nil {
		r.Line = f.t.line(g.tag.value)
	}
	r.Image.Tag, r.Image.Digest, _ = strings.Cut(scalarText(g.tag.value), "@")
	if d := scalarText(g.digest.value); d != "" {
		r.Image.Digest = d
	}
	tag, digest := r.Image.Tag, r.Image.Digest
	switch {
	case scalarText(g.sha.value) != "":
		r.refused = "its field sha pins a digest without its algorithm, which is not known how to set"
	case (g.tag.value != nil && g.tag.value.Kind != yaml.ScalarNode) || (g.digest.value != nil && g.digest.value.Kind != yaml.ScalarNode):
		r.refused = "its tag or digest is not a scalar"
	case tag == "" && digest == "":
		r.refused = "it has no tag, so the chart's own appVersion counts: write the tag in use there once"
	case (tag != "" && !events.ValidTag(tag)) || (digest != "" && !events.ValidDigest(digest)):
		r.refused = "its tag or digest is none, such as a variable or a template"
	}
	return r
}

// odd is for a repository that can't be read as one: it may hold the whole
// reference, or a variable.
func (f *finder) odd(g parts, name string) {
	if f.seen[g.repo.value] {
		return
	}
	if image, err := events.ParseImage(name, f.aliases); err == nil {
		f.seen[g.repo.value] = true
		r := f.add(Reference{Line: f.t.line(g.repo.value), Image: image, name: repositoryOf(name), scalar: g.repo.value})
		if scalarText(g.tag.value) != "" || scalarText(g.digest.value) != "" {
			r.refused = "its repository has a tag or digest, and there is another beside it"
		}
		return
	}
	f.unreadable(g.repo.value, "repository: "+name+":"+scalarText(g.tag.value), "its repository can't be read, such as one with a variable or a template in it")
}
