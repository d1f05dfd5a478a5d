package manifest

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
)

// notWorkloads are kinds whose image fields are data, not references.
var notWorkloads = []string{"ConfigMap", "Secret", "CustomResourceDefinition"}

// notReferences are groups of kinds whose image fields say which images a
// rule is about, or a build is to make, not which one runs.
var notReferences = []string{
	"constraints.gatekeeper.sh", "image.toolkit.fluxcd.io", "kargo.akuity.io", "kyverno.io", "policies.kyverno.io",
	"policy.sigstore.dev", "shipwright.io", "skaffold", "slipway.dev",
}

// ours are Kubernetes' own groups with workloads; in them an image field is
// always a whole reference.
var ours = []string{"", "apps", "batch"}

// blocks reads the parts of an object that hold Helm values or a
// kustomization's images.
func (f *finder) blocks(doc *yaml.Node, group, kind string) {
	switch [2]string{group, kind} {
	case [2]string{"helm.toolkit.fluxcd.io", "HelmRelease"}:
		f.helmRelease(doc)
	case [2]string{"kustomize.toolkit.fluxcd.io", "Kustomization"}:
		f.entries(at(doc, "spec", "images"))
	case [2]string{"argoproj.io", "Application"}, [2]string{"argoproj.io", "ApplicationSet"}, [2]string{"slipway.dev", "Application"}:
		f.argo(doc)
	case [2]string{"helm.cattle.io", "HelmChart"}, [2]string{"helm.cattle.io", "HelmChartConfig"}:
		f.valuesText(at(doc, "spec", "valuesContent"))
	}
}

func (f *finder) object(doc *yaml.Node) {
	group, _, found := strings.Cut(value(doc, "apiVersion"), "/")
	if !found {
		group = ""
	}
	kind := value(doc, "kind")
	f.policies.learn(doc, group, kind, f.aliases)
	f.blocks(doc, group, kind)
	switch list := at(doc, "items"); {
	case list != nil && list.Kind == yaml.SequenceNode && strings.HasSuffix(kind, "List"):
		for _, item := range items(list) {
			if item != nil && item.Kind == yaml.MappingNode && !f.seen[item] {
				f.item(item, group, strings.TrimSuffix(kind, "List"))
			}
		}
	case slices.Contains(notWorkloads, kind) || slices.Contains(notReferences, group):
	case slices.Contains(ours, group):
		f.walk(doc, "", workload)
	default:
		f.walk(doc, "", custom)
	}
}

// item is an object in a list, which lends it its kind where it has none.
func (f *finder) item(item *yaml.Node, group, kind string) {
	switch {
	case value(item, "kind") != "":
		f.object(item)
	case !slices.Contains(notWorkloads, kind) && !slices.Contains(notReferences, group):
		f.walk(item, "", custom)
	}
}

func (f *finder) helmRelease(doc *yaml.Node) {
	spec := at(doc, "spec")
	f.values(at(spec, "values"))
	for _, r := range items(at(spec, "postRenderers")) {
		f.entries(at(r, "kustomize", "images"))
	}
}

// argo reads the sources of an Application, and of what an ApplicationSet
// makes them from, wherever they stand.
func (f *finder) argo(doc *yaml.Node) {
	sources := append(items(at(doc, "spec", "sources")), at(doc, "spec", "source"))
	template := at(doc, "spec", "template", "spec")
	sources = append(append(sources, items(at(template, "sources"))...), at(template, "source"))
	for _, s := range sources {
		if s == nil || s.Kind != yaml.MappingNode {
			continue
		}
		for _, image := range items(at(s, "kustomize", "images")) {
			f.whole(image)
		}
		if helm := at(s, "helm"); helm != nil {
			object, text := at(helm, "valuesObject"), at(helm, "values")
			trees := []*yaml.Node{object}
			if text != nil && text.Kind == yaml.MappingNode {
				object, text = text, nil
				trees = append(trees, object)
			}
			for _, tree := range trees {
				f.values(tree)
			}
			if nested := f.valuesText(text); nested != nil {
				trees = append(trees, nested.docs...)
			}
			f.parameters(items(at(helm, "parameters")), trees)
		}
	}
}

// valuesText reads values that are the text of a scalar.
func (f *finder) valuesText(n *yaml.Node) *text {
	if !isString(n) || f.seen[n] || strings.TrimSpace(n.Value) == "" || f.t.host != nil {
		return nil
	}
	f.seen[n] = true
	nested, err := f.t.nest(n)
	if err != nil {
		why := strings.TrimPrefix(err.Error(), f.t.name+":")
		f.unreadable(n, n.Value, "the values in it can't be edited: "+why)
		if n.Style&yaml.LiteralStyle != 0 {
			f.unread[len(f.unread)-1].line++ // the text begins below
		}
		return nil
	}
	inner := newFinder(nested, f.aliases, f.policies)
	inner.documents()
	f.found = append(f.found, inner.found...)
	f.unread = append(f.unread, inner.unread...)
	f.nested = append(f.nested, nested)
	return nested
}

// parameters reads Argo CD's list of names and values, such as image.tag. A
// repository that isn't there may be in the values, in the same place.
func (f *finder) parameters(list, trees []*yaml.Node) {
	fields := map[string]field{}
	var tags []string
	for _, p := range list {
		name, v := value(p, "name"), f.keys.field(p, "value")
		if v.value == nil {
			continue
		}
		fields[name] = v
		prefix, last := cutLast(name)
		switch {
		case last == "tag" || (last == "digest" && fields[join(prefix, "tag")].value == nil):
			tags = append(tags, prefix)
		case strings.HasSuffix(strings.ToLower(last), "image"):
			f.tagged(v.value)
		}
	}
	for _, prefix := range tags {
		g := parts{likely: true}
		for name, into := range map[string]*field{"registry": &g.registry, "repository": &g.repo, "tag": &g.tag, "digest": &g.digest} {
			*into = fields[join(prefix, name)]
		}
		for _, name := range []string{"name", "image"} {
			if g.repo.value == nil {
				g.repo = fields[join(prefix, name)]
			}
		}
		for _, tree := range trees {
			m := follow(tree)
			for name := range strings.SplitSeq(prefix, ".") {
				_, m = f.keys.get(m, name)
				m = follow(m)
			}
			if g.repo.value == nil && m != nil && m.Kind == yaml.MappingNode {
				g.repo, g.registry = f.keys.field(m, "repository"), f.keys.field(m, "registry")
			}
		}
		f.take(g, values)
	}
}

func cutLast(name string) (prefix, last string) {
	i := strings.LastIndexByte(name, '.')
	return name[:max(i, 0)], name[i+1:]
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// entries reads a list of images as kustomize knows them.
func (f *finder) entries(list *yaml.Node) {
	for _, e := range items(list) {
		if e == nil || e.Kind != yaml.MappingNode || f.seen[e] {
			continue
		}
		f.seen[e] = true
		name := value(e, "newName")
		if name == "" {
			name = value(e, "name")
		}
		repo, err := events.ParseImageRepository(name, f.aliases)
		if err != nil {
			f.unreadable(e, "image: "+name, "its name can't be read as an image's")
			continue
		}
		r := Reference{
			Line: f.t.line(e), name: name, group: &group{kind: entry, owner: e, tag: f.keys.field(e, "newTag"), digest: f.keys.field(e, "digest")},
			Image: events.Image{Repository: repo, Tag: scalarText(at(e, "newTag")), Digest: scalarText(at(e, "digest"))},
		}
		if value(e, "tagSuffix") != "" {
			r.refused = "its tagSuffix is added to every tag"
		}
		f.add(r)
	}
}

func (f *finder) kustomization(doc *yaml.Node) {
	f.entries(at(doc, "images"))
	for _, chart := range items(at(doc, "helmCharts")) {
		f.values(at(chart, "valuesInline"))
	}
}
