package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/shared/render/expand"
)

// walk finds what to replace in an object's text.
type walk struct {
	s      substitution
	object Object
	text   lines
	edits  []edit
	hard   bool // a scalar whose place in the text isn't known changes
	faults []error
}

// edit is a scalar that becomes another.
type edit struct {
	node       *yaml.Node
	start, end int // in the text
	with       string
	value      string
	plain      bool // value stands without quotes
	typed      bool // and isn't a string there
}

// lines are the offsets of the lines of a text.
type lines struct {
	raw    []byte
	starts []int
}

func newLines(raw []byte) lines {
	l := lines{raw: raw, starts: []int{0}}
	for i, c := range raw {
		if c == '\n' {
			l.starts = append(l.starts, i+1)
		}
	}
	return l
}

// offset is where a node begins; -1 where that isn't known. Columns are
// counted in characters.
func (l lines) offset(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(l.starts) {
		return -1
	}
	at, end := l.starts[n.Line-1], len(l.raw)
	if n.Line < len(l.starts) {
		end = l.starts[n.Line] - 1
	}
	column := 1
	for i := range string(l.raw[at:end]) {
		if column == n.Column {
			return at + i
		}
		column++
	}
	return -1
}

// node looks at a node and all below. path is for people. A plain scalar with
// an expression never lies between brackets: there YAML doesn't take the brace.
func (w *walk) node(n *yaml.Node, path string) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			w.scalar(key, path+"."+key.Value, true)
			w.node(n.Content[i+1], path+"."+key.Value)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			w.node(item, path+"["+strconv.Itoa(i)+"]")
		}
	case yaml.ScalarNode:
		w.scalar(n, path, false)
	case yaml.DocumentNode:
		for _, inner := range n.Content {
			w.node(inner, path)
		}
	}
	// An alias is what its anchor is.
}

func (w *walk) scalar(n *yaml.Node, path string, key bool) {
	if n.Kind != yaml.ScalarNode || !strings.Contains(n.Value, "$") {
		return
	}
	value, single, err := w.s.expansion(n.Value)
	if err != nil {
		w.fault(n, path, err)
		return
	}
	if value == n.Value {
		return
	}
	e := edit{node: n, value: value}
	e.start, e.end = w.span(n)
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0
	block := n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if text, told := asText(value, single); told && !quoted && !block && strings.HasPrefix(n.Value, "${") {
		e.value, value, single = text, text, false
	}
	if !quoted && !block {
		typed, ok := plainValue(value)
		_, text := typed.(string)
		e.typed = ok && !text && single && !key && n.Style&yaml.TaggedStyle == 0
		e.plain = ok && text || e.typed
	}
	switch {
	case e.plain:
		e.with = value
	case n.Style&yaml.LiteralStyle != 0:
		e.with = w.indented(e)
	case n.Style&yaml.SingleQuotedStyle != 0 && singleQuotable(value):
		e.with = "'" + strings.ReplaceAll(value, "'", "''") + "'"
	default:
		e.with = doubleQuoted(value)
	}
	w.hard = w.hard || e.start < 0
	w.edits = append(w.edits, e)
}

// asText is what a value says that it is a text itself: within quotes that other
// variables than its own put around it, or behind YAML's tag. So Flux has numbers and
// booleans be texts: ${quote}${id}${quote}.
func asText(value string, single bool) (text string, told bool) {
	if single {
		text, told = strings.CutPrefix(value, "!!str ")
		return text, told && !strings.ContainsAny(text, "\"'\r\n#")
	}
	last := len(value) - 1
	if last < 1 || value[0] != value[last] || value[0] != '"' && value[0] != '\'' || strings.ContainsAny(value, "\r\n") {
		return "", false
	}
	m, err := document{raw: []byte("k: " + value + "\n"), line: 1}.parse("")
	text, told = m["k"].(string)
	return text, told && err == nil && len(m) == 1
}

func singleQuotable(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffd
	})
}

// doubleQuoted is a text as JSON has it, which YAML reads alike.
func doubleQuoted(value string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(value) // a string
	quoted := strings.TrimSuffix(b.String(), "\n")
	// What JSON may hold as it is, and YAML may not.
	return strings.NewReplacer("\x7f", `\x7f`, "\u0085", `\N`, "\ufeff", `\ufeff`).Replace(quoted)
}

// span is where a scalar stands in the text; -1 where that isn't known.
func (w *walk) span(n *yaml.Node) (start, end int) {
	at := w.text.offset(n)
	if at < 0 {
		return -1, -1
	}
	text := w.text.raw[at:]
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		return w.literal(n)
	case n.Style&yaml.DoubleQuotedStyle != 0 && text[0] == '"':
		for i := 1; i < len(text); i++ {
			switch text[i] {
			case '\\':
				i++
			case '"':
				return at, at + i + 1
			}
		}
	case n.Style&yaml.SingleQuotedStyle != 0 && text[0] == '\'':
		for i := 1; i < len(text); i++ {
			if text[i] != '\'' {
				continue
			}
			if i+1 < len(text) && text[i+1] == '\'' {
				i++
				continue
			}
			return at, at + i + 1
		}
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.FoldedStyle) == 0 && bytes.HasPrefix(text, []byte(n.Value)):
		return at, at + len(n.Value)
	}
	return -1, -1
}

// literal is where the lines of a block scalar stand, each one of which is one
// of its value.
func (w *walk) literal(n *yaml.Node) (start, end int) {
	count := strings.Count(n.Value, "\n")
	if !strings.HasSuffix(n.Value, "\n") {
		count++
	}
	if n.Line+count > len(w.text.starts) {
		return -1, -1
	}
	end = len(w.text.raw)
	if n.Line+count < len(w.text.starts) {
		end = w.text.starts[n.Line+count]
	}
	start = w.text.starts[n.Line]
	if bytes.IndexByte(w.text.raw[start:end], '\r') >= 0 {
		return -1, -1
	}
	return start, end
}

// indented writes the new lines of a block scalar with the old one's
// indentation.
func (w *walk) indented(e edit) string {
	if e.start < 0 {
		return ""
	}
	old := string(w.text.raw[e.start:e.end])
	first, _, _ := strings.Cut(e.node.Value, "\n")
	line, _, _ := strings.Cut(old, "\n")
	indent := strings.TrimSuffix(line, first)
	if first == "" { // begins with blank lines: the first that isn't one tells
		for l := range strings.Lines(old) {
			if trimmed := strings.TrimLeft(l, " "); strings.TrimSpace(l) != "" {
				indent = l[:len(l)-len(trimmed)]
				break
			}
		}
	}
	var b strings.Builder
	for l := range strings.Lines(e.value) {
		if l != "\n" {
			b.WriteString(indent)
		}
		b.WriteString(l)
	}
	text := strings.TrimSuffix(b.String(), "\n")
	if strings.HasSuffix(old, "\n") {
		text += "\n"
	}
	return text
}

// spliced is the object with only the bytes of the scalars changed; ok is false
// where it doesn't come to what is wanted.
func (w *walk) spliced(want any) (Object, bool) {
	if w.hard {
		return Object{}, false
	}
	slices.SortFunc(w.edits, func(a, b edit) int { return a.start - b.start })
	var out []byte
	at := 0
	for _, e := range w.edits {
		if e.start < at {
			return Object{}, false
		}
		out = append(append(out, w.object.Raw[at:e.start]...), e.with...)
		at = e.end
	}
	return w.proved(append(out, w.object.Raw[at:]...), want)
}

// encoded is the object written anew: comments stay, indentation and blank lines
// may not.
func (w *walk) encoded(doc *yaml.Node, want any) (Object, bool) {
	for _, e := range w.edits {
		n := e.node
		n.Value = e.value
		switch {
		case n.Style&yaml.TaggedStyle != 0: // says itself what it is
		case e.typed:
			n.Tag = ""
		default:
			n.Tag = "!!str"
			if !e.plain && n.Style&(yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
				n.Style |= yaml.DoubleQuotedStyle
			}
		}
	}
	out, err := yaml.Marshal(doc)
	if err != nil {
		return Object{}, false
	}
	return w.proved(out, want)
}

// proved reads the new text as the old one was read.
func (w *walk) proved(raw []byte, want any) (Object, bool) {
	m, err := document{raw: raw, line: 1, printed: true}.parse("")
	if err != nil || !same(m, want) {
		return Object{}, false
	}
	o := w.object
	o.Raw, o.Map = raw, m
	return o, true
}

func (w *walk) fault(n *yaml.Node, path string, err error) {
	if len(w.faults) >= maxFaults {
		return
	}
	e := &Error{Message: err.Error()}
	at := 0
	if fault, ok := errors.AsType[*expand.Error](err); ok {
		at = fault.Offset
		if fault.Variable != "" {
			e.Help = fmt.Sprintf("set it in spec.substitute, or write a default: ${%s:=text}; to keep the text as it is, write $$ for $", fault.Variable)
		}
	}
	e.Message = fmt.Sprintf("%s: %s: %s", w.object.ID, strings.TrimPrefix(path, "."), e.Message)
	fault := w.s.fault(w.object, n, at, e)
	if v, ok := errors.AsType[*expand.Error](err); ok && v.Variable != "" && e.Line == 0 {
		if file, line := w.s.writtenIn(v.Variable, w.object); file != "" {
			e.File, e.Line = file, line
		}
	}
	w.faults = append(w.faults, fault)
}
