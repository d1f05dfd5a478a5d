package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// ErrUnsafe says that a reference can't be edited without risk; the message
// says why.
var ErrUnsafe = errors.New("can't be edited safely")

// text is a file with what is needed to find a node's bytes in it.
type text struct {
	name string
	data []byte
	// lines are the offsets at which lines begin.
	lines []int
	docs  []*yaml.Node
}

var bom = []byte("\xef\xbb\xbf")

// read parses a file. Bytes that are not UTF-8, as in old comments, are
// parsed as question marks, one for one, so that positions stay true.
func read(name string, data []byte) (*text, error) {
	t := &text{name: name, data: data, lines: []int{0}}
	for i, c := range data {
		switch {
		case c == '\n':
			t.lines = append(t.lines, i+1)
		case c == '\r' && (i+1 == len(data) || data[i+1] != '\n'):
			return nil, fmt.Errorf("%s: %w: a carriage return without a line feed", name, ErrUnsafe)
		}
	}
	d := yaml.NewDecoder(bytes.NewReader(valid(data)))
	for {
		var doc yaml.Node
		if err := d.Decode(&doc); err != nil {
			if strings.HasSuffix(err.Error(), "EOF") {
				return t, nil
			}
			return nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
		}
		if len(doc.Content) == 1 {
			t.docs = append(t.docs, doc.Content[0])
		}
	}
}

// valid puts a question mark for every byte that is not UTF-8.
func valid(data []byte) []byte {
	if utf8.Valid(data) {
		return data
	}
	out := bytes.Clone(data)
	for i := 0; i < len(out); {
		r, size := utf8.DecodeRune(out[i:])
		if r == utf8.RuneError && size == 1 {
			out[i] = '?'
		}
		i += size
	}
	return out
}

// span is a piece of a file, in bytes.
type span struct{ start, end int }

// offset turns yaml's line and column, which counts runes, into bytes.
func (t *text) offset(line, column int) (int, bool) {
	if line < 1 || line > len(t.lines) {
		return 0, false
	}
	at := t.lines[line-1]
	if line == 1 && bytes.HasPrefix(t.data, bom) {
		at += len(bom)
	}
	for range column - 1 {
		if at >= len(t.data) {
			return 0, false
		}
		_, size := utf8.DecodeRune(t.data[at:])
		at += size
	}
	return at, true
}

// content gives the bytes of a scalar's value, without quotes. The scalar
// must be written on one line, letter for letter.
func (t *text) content(n *yaml.Node) (span, error) {
	at, ok := t.offset(n.Line, n.Column)
	if !ok {
		return span{}, t.unsafe(n, "its place in the file is not known")
	}
	at = t.skipProperties(at)
	value := n.Value
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		value = strings.TrimRight(value, "\n")
		end := bytes.IndexByte(t.data[at:], '\n')
		if end < 0 {
			return span{}, t.unsafe(n, "its block has no line")
		}
		at += end + 1
		for at < len(t.data) && strings.IndexByte(" \r\n", t.data[at]) >= 0 {
			at++
		}
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		at++
	}
	end := at + len(value)
	if end > len(t.data) || string(t.data[at:end]) != value || strings.Contains(value, "\n") {
		return span{}, t.unsafe(n, "it is written with escapes or over several lines")
	}
	return span{at, end}, nil
}

// skipProperties steps over an anchor and a tag before a value.
func (t *text) skipProperties(at int) int {
	for at < len(t.data) && (t.data[at] == '&' || t.data[at] == '!') {
		for at < len(t.data) && strings.IndexByte(" \t\r\n", t.data[at]) < 0 {
			at++
		}
		for at < len(t.data) && strings.IndexByte(" \t\r\n", t.data[at]) >= 0 {
			at++
		}
	}
	return at
}

func (t *text) unsafe(n *yaml.Node, why string) error {
	return fmt.Errorf("%s:%d: %w: %s", t.name, n.Line, ErrUnsafe, why)
}

// eol is the file's way to end a line.
func (t *text) eol() string {
	if i := bytes.IndexByte(t.data, '\n'); i > 0 && t.data[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// lineEnd is the offset behind the text of the line that at lies in, before
// its end of line.
func (t *text) lineEnd(at int) int {
	end := len(t.data)
	if i := bytes.IndexByte(t.data[at:], '\n'); i >= 0 {
		end = at + i
	}
	if end > at && t.data[end-1] == '\r' {
		end--
	}
	return end
}

// splice is one replacement.
type splice struct {
	span
	with string
}

// apply makes the replacements, which must not overlap.
func (t *text) apply(edits []splice) []byte {
	sort.SliceStable(edits, func(i, j int) bool { return edits[i].start < edits[j].start })
	var out []byte
	at := 0
	for _, e := range edits {
		if e.start < at {
			continue // the same anchor, met twice
		}
		out = append(out, t.data[at:e.start]...)
		out = append(out, e.with...)
		at = e.end
	}
	return append(out, t.data[at:]...)
}

// plainSafe says whether a value without quotes is read as that string.
func plainSafe(value string) bool {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte("k: "+value+"\n"), &n); err != nil || len(n.Content) != 1 || len(n.Content[0].Content) != 2 {
		return false
	}
	v := n.Content[0].Content[1]
	return v.Kind == yaml.ScalarNode && v.Tag == "!!str" && v.Value == value
}

// written is the value as it can stand where n stands.
func written(n *yaml.Node, value string) string {
	quoted := n != nil && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if quoted || plainSafe(value) || (n != nil && n.ShortTag() == "!!str" && n.Style&yaml.TaggedStyle != 0) {
		return value
	}
	return `"` + value + `"`
}

// get is the value of a key of a mapping, and the key.
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

// follow gives the node that an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func value(m *yaml.Node, name string) string {
	_, v := get(m, name)
	if v = follow(v); v == nil || v.Kind != yaml.ScalarNode {
		return ""
	}
	return v.Value
}
