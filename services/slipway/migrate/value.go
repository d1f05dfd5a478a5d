package migrate

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is a place in a document; it may be absent.
type value struct {
	s    *source
	node *yaml.Node // nil: absent
	line int
	path string
}

func (v value) there() bool { return v.node != nil && v.node.Tag != "!!null" }

// at is what lies below keys of mappings; without any, the value itself.
func (v value) at(keys ...string) value {
	for _, k := range keys {
		v = v.key(k)
	}
	return v
}

func (v value) key(key string) value {
	child := value{s: v.s, path: strings.TrimPrefix(v.path+"."+key, "."), line: v.line}
	n := resolve(v.node)
	if n == nil || n.Kind != yaml.MappingNode {
		return child
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			child.node, child.line = n.Content[i+1], n.Content[i].Line
		}
	}
	return child
}

func resolve(n *yaml.Node) *yaml.Node {
	for range 100 { // an alias of an alias of itself is no document
		if n == nil || n.Kind != yaml.AliasNode {
			return n
		}
		n = n.Alias
	}
	return nil
}

// keys are those of a mapping, in their order.
func (v value) keys() []string {
	n := resolve(v.node)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var keys []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		keys = append(keys, n.Content[i].Value)
	}
	return keys
}

// items are those of a list.
func (v value) items() []value {
	n := resolve(v.node)
	if !v.there() || n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		v.note(Wrong, "is not a list", "mend it there first")
		v.take()
		return nil
	}
	items := make([]value, len(n.Content))
	for i, c := range n.Content {
		items[i] = value{s: v.s, node: c, line: c.Line, path: fmt.Sprintf("%s[%d]", v.path, i)}
	}
	return items
}

// peek is a scalar as it is written, which somebody else is yet to read; empty where
// there is none.
func (v value) peek() string {
	if n := resolve(v.node); v.there() && n != nil && n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return ""
}

// text is a scalar as it is written; empty where it is absent.
func (v value) text() string {
	n := resolve(v.node)
	if !v.there() || n == nil {
		v.take()
		return ""
	}
	v.take()
	if n.Kind != yaml.ScalarNode {
		v.note(Wrong, "is not a single value", "mend it there first")
		return ""
	}
	return n.Value
}

// is says whether it is true; otherwise is what it is where it is absent.
func (v value) is(otherwise bool) bool {
	if !v.there() {
		return otherwise
	}
	b, err := strconv.ParseBool(v.text())
	if err != nil {
		v.note(Wrong, "is neither true nor false", "mend it there first")
		return otherwise
	}
	return b
}

// flag sets what a field says that is false where it is absent.
func (v value) flag(field string, out tree, keys ...string) {
	if v.at(field).is(false) {
		set(out, true, keys...)
	}
}

// texts is a mapping of texts.
func (v value) texts() map[string]string {
	if !v.there() {
		return nil
	}
	all := map[string]string{}
	for _, k := range v.keys() {
		all[k] = v.at(k).text()
	}
	return all
}

// list is a list of texts.
func (v value) list() []string {
	var all []string
	for _, i := range v.items() {
		all = append(all, i.text())
	}
	return all
}

// tree is all of it.
func (v value) tree() any {
	if !v.there() {
		return nil
	}
	v.take()
	var t any
	if err := v.node.Decode(&t); err != nil {
		v.note(Wrong, "can't be read: "+strings.TrimPrefix(err.Error(), "yaml: "), "mend it there first")
		return nil
	}
	return plain(t)
}

// plain makes what YAML reads what JSON has: keys are texts.
func plain(t any) any {
	switch t := t.(type) {
	case map[string]any:
		for k, v := range t {
			t[k] = plain(v)
		}
	case map[any]any:
		m := make(map[string]any, len(t))
		for k, v := range t {
			m[fmt.Sprint(k)] = plain(v)
		}
		return m
	case []any:
		for i, v := range t {
			t[i] = plain(v)
		}
	}
	return t
}

// take marks all of it as read.
func (v value) take() {
	if v.node != nil {
		v.s.read[v.node] = true
	}
}

// says whether that is written there, and marks it as read where it is.
func (v value) says(what string) bool {
	n := resolve(v.node)
	if n == nil || n.Kind != yaml.ScalarNode || n.Value != what {
		return false
	}
	v.take()
	return true
}

// usual marks it as read where it says what is so anyway.
func (v value) usual(what string) { v.says(what) }

// note tells of it.
func (v value) note(kind NoteKind, what, do string) {
	for o := v.s.origin; o != nil; o = v.s.origin {
		v = o.closest(strings.Trim(v.s.within+"."+v.path, "."))
	}
	v.s.notes.add(Note{Kind: kind, File: v.s.file, Line: v.line, Object: v.s.id(), Field: v.path, What: what, Do: do})
}

// drop marks it as read and, where it is there, says why it isn't taken over.
func (v value) drop(kind NoteKind, what, do string) {
	if v.there() {
		v.take()
		v.note(kind, what, do)
	}
}
