package migrate

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// project writes what a team may do.
func (a *argo) project(s *source) {
	spec := tree{}
	for _, v := range s.at("metadata", "finalizers").items() {
		v.usual(argoFinalizer) // what it governs has finalizers of its own
	}
	namespaces := append([]string{s.namespace}, s.at("spec", "sourceNamespaces").list()...)
	set(spec, anyList(namespaces), "namespaces")
	var repositories []any
	for _, v := range s.at("spec", "sourceRepos").items() {
		r := v.text()
		switch _, rest, found := strings.Cut(webAddress(r), "://"); {
		case r == "*":
			repositories = append(repositories, "**")
		case strings.HasPrefix(r, "!") || !found:
			v.note(Missing, "only patterns of what is allowed are taken", "name the repositories that are allowed")
		default:
			_, rest, _ = cutLast(rest, "@")
			repositories = append(repositories, strings.TrimSuffix(rest, ".git"))
		}
	}
	set(spec, repositories, "repositories")
	destinations, elsewhere := a.destinations(s)
	if len(destinations) == 0 && elsewhere {
		s.at("spec").take()
		return
	}
	set(spec, destinations, "destinations")
	kinds := tree{}
	for field, to := range map[string]string{"namespaceResourceBlacklist": "deny", "clusterResourceBlacklist": "deny", "namespaceResourceWhitelist": "allow", "clusterResourceWhitelist": "allow"} {
		list, _ := kinds[to].([]any)
		for _, v := range s.at("spec", field).items() {
			v.at("group").take()
			list = append(list, v.at("kind").text())
		}
		slices.SortFunc(list, func(x, y any) int { return cmp.Compare(x.(string), y.(string)) })
		set(kinds, list, to)
	}
	set(spec, kinds, "kinds")
	a.w.write(s.file, s, document("Project", "", s.name, spec))
}

// destinations are those of a Project for the cluster that is migrated; elsewhere says
// that there are others.
func (a *argo) destinations(s *source) (here []any, elsewhere bool) {
	for _, d := range s.at("spec", "destinations").items() {
		server, name := d.at("server").text(), d.at("name").text()
		if server != "*" && name != "*" && a.another(server, name) {
			d.take()
			d.note(Missing, "another cluster ("+cmp.Or(name, server)+") has a Project of its own", "migrate for it, too (--cluster)")
			elsewhere = true
			continue
		}
		here = append(here, tree{"cluster": cmp.Or(a.Cluster, "*"), "namespaces": []any{cmp.Or(d.at("namespace").text(), "*")}})
	}
	return here, elsewhere
}

// cutLast cuts behind the last separator; without one, before is empty.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

func anyList(all []string) []any {
	list := make([]any, len(all))
	for i, s := range all {
		list[i] = s
	}
	return list
}

// sortedKeys are those of a mapping.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
