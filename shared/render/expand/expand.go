package expand

import (
	"errors"
	"fmt"
	"strings"
)

// Error is one fault of an expression. It never holds a value.
type Error struct {
	// Offset is the byte of the text at which the expression begins.
	Offset int
	// Variable is the name that has no value; empty for a fault of grammar.
	Variable string
	Message  string
}

// Error is the message alone.
func (e *Error) Error() string { return e.Message }

// Text is text with expressions in it, read once and expanded as often as
// needed.
type Text struct{ parts []part }

// part is a piece of text or, when expr isn't nil, an expression.
type part struct {
	text string
	expr *expression
}

// expression is one ${…}.
type expression struct {
	offset int
	source string // as it was written
	name   string
	op     string // empty for the bare value
	words  []Text
}

// Variables says for which names there are values.
type Variables func(name string) (string, bool)

// maxBytes bounds what a text may become: expressions within expressions can
// multiply a value with itself.
const maxBytes = 4 << 20

func tooLarge(e *expression) error {
	return &Error{Offset: e.offset, Message: fmt.Sprintf("%s becomes larger than %d bytes", e.source, maxBytes)}
}

// Expand gives the text with every expression replaced. With lenient an
// expression whose variable has no value stays as it was written.
func (t Text) Expand(values Variables, lenient bool) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.expr == nil {
			b.WriteString(p.text)
			continue
		}
		value, err := p.expr.value(values)
		if e, ok := errors.AsType[*Error](err); ok && lenient && e.Variable != "" {
			value, err = p.expr.source, nil
		}
		if err != nil {
			return "", err
		}
		if b.Len()+len(value) > maxBytes {
			return "", tooLarge(p.expr)
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// Plain says that there is nothing to replace in the text.
func (t Text) Plain(source string) bool {
	return len(t.parts) == 0 || len(t.parts) == 1 && t.parts[0].expr == nil && t.parts[0].text == source
}

// Single says that the text is exactly one expression.
func (t Text) Single() bool { return len(t.parts) == 1 && t.parts[0].expr != nil }

func (e *expression) value(values Variables) (string, error) {
	value, there := values(e.name)
	if e.op == "default" {
		if value != "" {
			return value, nil
		}
		return e.words[0].Expand(values, false)
	}
	if !there {
		return "", &Error{Offset: e.offset, Variable: e.name, Message: fmt.Sprintf("variable %s has no value", e.name)}
	}
	words := make([]string, len(e.words))
	for i, w := range e.words {
		var err error
		if words[i], err = w.Expand(values, false); err != nil {
			return "", err
		}
	}
	if e.op == "//" && strings.Count(value, words[0])*len(words[1]) > maxBytes {
		return "", tooLarge(e)
	}
	value, err := apply(e.op, value, words)
	if err != nil {
		return "", &Error{Offset: e.offset, Message: fmt.Sprintf("%s: %v", e.source, err)}
	}
	return value, nil
}
