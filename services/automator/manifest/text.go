package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// ErrUnsafe says that a reference can't be edited without risk; the message
// says why.
var ErrUnsafe = errors.New("can't be edited safely")

// text is a document, or a text within one, with what is needed to find a
// node's bytes in it.
type text struct {
	name string
	// first is the line of the file on which the text begins.
	first int
	data  []byte
	// lines are the offsets at which lines begin, as yaml counts them.
	lines []int
	ascii bool
	docs  []*yaml.Node
	// host is where a text within a document stands.
	host *host
	// steps are the offsets of every stepth letter of a line, by line, where
	// letters differ in size: a long line is walked once.
	steps map[int][]int
}

var bom = []byte("\xef\xbb\xbf")

// parse reads a chunk of a file. Bytes that are not UTF-8, as in old
// comments, are read as question marks, one for one, so that positions stay
// true.
func parse(name string, c chunk) (*text, error) {
	t := &text{name: name, first: c.line, data: c.data}
	if err := t.index(); err != nil {
		return nil, err
	}
	d := yaml.NewDecoder(bytes.NewReader(readable(c.data)))
	for {
		var doc yaml.Node
		if err := d.Decode(&doc); err != nil {
			if strings.HasSuffix(err.Error(), "EOF") {
				return t, nil
			}
			return nil, t.fault(err)
		}
		if len(doc.Content) == 1 {
			t.docs = append(t.docs, doc.Content[0])
		}
	}
}

// index finds the lines. Besides line feeds, yaml takes three of Unicode's
// characters for ends of lines.
func (t *text) index() error {
	t.lines, t.ascii = []int{0}, true
	for i, c := range t.data {
		switch {
		case c == '\n':
			t.lines = append(t.lines, i+1)
		case c == '\r' && (i+1 == len(t.data) || t.data[i+1] != '\n'):
			return fmt.Errorf("%s:%d: %w: a carriage return without a line feed", t.name, t.first+len(t.lines)-1, ErrUnsafe)
		case c >= utf8.RuneSelf:
			t.ascii = false
			for _, end := range []string{"\u0085", "\u2028", "\u2029"} {
				if bytes.HasPrefix(t.data[i:], []byte(end)) {
					t.lines = append(t.lines, i+len(end))
				}
			}
		}
	}
	return nil
}

var yamlLine = regexp.MustCompile(`^(?:unmarshal errors:\n\s*)?line (\d+): `)

// fault turns yaml's error into one with the line of the file.
func (t *text) fault(err error) error {
	why, line := strings.TrimPrefix(err.Error(), "yaml: "), t.first
	if m := yamlLine.FindStringSubmatch(why); m != nil {
		if n, bad := strconv.Atoi(m[1]); bad == nil {
			why, line = why[len(m[0]):], t.first+n-1
		}
	}
	return fmt.Errorf("%s:%d: it can't be read as YAML: %s", t.name, line, why)
}

// surrogate is half of a letter, as JSON may write it and yaml can't read it.
var surrogate = regexp.MustCompile(`\\u[dD][89a-fA-F][0-9a-fA-F]{2}`)

// readable puts a question mark for every byte that is not UTF-8, and for
// every half of a letter in JSON.
func readable(data []byte) []byte {
	if (bytes.Contains(data, []byte(`\ud`)) || bytes.Contains(data, []byte(`\uD`))) && surrogate.Match(data) {
		data = surrogate.ReplaceAll(data, []byte(`\u003f`))
	}
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

// span is a piece of a text, in bytes.
type span struct{ start, end int }

// offset turns yaml's line and column, which counts letters, into bytes.
func (t *text) offset(line, column int) (int, bool) {
	if line < 1 || line > len(t.lines) || column < 1 {
		return 0, false
	}
	at := t.lines[line-1]
	if line == 1 && bytes.HasPrefix(t.data, bom) {
		at += len(bom)
	}
	if t.ascii {
		at += column - 1
		return at, at <= len(t.data)
	}
	steps := t.stepsOf(line, at)
	i := (column - 1) / step
	if i >= len(steps) {
		return 0, false
	}
	at = steps[i]
	for range (column - 1) % step {
		if at >= len(t.data) {
			return 0, false
		}
		_, size := utf8.DecodeRune(t.data[at:])
		at += size
	}
	return at, true
}

const step = 256

func (t *text) stepsOf(line, at int) []int {
	if known, ok := t.steps[line]; ok {
		return known
	}
	end := len(t.data)
	if line < len(t.lines) {
		end = t.lines[line]
	}
	steps := []int{at}
	for n := 1; at < end; n++ {
		_, size := utf8.DecodeRune(t.data[at:])
		if at += size; n%step == 0 {
			steps = append(steps, at)
		}
	}
	if t.steps == nil {
		t.steps = map[int][]int{}
	}
	t.steps[line] = steps
	return steps
}

// lineOf is the index of the line that an offset lies in.
func (t *text) lineOf(at int) int {
	return sort.Search(len(t.lines), func(i int) bool { return t.lines[i] > at }) - 1
}

// line is the line of the file on which a node stands.
func (t *text) line(n *yaml.Node) int { return t.first + n.Line - 1 }

const (
	quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle
	block  = yaml.LiteralStyle | yaml.FoldedStyle
)

// content gives the bytes of a scalar's value, without quotes. The scalar
// must be written on one line, letter for letter.
func (t *text) content(n *yaml.Node) (span, error) {
	at, ok := t.begin(n)
	if !ok {
		return span{}, t.unsafe(n, "its place in the file is not known")
	}
	value := n.Value
	switch {
	case n.Style&block != 0:
		value = strings.TrimRight(value, "\n")
		next := t.lineOf(at) + 1
		if next >= len(t.lines) {
			return span{}, t.unsafe(n, "its block has no line")
		}
		at = t.lines[next]
		for at < len(t.data) && t.data[at] == ' ' {
			at++
		}
	case n.Style&quoted != 0:
		at++
	}
	end := at + len(value)
	if end > len(t.data) || string(t.data[at:end]) != value || strings.Contains(value, "\n") ||
		(n.Style&quoted != 0 && (end == len(t.data) || t.data[end] != t.data[at-1])) {
		return span{}, t.unsafe(n, "it is written with escapes or over several lines")
	}
	return span{at, end}, nil
}

// begin is where a scalar's text begins, behind its anchor and tag.
func (t *text) begin(n *yaml.Node) (int, bool) {
	at, ok := t.offset(n.Line, n.Column)
	if !ok {
		return 0, false
	}
	for at < len(t.data) && (t.data[at] == '&' || t.data[at] == '!') {
		for at < len(t.data) && strings.IndexByte(" \t\r\n", t.data[at]) < 0 {
			at++
		}
		for at < len(t.data) && strings.IndexByte(" \t\r\n#", t.data[at]) >= 0 {
			if t.data[at] == '#' {
				at = t.lineEnd(at)
				continue
			}
			at++
		}
	}
	return at, true
}

// whole is content with the quotes.
func (t *text) whole(n *yaml.Node) (span, error) {
	at, err := t.content(n)
	if err == nil && n.Style&quoted != 0 {
		at.start--
		at.end++
	}
	return at, err
}

func (t *text) unsafe(n *yaml.Node, why string) error {
	return fmt.Errorf("%s:%d: %w: %s", t.name, t.line(n), ErrUnsafe, why)
}

// eol is the text's way to end a line.
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

// apply makes the replacements. Those that stand at the same place are made
// in their order; those that overlap can't be.
func (t *text) apply(edits []splice) ([]byte, error) {
	slices.SortStableFunc(edits, func(a, b splice) int { return a.start - b.start })
	var out []byte
	at := 0
	for _, e := range edits {
		if e.start < at {
			return nil, fmt.Errorf("%s:%d: %w: two edits overlap", t.name, t.first+t.lineOf(e.start), ErrUnsafe)
		}
		out = append(out, t.data[at:e.start]...)
		out = append(out, e.with...)
		at = e.end
	}
	return append(out, t.data[at:]...), nil
}
