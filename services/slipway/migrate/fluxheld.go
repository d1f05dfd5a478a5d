package migrate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/slipway-cd/slipway/shared/render"
)

// kustomizations reads the Kustomizations: as those above them make them, which
// patch into them what all are to have, and else as they stand in their files.
func (f *flux) kustomizations() {
	made := map[*source][]*source{} // by the document that they are made of
	for _, s := range f.fromAbove() {
		if s.namespace == "" {
			s.namespace = f.sets.of(s.file)
		}
		all := made[s]
		switch {
		case len(all) > 0:
			s.at("spec").take() // it was read as it is rendered
		case !s.at("spec", "sourceRef").there():
			f.patch(s, "it names no source", "write what it sets")
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
	for _, o := range a.makes("Kustomization") {
		origin := f.origin(a, o)
		if origin == nil || origin == a.s || origin == a.s.origin {
			continue
		}
		names = append(names, o.Name)
		all := readMade(a.s.file, o, fluxGroup, origin, f.w.notes)
		f.made = append(f.made, all...)
		made[origin] = append(made[origin], all...)
	}
	if len(names) > 0 {
		more := ""
		if len(names) > 1 {
			more = fmt.Sprintf(" and %d more", len(names)-1)
		}
		a.s.at("spec", "path").note(Different, "it holds Kustomization "+names[0]+more, "take each out of it when that is cut over")
	}
}

// makes are the objects of one of Flux' kinds among what it renders.
func (a *fluxApp) makes(kind string) (all []render.Object) {
	for _, o := range a.rendered {
		if o.Kind == kind && fluxGroup(o.Group()) {
			all = append(all, o)
		}
	}
	return all
}

// patch reads a document that can only be a patch: it is in what it is put into.
func (f *flux) patch(s *source, lacks, do string) {
	s.at("spec").take()
	if !f.inSome(s.file) {
		s.at("spec").note(Missing, lacks+", and is in no path of a Kustomization that is read", "is it a patch? Then "+do+" into the Application that it is for")
	}
}

// fromAbove are the Kustomizations, those in whose paths others lie before these.
func (f *flux) fromAbove() []*source {
	all := f.of("Kustomization")
	paths := map[*source]string{}
	for _, s := range all {
		if p := s.at("spec", "path"); p.there() {
			paths[s] = cleanPath(p.peek())
		}
	}
	depth := map[*source]int{}
	for _, s := range all {
		for _, p := range paths {
			if under(p, s.file) {
				depth[s]++
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *source) int { return depth[a] - depth[b] })
	return all
}

// rootOf is the Kustomization that applies the folder of a file, and itself; nil
// where there is none.
func (f *flux) rootOf(file string) *source {
	var best *fluxApp
	for _, r := range f.roots {
		if under(r.path, file) && (best == nil || len(r.path) > len(best.path)) {
			best = r
		}
	}
	if best == nil {
		return nil
	}
	return best.s
}

// root tells what becomes of the Kustomization that applies itself.
func (f *flux) root(a *fluxApp) {
	f.roots = append(f.roots, a)
	spec := a.s.at("spec")
	spec.take()
	spec.at("path").note(Different, "it applies itself: the root",
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
