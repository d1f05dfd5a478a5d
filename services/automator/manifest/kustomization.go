package manifest

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
)

// setField sets newTag or digest of an entry of a kustomization's images: it
// replaces, adds or (with an empty value) takes out the field.
func (t *text) setField(g *group, w write) ([]splice, error) {
	switch {
	case w.value == nil && w.to == "":
		return nil, nil
	case w.value == nil:
		return t.insertField(g.owner, w)
	case w.to == "":
		return t.removeField(g.owner, w.field)
	}
	return t.setScalar(w.key, w.value, w.to)
}

// insertField puts a field behind the one that names the tag, where that
// stays, or the image.
func (t *text) insertField(entry *yaml.Node, w write) ([]splice, error) {
	name, behind := w.name, []string{"newTag", "newName", "name"}
	if w.alone {
		behind = behind[1:]
	}
	var key, after *yaml.Node
	for _, candidate := range behind {
		if key, after = get(entry, candidate); after != nil {
			break
		}
	}
	if after == nil || after.Kind != yaml.ScalarNode {
		return nil, t.unsafe(entry, "the entry has no plain name")
	}
	at, err := t.whole(after)
	if err != nil {
		return nil, err
	}
	if key.Style&yaml.DoubleQuotedStyle != 0 {
		name = `"` + name + `"`
	}
	field := name + ": " + written(key, nil, w.to)
	if entry.Style&yaml.FlowStyle != 0 {
		return []splice{{span{at.end, at.end}, ", " + field}}, nil
	}
	end := t.lineEnd(at.end)
	return []splice{{span{end, end}, t.eol() + strings.Repeat(" ", key.Column-1) + field}}, nil
}

// ownLine is a field that has its line for itself, without a comment.
var ownLine = regexp.MustCompile(`^ *(?:newTag|digest): +[^ #]+[ \t]*$`)

// removeField takes out a field with its line, or with the comma before it;
// where it has neither for itself it is made empty, which kustomize takes for
// not there.
func (t *text) removeField(entry *yaml.Node, f field) ([]splice, error) {
	if at, ok := t.behindComma(entry, f); ok {
		return []splice{{at, ""}}, nil
	}
	if entry.Style&yaml.FlowStyle != 0 || f.value.Anchor != "" || f.value.Style&block != 0 {
		return t.setScalar(f.key, f.value, "")
	}
	start, ok := t.offset(f.key.Line, 1)
	if !ok {
		return nil, t.unsafe(f.key, "its place in the file is not known")
	}
	end := t.lineEnd(start)
	if !ownLine.Match(t.data[start:end]) {
		return t.setScalar(f.key, f.value, "")
	}
	switch next := bytes.IndexByte(t.data[end:], '\n'); {
	case next >= 0:
		return []splice{{span{start, end + next + 1}, ""}}, nil
	case start == 0:
		return nil, t.unsafe(f.key, "it is the only line")
	}
	return []splice{{span{start - len(t.eol()), end}, ""}}, nil
}

// behindComma is a field of an entry in braces, with the comma before it.
func (t *text) behindComma(entry *yaml.Node, f field) (span, bool) {
	i := slices.Index(entry.Content, f.key)
	if i < 2 || entry.Style&yaml.FlowStyle == 0 || entry.Content[i+1] != f.value || f.value.Anchor != "" {
		return span{}, false
	}
	before, err := t.whole(entry.Content[i-1])
	key, err2 := t.whole(f.key)
	value, err3 := t.whole(f.value)
	if err != nil || err2 != nil || err3 != nil || before.end > key.start {
		return span{}, false
	}
	between := strings.Trim(string(t.data[before.end:key.start]), " ")
	return span{before.end, value.end}, between == ","
}

// AddEntry adds an entry to a kustomization's images, for an image that it
// inherits from elsewhere. name is the image as the inherited manifests
// write it, without tag and digest.
func AddEntry(file string, data []byte, name string, target events.Image) ([]byte, error) {
	t, err := parse(file, chunk{data, 1})
	if err != nil {
		return nil, err
	}
	if len(t.docs) != 1 || t.docs[0].Kind != yaml.MappingNode || len(t.docs[0].Content) == 0 {
		return nil, fmt.Errorf("%s: %w: it is not one mapping", file, ErrUnsafe)
	}
	key := t.docs[0].Content[0]
	fields := []string{inKey(key, "name") + ": " + written(key, nil, name)}
	if target.Tag != "" {
		fields = append(fields, inKey(key, "newTag")+": "+written(key, nil, target.Tag))
	}
	if target.Digest != "" {
		fields = append(fields, inKey(key, "digest")+": "+written(key, nil, target.Digest))
	}
	edits, err := t.entryPlaces(fields)
	if err != nil {
		return nil, err
	}
	for _, edit := range edits {
		out, err := t.apply([]splice{edit})
		if err == nil && t.added(out, name, target) {
			return out, nil
		}
	}
	return nil, t.unsafe(t.docs[0], "an entry can't be added to images without changing more")
}

// inKey is a key as the file writes its keys.
func inKey(like *yaml.Node, name string) string {
	if like.Style&yaml.DoubleQuotedStyle != 0 {
		return `"` + name + `"`
	}
	return name
}

// added says whether the new bytes have one more entry, and nothing else.
func (t *text) added(out []byte, name string, target events.Image) bool {
	now, err := parse(t.name, chunk{out, 1})
	if err != nil || len(now.docs) != 1 {
		return false
	}
	equal := comparer{}.same
	if !slices.EqualFunc(rest(t.docs[0], "images"), rest(now.docs[0], "images"), equal) {
		return false
	}
	before, after := items(at(t.docs[0], "images")), items(at(now.docs[0], "images"))
	i := slices.IndexFunc(after, func(e *yaml.Node) bool {
		return value(e, "name") == name && value(e, "newTag") == target.Tag && value(e, "digest") == target.Digest
	})
	return i >= 0 && slices.EqualFunc(before, slices.Delete(after, i, i+1), equal)
}

// entryPlaces says where and how an entry can be added, the best place first.
func (t *text) entryPlaces(fields []string) ([]splice, error) {
	doc := t.docs[0]
	key, images := get(doc, "images")
	switch images = follow(images); {
	case images == nil && doc.Style&yaml.FlowStyle != 0:
		return t.intoFlow(doc, inKey(doc.Content[0], "images")+": [{"+strings.Join(fields, ", ")+"}]")
	case images == nil:
		return t.appendImages(fields), nil
	case isEmpty(images):
		return t.underKey(key, images, fields)
	case images.Kind != yaml.SequenceNode:
		return nil, t.unsafe(images, "images is not a list")
	case images.Style&yaml.FlowStyle != 0:
		return t.intoFlow(images, "{"+strings.Join(fields, ", ")+"}")
	}
	first, last := images.Content[0], images.Content[len(images.Content)-1]
	at, err := t.whole(lastScalar(last))
	if err != nil {
		return nil, err
	}
	start, ok := t.offset(first.Line, 1)
	if !ok {
		return nil, t.unsafe(first, "its place in the file is not known")
	}
	line := t.data[start:t.lineEnd(start)]
	indent := string(line[:len(line)-len(bytes.TrimLeft(line, " "))])
	if !bytes.HasPrefix(line[len(indent):], []byte("- ")) {
		return nil, t.unsafe(first, "its first entry doesn't begin with a hyphen")
	}
	end := t.lineEnd(at.end)
	return []splice{{span{end, end}, t.eol() + t.block(indent, fields)}}, nil
}

// block writes an entry, without the last end of line.
func (t *text) block(indent string, fields []string) string {
	return indent + "- " + strings.Join(fields, t.eol()+indent+"  ")
}

// appendImages puts a whole images list at the end of the file, which goes
// on to end as it did; or, where that is no part of the document, before its
// first key.
func (t *text) appendImages(fields []string) []splice {
	first := t.docs[0].Content[0]
	indent := strings.Repeat(" ", first.Column-1)
	add := indent + "images:" + t.eol() + t.block(indent, fields)
	end := len(t.data)
	last := splice{span{end, end}, t.eol() + add}
	if bytes.HasSuffix(t.data, []byte("\n")) {
		last.with = add + t.eol()
	}
	start, ok := t.offset(first.Line, 1)
	if !ok {
		return []splice{last}
	}
	return []splice{last, {span{start, start}, add + t.eol()}}
}

// underKey fills a list that is there, but empty.
func (t *text) underKey(key, images *yaml.Node, fields []string) ([]splice, error) {
	at, err := t.whole(key)
	if err != nil {
		return nil, err
	}
	if images.Value != "" || images.Anchor != "" || at.end == len(t.data) || t.data[at.end] != ':' {
		return nil, t.unsafe(key, "images is there, but no list")
	}
	end := t.lineEnd(at.end)
	return []splice{{span{end, end}, t.eol() + t.block(strings.Repeat(" ", key.Column-1), fields)}}, nil
}

// intoFlow puts something first into a list or mapping in brackets.
func (t *text) intoFlow(n *yaml.Node, add string) ([]splice, error) {
	start, ok := t.begin(n)
	if !ok || start >= len(t.data) || (t.data[start] != '[' && t.data[start] != '{') {
		return nil, t.unsafe(n, "its place in the file is not known")
	}
	if len(n.Content) > 0 {
		add += ", "
	}
	return []splice{{span{start + 1, start + 1}, add}}, nil
}

func lastScalar(n *yaml.Node) *yaml.Node {
	for n = follow(n); n.Kind != yaml.ScalarNode && len(n.Content) > 0; {
		n = follow(n.Content[len(n.Content)-1])
	}
	return n
}
