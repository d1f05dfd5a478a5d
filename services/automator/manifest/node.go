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

// merged is get for a mapping that may take keys from others by "<<": its own
// come first, then those of the first that has it.
func merged(m *yaml.Node, name string) (key, value *yaml.Node) {
	var seen []*yaml.Node
	return lookup(follow(m), name, &seen)
}

func lookup(m *yaml.Node, name string, seen *[]*yaml.Node) (key, value *yaml.Node) {
	if m == nil || m.Kind != yaml.MappingNode || len(*seen) >= maxMerges || slices.Contains(*seen, m) {
		return nil, nil
	}
	*seen = append(*seen, m)
	if key, value = get(m, name); value != nil {
		return key, value
	}
	_, base := get(m, "<<")
	bases := items(base)
	if base = follow(base); base != nil && base.Kind == yaml.MappingNode {
		bases = []*yaml.Node{base}
	}
	for _, b := range bases {
		if key, value = lookup(b, name, seen); value != nil {
			return key, value
		}
	}
	return nil, nil
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
