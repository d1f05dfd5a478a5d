package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kustomizations reads the Kustomizations: as those above them make them, which
// patch into them what all are to have, and else as they stand in their files.
func (f *flux) kustomizations(sets takenIn) {
	made := map[*source][]*source{} // by the document that they are made of
	for _, s := range f.fromAbove() {
		if s.namespace == "" {
			s.namespace = sets.of(s.file)
		}
		all := made[s]
		switch {
		case len(all) > 0:
			s.at("spec").take() // it was read as it is rendered
		case !s.at("spec", "sourceRef").there():
			s.at("spec").take() // a patch, which is in what it gives
			if !f.inSome(s.file) {
				s.at("spec").note(Missing, "it names no source, and is in no path of a Kustomization that is read", "is it a patch? Then write what it sets into the Application that it is for")
			}
			continue
		default:
			all = []*source{s}
		}
		for _, one := range all {
			if len(all) == 1 {
				one.file = s.file // else each lies beside who makes it
			}
			one.namespace = cmp.Or(one.namespace, s.namespace)
			if a := f.kustomization(one); a != nil {
				f.held(a, made)
			}
		}
	}
}

// held finds the Kustomizations that one makes.
func (f *flux) held(a *fluxApp, made map[*source][]*source) {
	var names []string
	for _, o := range a.rendered {
		if o.Kind != "Kustomization" || !fluxGroup(o.Group()) {
			continue
		}
		origin := f.origin(a, o)
		if origin == nil || origin == a.s || origin == a.s.origin {
			continue
		}
		names = append(names, o.Name)
		for _, s := range readFile(a.s.file, o.Raw, fluxGroup, f.w.notes) {
			s.origin = origin
			f.made = append(f.made, s)
			made[origin] = append(made[origin], s)
		}
	}
	if len(names) > 0 {
		more := ""
		if len(names) > 1 {
			more = fmt.Sprintf(" and %d more", len(names)-1)
		}
		a.s.at("spec", "path").note(Different, "it holds Kustomization "+names[0]+more, "take each out of it when that is cut over")
	}
}

// fromAbove are the Kustomizations, those in whose paths others lie before these.
func (f *flux) fromAbove() []*source {
	all := f.of("Kustomization")
	paths := map[*source]string{}
	for _, s := range all {
		if n := resolve(s.at("spec", "path").node); n != nil && n.Kind == yaml.ScalarNode {
			paths[s] = cleanPath(n.Value)
		}
	}
	depth := map[*source]int{}
	for _, s := range all {
		for _, p := range paths {
			if p == "." || strings.HasPrefix(s.file, p+"/") {
				depth[s]++
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *source) int { return depth[a] - depth[b] })
	return all
}
