package service

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// unknownField is what yaml says of a field that a type doesn't have.
var unknownField = regexp.MustCompile(`^(.*)field (\S+) not found in type (\S+)$`)

// section is a kind of part of the config: the names of its fields, and where it
// stands.
type section struct {
	fields, places []string
}

// unknown says in which section a field was meant to stand, or how it is
// written; empty where nobody can guess. Configs of other versions are told
// apart in no other way.
func unknown(field, typeName string) string {
	all := sections(reflect.TypeFor[Config](), "", map[string]section{})
	if near := nearest(field, all[typeName].fields); len(near) > 0 {
		return "did you mean " + strings.Join(near, " or ") + "?"
	}
	var elsewhere []string
	for _, s := range all {
		if !slices.Contains(s.fields, field) {
			continue
		}
		for _, place := range s.places {
			elsewhere = append(elsewhere, strings.TrimPrefix(place+"."+field, "."))
		}
	}
	if len(elsewhere) == 0 || len(elsewhere) > 2 {
		return "" // a word that stands everywhere
	}
	slices.Sort(elsewhere)
	return "it belongs to " + strings.Join(elsewhere, " or ")
}

// sections lists the types of a config's parts by their names. No type holds
// itself.
func sections(t reflect.Type, place string, all map[string]section) map[string]section {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		if t.Kind() == reflect.Slice {
			place += "[]"
		}
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return all
	}
	s := section{places: append(all[t.String()].places, place)}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			sections(f.Type, place, all)
		case name != "" && name != "-":
			s.fields = append(s.fields, name)
			sections(f.Type, strings.TrimPrefix(place+"."+name, "."), all)
		}
	}
	all[t.String()] = s
	return all
}

// plain drops Go's type names from yaml's messages, and helps with names that
// aren't known.
func plain(fault string) string {
	m := unknownField.FindStringSubmatch(fault)
	if m == nil {
		return fault
	}
	text := fmt.Sprintf("%sfield %s is not known", m[1], m[2])
	if hint := unknown(m[2], m[3]); hint != "" {
		text += " (" + hint + ")"
	}
	return text
}
