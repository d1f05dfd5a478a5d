package migrate

import (
	"cmp"
	"maps"
	"slices"
)

// dependencies writes dependsOn, once all applications are known. A Kustomization
// that holds nothing but HelmReleases has no Application: those of its HelmReleases
// wait in its place, and are waited for.
func (f *flux) dependencies() {
	on := map[*fluxApp][]any{}
	for _, a := range f.apps {
		for _, d := range a.s.at("spec", "dependsOn").items() {
			name, namespace := d.at("name").text(), cmp.Or(d.at("namespace").text(), a.s.namespace)
			d.at("readyExpr").drop(Missing, "has no counterpart", "an Application waits until the other one is healthy with the same commit")
			meant := func(b *fluxApp) bool { return b.s.kind == a.s.kind && b.s.name == name && b.s.namespace == namespace }
			i := slices.IndexFunc(f.apps, func(b *fluxApp) bool { return meant(b) && b.cluster == a.cluster })
			var targets []*fluxApp
			if i < 0 { // its folder may lie elsewhere
				i = slices.IndexFunc(f.apps, meant)
			}
			if i >= 0 {
				targets = f.written(f.apps[i])
			}
			waiting := f.written(a)
			if len(targets) == 0 && len(waiting) > 0 {
				d.note(Missing, "no Application is written for "+namespace+"/"+name, "name the Applications of namespace "+waiting[0].s.namespace+" that do its work")
			}
			for _, w := range waiting {
				for _, t := range targets {
					if entry := dependency(w, t); t != w && !slices.ContainsFunc(on[w], func(e any) bool { return maps.Equal(e.(tree), entry) }) {
						on[w] = append(on[w], entry)
						acrossNamespaces(d, w, t)
					}
				}
			}
		}
	}
	for a, list := range on {
		set(a.doc["spec"].(tree), list, "dependsOn")
	}
}

// dependency is the entry by which one waits for another.
func dependency(waiting, target *fluxApp) tree {
	entry := tree{"name": target.called()}
	if target.s.namespace != waiting.s.namespace {
		entry["namespace"] = target.s.namespace
	}
	return entry
}

func acrossNamespaces(d value, waiting, target *fluxApp) {
	if from, to := waiting.s.namespace, target.s.namespace; from != to {
		d.note(Different, "an Application waits for one of another namespace only where it may: "+from+"/"+waiting.called()+" for "+to+"/"+target.called(),
			"have one Project govern both namespaces, or name "+from+" in synchronizer.trusted of the config")
	}
}

// written are the Applications that do an application's work.
func (f *flux) written(a *fluxApp) []*fluxApp {
	if a.doc != nil {
		return []*fluxApp{a}
	}
	var all []*fluxApp
	for _, b := range f.apps {
		if b.holder == a && b.doc != nil {
			all = append(all, b)
		}
	}
	return all
}

// called is the name of its Application.
func (a *fluxApp) called() string { return cmp.Or(a.name, a.s.name) }

// distinct gives the Application of a Kustomization another name where there is a
// HelmRelease of the same: to Flux they are of two kinds.
func (f *flux) distinct() {
	for _, a := range f.apps {
		if a.doc == nil || a.s.kind != "Kustomization" {
			continue
		}
		same := func(b *fluxApp) bool {
			return b != a && b.doc != nil && b.cluster == a.cluster && b.s.namespace == a.s.namespace && b.called() == a.called()
		}
		if !slices.ContainsFunc(f.apps, same) {
			continue
		}
		for a.name = a.s.name + "-manifests"; slices.ContainsFunc(f.apps, same); {
			a.name += "-manifests"
		}
		a.doc["metadata"].(tree)["name"] = a.name
		a.s.at("metadata").note(Different, "a HelmRelease has the same name and namespace", "its Application is called "+a.name)
	}
}
