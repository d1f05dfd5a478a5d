package manifest

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/events"
)

// editEntry sets newTag and digest of an entry of a kustomization's images.
func (t *text) editEntry(entry *yaml.Node, target events.Image) ([]splice, error) {
	tag, err := t.setField(entry, "newTag", target.Tag)
	if err != nil {
		return nil, err
	}
	digest, err := t.setField(entry, "digest", target.Digest)
	if err != nil {
		return nil, err
	}
	// Both insertions stand at the same place: tag first.
	return append(tag, digest...), nil
}

// setField replaces, inserts or (with an empty value) removes a field.
func (t *text) setField(entry *yaml.Node, name, to string) ([]splice, error) {
	key, old := get(entry, name)
	switch {
	case old == nil && to == "":
		return nil, nil
	case old == nil:
		return t.insertField(entry, name, to)
	case to == "":
		return t.removeField(entry, key, old)
	}
	old = follow(old)
	at, err := t.content(old)
	if err != nil {
		return nil, err
	}
	return []splice{{at, written(old, to)}}, nil
}

// insertField puts a field behind the one that names tag or image.
func (t *text) insertField(entry *yaml.Node, name, to string) ([]splice, error) {
	var key, after *yaml.Node
	for _, candidate := range []string{"newTag", "newName", "name"} {
		if key, after = get(entry, candidate); after != nil {
			break
		}
	}
	if after == nil || after.Kind != yaml.ScalarNode {
		return nil, t.unsafe(entry, "the entry has no plain name")
	}
	at, err := t.content(after)
	if err != nil {
		return nil, err
	}
	field := name + ": " + written(nil, to)
	if entry.Style&yaml.FlowStyle != 0 {
		end := at.end
		if after.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			end++
		}
		return []splice{{span{end, end}, ", " + field}}, nil
	}
	end := t.lineEnd(at.end)
	return []splice{{span{end, end}, t.eol() + strings.Repeat(" ", key.Column-1) + field}}, nil
}

// removeField takes out a field with its line.
func (t *text) removeField(entry, key, old *yaml.Node) ([]splice, error) {
	at, err := t.content(follow(old))
	if err != nil {
		return nil, err
	}
	if entry.Style&yaml.FlowStyle != 0 || old.Kind == yaml.AliasNode {
		return nil, t.unsafe(old, "the old "+key.Value+" can't be taken out of an entry on one line or behind an alias")
	}
	start, ok := t.offset(key.Line, 1)
	if !ok || len(bytes.TrimLeft(t.data[start:at.start], " ")) == 0 || bytes.HasPrefix(bytes.TrimLeft(t.data[start:at.start], " "), []byte("-")) {
		return nil, t.unsafe(old, "the old "+key.Value+" is the first field of its entry")
	}
	end := t.lineEnd(at.end)
	if end < len(t.data) {
		return []splice{{span{start, end + len(t.eol())}, ""}}, nil
	}
	return []splice{{span{start - len(t.eol()), end}, ""}}, nil
}

// AddEntry adds an entry to a kustomization's images, for an image that it
// inherits from elsewhere. name is the image as the inherited manifests
// write it, without tag and digest.
func AddEntry(file string, data []byte, name string, target events.Image) ([]byte, error) {
	t, err := read(file, data)
	if err != nil {
		return nil, err
	}
	if len(t.docs) != 1 || t.docs[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: %w: it is not one mapping", file, ErrUnsafe)
	}
	fields := []string{"name: " + written(nil, name)}
	if target.Tag != "" {
		fields = append(fields, "newTag: "+written(nil, target.Tag))
	}
	if target.Digest != "" {
		fields = append(fields, "digest: "+written(nil, target.Digest))
	}
	edit, err := t.entryPlace(fields)
	if err != nil {
		return nil, err
	}
	out := t.apply([]splice{edit})
	if _, err := read(file, out); err != nil {
		return nil, fmt.Errorf("%s: %w: after adding an entry to images it can't be read: %w", file, ErrUnsafe, err)
	}
	return out, nil
}

// entryPlace says where and how an entry is added.
func (t *text) entryPlace(fields []string) (splice, error) {
	doc := t.docs[0]
	_, images := get(doc, "images")
	switch {
	case doc.Style&yaml.FlowStyle != 0:
		return splice{}, t.unsafe(doc, "it is written on one line, as JSON is")
	case images == nil || images.ShortTag() == "!!null":
		if images != nil {
			return splice{}, t.unsafe(images, "images is there, but empty")
		}
		return t.appendImages(fields), nil
	case images.Kind != yaml.SequenceNode:
		return splice{}, t.unsafe(images, "images is not a list")
	case images.Style&yaml.FlowStyle != 0:
		return t.intoFlow(images, fields)
	}
	first, last := images.Content[0], images.Content[len(images.Content)-1]
	at, err := t.content(lastScalar(last))
	if err != nil {
		return splice{}, err
	}
	start, ok := t.offset(first.Line, 1)
	if !ok {
		return splice{}, t.unsafe(first, "its place in the file is not known")
	}
	line := t.data[start:t.lineEnd(start)]
	indent := string(line[:len(line)-len(bytes.TrimLeft(line, " "))])
	if !bytes.HasPrefix(line[len(indent):], []byte("- ")) {
		return splice{}, t.unsafe(first, "its first entry doesn't begin with a hyphen")
	}
	end := t.lineEnd(at.end)
	return splice{span{end, end}, t.eol() + t.block(indent, fields)}, nil
}

// block writes an entry, without the last end of line.
func (t *text) block(indent string, fields []string) string {
	return indent + "- " + strings.Join(fields, t.eol()+indent+"  ")
}

// appendImages puts a whole images list at the end of the file, which goes
// on to end as it did.
func (t *text) appendImages(fields []string) splice {
	end := len(t.data)
	add := "images:" + t.eol() + t.block("", fields)
	if bytes.HasSuffix(t.data, []byte("\n")) {
		return splice{span{end, end}, add + t.eol()}
	}
	return splice{span{end, end}, t.eol() + add}
}

func (t *text) intoFlow(images *yaml.Node, fields []string) (splice, error) {
	entry := "{" + strings.Join(fields, ", ") + "}"
	start, ok := t.offset(images.Line, images.Column)
	if !ok || t.data[start] != '[' {
		return splice{}, t.unsafe(images, "its place in the file is not known")
	}
	if len(images.Content) > 0 {
		entry += ", "
	}
	return splice{span{start + 1, start + 1}, entry}, nil
}

func lastScalar(n *yaml.Node) *yaml.Node {
	for n = follow(n); n.Kind != yaml.ScalarNode && len(n.Content) > 0; {
		n = follow(n.Content[len(n.Content)-1])
	}
	return n
}
