package migrate

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/slipway-cd/slipway/shared/api"
)

// part is one source of an Application of Argo CD; each becomes one of ours.
type part struct {
	name string // of ours
	from value
}

// parts are the sources that give manifests, and by name those that are there for
// their values files ($name). The first has the Application's name, each other one
// its own behind that.
func (a *argo) parts(s *source) (parts []part, refs map[string]value) {
	refs = map[string]value{}
	list := s.at("spec", "sources").items()
	if len(list) == 0 {
		return []part{{s.name, s.at("spec", "source")}}, refs
	}
	taken := map[string]bool{}
	for _, v := range list {
		ref := v.at("ref").text()
		if ref != "" {
			refs["$"+ref] = v
		}
		if !v.at("path").there() && !v.at("chart").there() && ref != "" {
			for _, field := range []string{"targetRevision", "repoURL", "name"} {
				v.at(field).take()
			}
			continue
		}
		name := s.name
		if own := partName(v); len(parts) > 0 {
			name = s.name + "-" + own
			for i := 2; taken[name] || !api.ObjectName(name); i++ {
				name = fmt.Sprintf("%s-%d", s.name, i)
			}
		}
		taken[name] = true
		parts = append(parts, part{name, v})
	}
	return parts, refs
}

// partName is what a source is called by itself: by its name, its chart or its
// folder.
func partName(v value) string {
	text := cmp.Or(v.at("name").text(), path.Base(v.at("chart").text()))
	if text == "." {
		text = path.Base(cleanPath(v.at("path").text()))
	}
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, text), "-")
}

// patterns are how policies name all that an Application becomes.
func (a *argo) patterns(s *source, parts []part) []any {
	var all []any
	for _, p := range parts {
		all = append(all, a.pattern(s.namespace, p.name))
	}
	return all
}

// several tells what becomes of an Application of several sources.
func (a *argo) several(s *source, parts []part) {
	switch at := s.at("spec", "sources"); len(parts) {
	case 0:
		at.note(Wrong, "none of them gives manifests", "give one a path or a chart; no Application is written")
	case 1:
	default:
		var names []string
		for _, p := range parts {
			names = append(names, p.name)
		}
		at.note(Different, "an Application has one source: it becomes "+strings.Join(names, ", "),
			"cut them over together, with the file of each; where one needs another, say so in spec.dependsOn")
	}
}

// grown is a document for one of the parts.
func grown(doc tree, name string) tree {
	one := deepCopy(doc).(tree)
	set(one, name, "metadata", "name")
	return one
}

func deepCopy(v any) any {
	switch v := v.(type) {
	case tree:
		t := make(tree, len(v))
		for k, one := range v {
			t[k] = deepCopy(one)
		}
		return t
	case []any:
		list := slices.Clone(v)
		for i, one := range list {
			list[i] = deepCopy(one)
		}
		return list
	}
	return v
}
