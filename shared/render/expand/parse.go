package expand

import (
	"fmt"
	"strings"
)

// maxDepth bounds expressions within expressions.
const maxDepth = 16

// Parse reads text. The error is an *[Error].
func Parse(text string) (Text, error) {
	p := parser{text: text}
	return p.words("", false, 0)
}

type parser struct {
	text string
	at   int
}

func (p *parser) rest() string { return p.text[p.at:] }

func (p *parser) skip(prefix string) bool {
	found := strings.HasPrefix(p.rest(), prefix)
	if found {
		p.at += len(prefix)
	}
	return found
}

func (p *parser) fault(start int, format string, args ...any) error {
	return &Error{Offset: start, Message: fmt.Sprintf(format, args...) + ": to keep the text as it is, write $$ for $"}
}

// words reads up to one of the bytes of until, or to the end where it is
// empty. With slashes \/ and \\ stand for / and \. In other words than those a $$
// is two, as with Flux.
func (p *parser) words(until string, slashes bool, depth int) (Text, error) {
	var t Text
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			t.parts = append(t.parts, part{text: b.String()})
			b.Reset()
		}
	}
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case strings.IndexByte(until, c) >= 0:
			flush()
			return t, nil
		case strings.HasPrefix(p.rest(), "$$") && (until == "" || slashes):
			b.WriteByte('$')
			p.at += 2
		case strings.HasPrefix(p.rest(), "${"):
			flush()
			e, err := p.expression(depth + 1)
			if err != nil {
				return Text{}, err
			}
			t.parts = append(t.parts, part{expr: e})
		case slashes && (strings.HasPrefix(p.rest(), `\/`) || strings.HasPrefix(p.rest(), `\\`)):
			b.WriteByte(p.text[p.at+1])
			p.at += 2
		default:
			b.WriteByte(c)
			p.at++
		}
	}
	flush()
	return t, nil
}

// expression reads ${…}.
func (p *parser) expression(depth int) (*expression, error) {
	start := p.at
	if depth > maxDepth {
		return nil, p.fault(start, "expressions lie more than %d deep in one another", maxDepth)
	}
	p.at += len("${")
	e := &expression{offset: start}
	length := p.skip("#")
	if e.name = p.name(); e.name == "" {
		return nil, p.fault(start, "%s is not a variable: its name has letters, digits and _, and no digit first", p.excerpt(start))
	}
	var err error
	if length {
		e.op = "length"
	} else if err = p.operation(e, start, depth); err != nil {
		return nil, err
	}
	if !p.skip("}") {
		if p.at >= len(p.text) {
			return nil, p.fault(start, "${%s is not closed with }", e.name)
		}
		return nil, p.fault(start, "%s is not an expression that is known", p.excerpt(start))
	}
	e.source = p.text[start:p.at]
	return e, nil
}

// excerpt is an expression as it is written, up to its first brace.
func (p *parser) excerpt(start int) string {
	const most = 60
	text, _, closed := strings.Cut(p.text[start:], "}")
	if closed {
		text += "}"
	}
	if line, _, cut := strings.Cut(text, "\n"); cut {
		text = line + "…"
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

func (p *parser) name() string {
	start := p.at
	for p.at < len(p.text) {
		c := p.text[p.at]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (p.at == start || c < '0' || c > '9') {
			break
		}
		p.at++
	}
	return p.text[start:p.at]
}

// operators are tried in this order, the longer first.
var operators = []string{":=", ":-", "=", "^^", "^", ",,", ",", "//", "/#", "/%", "/", "##", "#", "%%", "%", ":"}

// refused are operators that Flux and bash read in two ways.
var refused = []string{":?", ":+", "?", "+", "-"}

// operation reads what stands between name and brace.
func (p *parser) operation(e *expression, start, depth int) error {
	for _, op := range refused {
		if strings.HasPrefix(p.rest(), op) {
			return p.fault(start, "%s has the operator %s, which is not known: a default is written ${%s:=text}, and a variable without one must have a value anyway", p.excerpt(start), op, e.name)
		}
	}
	for _, op := range operators {
		if p.skip(op) {
			e.op = op
			break
		}
	}
	switch e.op {
	case "", "^^", "^", ",,", ",":
		return nil
	case ":=", ":-", "=":
		e.op = "default"
		return p.word(e, "}", false, depth)
	case ":":
		if err := p.word(e, ":}", false, depth); err != nil || !p.skip(":") {
			return err
		}
		return p.word(e, "}", false, depth)
	case "/", "//", "/#", "/%":
		if err := p.word(e, "/}", true, depth); err != nil {
			return err
		}
		if !p.skip("/") {
			return p.fault(start, "%s does not say what to write instead: ${%s/old/new}", p.excerpt(start), e.name)
		}
		return p.word(e, "}", true, depth)
	default:
		return p.word(e, "}", false, depth)
	}
}

func (p *parser) word(e *expression, until string, slashes bool, depth int) error {
	w, err := p.words(until, slashes, depth)
	e.words = append(e.words, w)
	return err
}
