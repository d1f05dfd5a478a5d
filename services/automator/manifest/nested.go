package manifest

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// host says where a text stands that is the value of a literal block, such as
// the Helm values in an Argo CD Application.
type host struct {
	in     *text
	node   *yaml.Node
	line   int // of in, index of the block's first
	indent int
}

// nest reads a literal block as a text of its own. Any other style hides the
// bytes of its lines, and is refused.
func (t *text) nest(n *yaml.Node) (*text, error) {
	begin, ok := t.begin(n)
	if !ok || n.Style&yaml.LiteralStyle == 0 {
		return nil, t.unsafe(n, "the YAML in it is not written as a literal block (|)")
	}
	h := &host{in: t, node: n, line: t.lineOf(begin) + 1, indent: -1}
	data := []byte(n.Value)
	for i, line := range strings.Split(strings.TrimRight(n.Value, "\n"), "\n") {
		if !h.holds(h.line+i, line) {
			return nil, t.unsafe(n, "the lines of its block are not those of its value")
		}
	}
	nested, err := parse(t.name, chunk{data, t.first + h.line})
	if err != nil {
		return nil, err
	}
	nested.host = h
	return nested, nil
}

// holds says whether a line of the file is that line of the value; the first
// that isn't blank tells the indentation.
func (h *host) holds(index int, want string) bool {
	if index >= len(h.in.lines) {
		return false
	}
	start := h.in.lines[index]
	line := string(h.in.data[start:h.in.lineEnd(start)])
	if want == "" {
		return strings.Trim(line, " ") == ""
	}
	if h.indent < 0 {
		h.indent = len(line) - len(want)
	}
	return h.indent > 0 && len(line) == h.indent+len(want) && line[h.indent:] == want && strings.Trim(line[:h.indent], " ") == ""
}

// lift turns edits of a text within a document into edits of the document.
// They stay within a line.
func (t *text) lift(edits []splice) []splice {
	if t.host == nil {
		return edits
	}
	lifted := make([]splice, len(edits))
	for i, e := range edits {
		line := t.lineOf(e.start)
		shift := t.host.in.lines[t.host.line+line] + t.host.indent - t.lines[line]
		lifted[i] = splice{span{e.start + shift, e.end + shift}, e.with}
	}
	return t.host.in.lift(lifted)
}
