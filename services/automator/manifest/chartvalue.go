package manifest

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
)

// valueWrite is one value of a chart that is to say something else.
type valueWrite struct {
	path []string // of keys
	to   string
}

// valueWrites says what a reference in the merged values takes. A tag that is
// missing or empty, for which a chart's appVersion counts, is written, too: the
// chart rendered again proves it.
func (r Reference) valueWrites(doc *yaml.Node, target events.Image) ([]valueWrite, error) {
	if r.group == nil {
		writes, err := r.writes(target)
		if err != nil {
			return nil, err
		}
		return pathsOf(doc, writes)
	}
	g := r.group
	tagless := scalarText(g.tag.value) == "" && scalarText(g.digest.value) == ""
	if r.refused != "" && !tagless {
		return nil, fmt.Errorf("%w: the values of %s: %s", ErrUnsafe, r.name, r.refused)
	}
	if !tagless || g.tag.value != nil && g.digest.value != nil {
		writes, err := r.writes(target)
		if err != nil {
			return nil, err
		}
		return pathsOf(doc, writes)
	}
	repo, ok := pathOf(doc, g.repo)
	if !ok {
		return nil, fmt.Errorf("%w: the place of %s in the values is not known", ErrUnsafe, r.name)
	}
	last := len(repo) - 1
	tag := "tag"
	if prefix, ok := strings.CutSuffix(repo[last], "Repository"); ok && prefix != "" {
		tag = prefix + "Tag"
	}
	if target.Tag == "" {
		return nil, fmt.Errorf("%w: the values of %s have no digest: give a tag, too", ErrUnsafe, r.name)
	}
	return []valueWrite{{append(slices.Clone(repo[:last]), tag), target.Reference()}}, nil
}

func pathsOf(doc *yaml.Node, writes []write) ([]valueWrite, error) {
	var all []valueWrite
	for _, w := range writes {
		path, ok := pathOf(doc, w.value)
		if !ok {
			return nil, fmt.Errorf("%w: a value stands in a list, which is set as a whole", ErrUnsafe)
		}
		all = append(all, valueWrite{path, w.to})
	}
	return all, nil
}

// pathOf is the path of keys to a node; ok is false where a list lies between.
func pathOf(doc, n *yaml.Node) (path []string, ok bool) {
	if doc == nil || doc.Kind != yaml.MappingNode {
		return nil, false
	}
	for i := 0; i+1 < len(doc.Content); i += 2 {
		v := doc.Content[i+1]
		if v == n {
			return []string{doc.Content[i].Value}, true
		}
		if below, ok := pathOf(v, n); ok {
			return append([]string{doc.Content[i].Value}, below...), true
		}
	}
	return nil, false
}

// set has a value written in the last layer that says it and may be edited, or
// added to the last that may be added to. What stands above it must not say
// otherwise.
func (all layers) set(w valueWrite, edits map[*layer]*patch) error {
	at, says := -1, -1
	for i, l := range all {
		if !l.has(w.path) {
			continue
		}
		says = i
		if l.text != nil {
			at = i
		}
	}
	name := strings.Join(w.path, ".")
	if says > at {
		// The chart's own, or that of another folder, is overlaid; what is
		// laid over the last file can't be.
		at = -1
		for i := len(all) - 1; i > says; i-- {
			if all[i].added {
				at = i
				break
			}
		}
		if at < 0 {
			return fmt.Errorf("%w: %s sets %s, and lies outside of the application's path, in which there is no values file over it: set it in one that helm.valuesFiles names last", ErrUnsafe, all[says].name, name)
		}
	}
	if at < 0 { // nobody says it
		for i, l := range all {
			if l.added {
				at = i
			}
		}
		if at < 0 {
			at = slices.IndexFunc(all, func(l *layer) bool { return l.text != nil })
		}
		if at < 0 {
			return fmt.Errorf("%w: no values file lies inside of the application's path to set %s in: name one in helm.valuesFiles", ErrUnsafe, name)
		}
	}
	l := all[at]
	if edits[l] == nil {
		edits[l] = &patch{}
	}
	edits[l].writes = append(edits[l].writes, w)
	return nil
}

// has says whether the layer sets the value.
func (l *layer) has(path []string) bool {
	if l.doc == nil || len(path) <= len(l.under) || !slices.Equal(path[:len(l.under)], l.under) {
		return false
	}
	n := l.at(path[len(l.under):])
	return n != nil && n.ShortTag() != "!!null"
}

// at is the node at a path, merge keys included.
func (l *layer) at(path []string) *yaml.Node {
	n := follow(l.doc)
	for _, key := range path {
		if _, n = (keys{}).merged(n, key); n == nil {
			return nil
		}
		n = follow(n)
	}
	return n
}

// patch are the writes to one file.
type patch struct{ writes []valueWrite }

// apply makes them, and holds that nothing else changes.
func (p *patch) apply(l *layer) ([]byte, error) {
	data := l.text.data
	for _, w := range p.writes {
		t, err := parse(l.name, chunk{data, 1})
		if err != nil {
			return nil, err
		}
		now, err := t.setValue(w)
		if err != nil {
			return nil, err
		}
		if err := onlySets(l.name, data, now, w); err != nil {
			return nil, err
		}
		data = now
	}
	return data, nil
}

// setValue sets a value, or adds it with the mappings that lead to it.
func (t *text) setValue(w valueWrite) ([]byte, error) {
	var root *yaml.Node
	if len(t.docs) > 0 {
		root = t.docs[0]
	}
	m, rest := root, w.path
	for len(rest) > 0 {
		key, v := get(follow(m), rest[0])
		if v == nil {
			break
		}
		if len(rest) == 1 {
			edits, err := t.setScalar(key, v, w.to)
			if err != nil {
				return nil, err
			}
			return t.apply(edits)
		}
		m, rest = v, rest[1:]
	}
	edit, err := t.addValue(follow(m), rest, w.to)
	if err != nil {
		return nil, err
	}
	return t.apply([]splice{edit})
}

// addValue adds a path of keys to a mapping; nil is a text without any.
func (t *text) addValue(m *yaml.Node, path []string, to string) (splice, error) {
	for _, key := range path {
		if !plainSafe(key) || strings.ContainsAny(key, ":#{}[],") {
			return splice{}, fmt.Errorf("%s:%d: %w: the key %q would need quotes", t.name, t.first, ErrUnsafe, key)
		}
	}
	value := written(nil, nil, to)
	switch {
	case m == nil:
		return t.appended(nested(path, value, 0, t.eol())), nil
	case m.Kind != yaml.MappingNode:
		return splice{}, t.unsafe(m, "it is no mapping, and "+strings.Join(path, ".")+" is to be set in it")
	case m.Style&yaml.FlowStyle != 0:
		return t.inFlow(m, flow(path, value))
	case m == t.docs[0] && m.Column == 1:
		return t.appended(nested(path, value, 0, t.eol())), nil
	}
	first := m.Content[0]
	at, err := t.whole(first)
	if err != nil {
		return splice{}, err
	}
	line := t.lines[t.lineOf(at.start)]
	indent := at.start - line
	if strings.Trim(string(t.data[line:at.start]), " ") != "" {
		return splice{}, t.unsafe(first, "its mapping begins behind something else")
	}
	return splice{span{line, line}, nested(path, value, indent, t.eol())}, nil
}

// appended puts lines at the end of a text.
func (t *text) appended(lines string) splice {
	end := len(t.data)
	if end > 0 && t.data[end-1] != '\n' {
		lines = t.eol() + strings.TrimSuffix(lines, t.eol())
	}
	return splice{span{end, end}, lines}
}

// nested writes a path of keys and its value as lines.
func nested(path []string, value string, indent int, eol string) string {
	var b strings.Builder
	for i, key := range path {
		b.WriteString(strings.Repeat(" ", indent+2*i) + key + ":")
		if i == len(path)-1 {
			b.WriteString(" " + value)
		}
		b.WriteString(eol)
	}
	return b.String()
}

// flow is nested within braces.
func flow(path []string, value string) string {
	s := path[len(path)-1] + ": " + value
	for _, key := range slices.Backward(path[:len(path)-1]) {
		s = key + ": {" + s + "}"
	}
	return s
}

// inFlow puts an entry at the beginning of a mapping in braces.
func (t *text) inFlow(m *yaml.Node, entry string) (splice, error) {
	at, ok := t.begin(m)
	if !ok || at >= len(t.data) || t.data[at] != '{' {
		return splice{}, t.unsafe(m, "its place in the file is not known")
	}
	if len(m.Content) > 0 {
		entry += ", "
	}
	return splice{span{at + 1, at + 1}, entry}, nil
}

// onlySets holds that an edit sets the value and nothing else.
func onlySets(name string, before, after []byte, w valueWrite) error {
	var was, now map[string]any
	if err := yaml.Unmarshal(readable(before), &was); err != nil {
		return fmt.Errorf("%s: %w: %w", name, ErrUnsafe, err)
	}
	if err := yaml.Unmarshal(readable(after), &now); err != nil {
		return fmt.Errorf("%s: %w: after the edit: %w", name, ErrUnsafe, err)
	}
	set := map[string]any{w.path[len(w.path)-1]: any(w.to)}
	for _, key := range slices.Backward(w.path[:len(w.path)-1]) {
		set = map[string]any{key: set}
	}
	if was == nil {
		was = map[string]any{}
	}
	layOver(was, set)
	a, errA := yaml.Marshal(was)
	b, errB := yaml.Marshal(now)
	if errA != nil || errB != nil || string(a) != string(b) {
		return fmt.Errorf("%s: %w: setting %s would change more", name, ErrUnsafe, strings.Join(w.path, "."))
	}
	return nil
}
