package migrate

import (
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
