package manifest

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// setScalar gives the edits that make a field's value another string. How it
// is quoted stays; quotes come where the value would be read as something
// else without them. key may be nil where the value has none.
func (t *text) setScalar(key, n *yaml.Node, to string) ([]splice, error) {
	n = follow(n)
	switch {
	case n.Kind != yaml.ScalarNode:
		return nil, t.unsafe(n, "it is not a scalar")
	case n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != "!!str":
		return nil, t.unsafe(n, "it has the tag "+n.Tag)
	case n.Value == "" && n.Style&(quoted|block) == 0:
		return t.fillNull(key, n, to)
	case to == "":
		return t.empty(key, n)
	}
	at, err := t.content(n)
	if err != nil {
		return nil, err
	}
	if n.Value == "" && n.Style&yaml.SingleQuotedStyle != 0 {
		// This is how empty leaves what had no quotes.
		return []splice{{span{at.start - 1, at.end + 1}, written(key, nil, to)}}, nil
	}
	return []splice{{at, written(key, n, to)}}, nil
}

// empty makes a value the empty string, in the quotes that it has; one
// without gets single quotes, so that it can lose them again.
func (t *text) empty(key, n *yaml.Node) ([]splice, error) {
	if n.Style&block != 0 {
		return nil, t.unsafe(n, "a block can't be made empty")
	}
	at, err := t.content(n)
	switch {
	case err != nil:
		return nil, err
	case n.Style&quoted != 0:
		return []splice{{at, ""}}, nil
	case key != nil && key.Style&yaml.DoubleQuotedStyle != 0:
		return []splice{{at, `""`}}, nil
	}
	return []splice{{at, "''"}}, nil
}

// fillNull writes a value behind a key that has none.
func (t *text) fillNull(key, n *yaml.Node, to string) ([]splice, error) {
	if to == "" {
		return nil, nil
	}
	if key == nil || n.Anchor != "" || n.Style != 0 {
		return nil, t.unsafe(n, "it is empty in a way that can't be filled")
	}
	at, err := t.whole(key)
	if err != nil {
		return nil, err
	}
	if at.end >= len(t.data) || t.data[at.end] != ':' {
		return nil, t.unsafe(key, "its key is not followed by a colon")
	}
	end := at.end + 1
	return []splice{{span{end, end}, " " + written(key, nil, to)}}, nil
}

// written is the value as it can stand where n stands; nil is where nothing
// stands yet. Where keys are in double quotes, as in JSON, so are values.
func written(key, n *yaml.Node, value string) string {
	inQuotes := n != nil && n.Style&(quoted|block) != 0
	if inQuotes || (n != nil && n.ShortTag() == "!!str" && n.Style&yaml.TaggedStyle != 0) {
		return value
	}
	if plainSafe(value) && (key == nil || key.Style&yaml.DoubleQuotedStyle == 0) {
		return value
	}
	return `"` + value + `"`
}

// booleans are read as such by readers of YAML 1.1, which Kubernetes and Helm
// are.
var booleans = []string{"y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF"}

// readAsString says whether all readers take a scalar for the string that is
// written.
func readAsString(n *yaml.Node) bool {
	return n == nil || n.Kind != yaml.ScalarNode || n.Style&(quoted|block|yaml.TaggedStyle) != 0 || plainSafe(n.Value)
}

// plainSafe says whether a value without quotes is read as that string.
func plainSafe(value string) bool {
	if slices.Contains(booleans, value) {
		return false
	}
	var n yaml.Node
	if err := yaml.Unmarshal([]byte("k: "+value+"\n"), &n); err != nil || len(n.Content) != 1 || len(n.Content[0].Content) != 2 {
		return false
	}
	v := n.Content[0].Content[1]
	return v.Kind == yaml.ScalarNode && v.Tag == "!!str" && v.Value == value
}
