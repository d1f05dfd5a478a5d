package manifest

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// follow gives the node that an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// get is the value of a mapping's own key, and the key.
func get(m *yaml.Node, name string) (key, value *yaml.Node) {
	if m == nil || m.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == name {
			return m.Content[i], m.Content[i+1]
		}
	}
	return nil, nil
}

// at is the node at the end of a path of keys; nil where there is none.
func at(m *yaml.Node, path ...string) *yaml.Node {
	for _, name := range path {
		_, v := get(follow(m), name)
		m = v
	}
	return follow(m)
}

func value(m *yaml.Node, name string) string {
	if v := at(m, name); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// items are a list's items, aliases followed.
func items(n *yaml.Node) []*yaml.Node {
	if n = follow(n); n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	all := make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		all[i] = follow(item)
	}
	return all
}

// maxMerges bounds how many mappings one key is looked for in.
const maxMerges = 64

// keys find the keys of mappings, and remember where those of large ones are.
type keys map[*yaml.Node]map[string]int

const largeMapping = 64

func (k keys) get(m *yaml.Node, name string) (key, value *yaml.Node) {
	if m == nil || m.Kind != yaml.MappingNode || len(m.Content) < largeMapping {
		return get(m, name)
	}
	index, known := k[m]
	if !known {
		index = map[string]int{}
		for i := len(m.Content) - 2; i >= 0; i -= 2 {
			index[m.Content[i].Value] = i
		}
		k[m] = index
	}
	if i, ok := index[name]; ok {
		return m.Content[i], m.Content[i+1]
	}
	return nil, nil
}

// merged is get for a mapping that may take keys from others by "<<": its own
// come first, then those of the first that has it.
func (k keys) merged(m *yaml.Node, name string) (key, value *yaml.Node) {
	var seen []*yaml.Node
	return k.lookup(follow(m), name, &seen)
}

func (k keys) lookup(m *yaml.Node, name string, seen *[]*yaml.Node) (key, value *yaml.Node) {
	if m == nil || m.Kind != yaml.MappingNode || len(*seen) >= maxMerges || slices.Contains(*seen, m) {
		return nil, nil
	}
	*seen = append(*seen, m)
	if key, value = k.get(m, name); value != nil {
		return key, value
	}
	_, base := k.get(m, "<<")
	bases := []*yaml.Node{base}
	if list := follow(base); list != nil && list.Kind == yaml.SequenceNode {
		bases = list.Content[:min(len(list.Content), maxMerges)]
	}
	for _, b := range bases {
		if key, value = k.lookup(follow(b), name, seen); value != nil {
			return key, value
		}
	}
	return nil, nil
}

// field is the first of the names that a mapping has.
func (k keys) field(m *yaml.Node, names ...string) field {
	for _, name := range names {
		if key, v := k.merged(m, name); v != nil {
			return field{key, follow(v)}
		}
	}
	return field{}
}

// isString says whether a scalar is one that can hold a reference.
func isString(n *yaml.Node) bool {
	return n != nil && n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str"
}

// isEmpty says whether a scalar holds nothing.
func isEmpty(n *yaml.Node) bool {
	return n != nil && n.Kind == yaml.ScalarNode && (n.Value == "" || n.ShortTag() == "!!null")
}

// scalarText is a scalar's text; empty for null and what isn't a scalar.
func scalarText(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || isEmpty(n) {
		return ""
	}
	return n.Value
}
