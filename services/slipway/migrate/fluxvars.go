package migrate

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// variable is an expression of Flux' postBuild, with its name.
var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)[^}]*\}`)

// maxNames is how many variables a note names.
const maxNames = 5

// variables tells of what Flux replaces in a HelmRelease, as in everything that a
// Kustomization applies. In ours that is for who applies our document, the root:
// the application's own variables are replaced in what its chart gives, where
// scripts have such expressions of their own.
func (f *flux) variables(s *source, holder *fluxApp, doc tree) {
	by := f.rootOf(s.file)
	if holder != nil {
		by = holder.s
	}
	text, err := yaml.Marshal(doc)
	if err != nil {
		return // it can't be written, which is told
	}
	var names []string
	for _, m := range variable.FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	if names = slices.Compact(slices.Sorted(slices.Values(names))); len(names) == 0 {
		return
	}
	more := ""
	if len(names) > maxNames {
		names, more = names[:maxNames], " and more"
	}
	who, unless := "a Kustomization above it replaces if it has postBuild", "if one does, "
	if by != nil && by.at("spec", "postBuild").there() {
		who, unless = "Kustomization "+by.namespace+"/"+by.name+" replaces", ""
	}
	s.at("spec").note(Different, "variables stand in it, which "+who+": "+strings.Join(names, ", ")+more,
		unless+"have the root replace them: give it spec.substitute with the ConfigMaps and Secrets of postBuild, in its own namespace; until then --root-vars does it for `slipway diff` and the cut-over")
}

// rootOf is the Kustomization that applies the folder of a file, and itself; nil
// where there is none.
func (f *flux) rootOf(file string) *source {
	var best *fluxApp
	for _, r := range f.roots {
		below := r.path == "." || strings.HasPrefix(file, r.path+"/")
		if below && (best == nil || len(r.path) > len(best.path)) {
			best = r
		}
	}
	if best == nil {
		return nil
	}
	return best.s
}

// root tells what becomes of the Kustomization that applies its own folder.
func (f *flux) root(a *fluxApp) {
	f.roots = append(f.roots, a)
	spec := a.s.at("spec")
	spec.take()
	spec.at("path").note(Different, "it applies the folder that it lies in: the root",
		"`slipway bootstrap --path "+a.path+"` makes the root Application; take Flux's own files out of the folder when all is cut over")
	if post := spec.at("postBuild"); post.there() {
		post.note(Different, "it replaces variables in all that lies below", "give the root Application the same spec.substitute, with ConfigMaps and Secrets of its own namespace")
	}
	ref := spec.at("sourceRef")
	if git := f.find(a.s, "GitRepository", cmp.Or(ref.at("namespace").text(), a.s.namespace), ref.at("name").text()); git != nil {
		git.at("spec", "ref").take() // bootstrap is told it
		git.at("spec", "url").take()
	}
}
