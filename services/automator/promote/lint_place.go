package promote

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

// texts are the YAML trees of files, as far as they could be read.
type texts map[string][]*yaml.Node

func (t texts) add(file string, data []byte) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var node yaml.Node
		if d.Decode(&node) != nil {
			return
		}
		if len(node.Content) == 1 {
			t[file] = append(t[file], node.Content[0])
		}
	}
}

var (
	step  = regexp.MustCompile(`[^.\[\]]+`)
	steps = regexp.MustCompile(`^[A-Za-z0-9_-]+(?:\[[0-9]+\])*(?:\.[A-Za-z0-9_-]+(?:\[[0-9]+\])*)*$`)
)

// line is that of a field of the document that begins at a line, as far down
// as the fields are there.
func (t texts) line(file string, begin int, fields ...string) int {
	at := slices.IndexFunc(t[file], func(n *yaml.Node) bool { return n.Line == begin })
	if at < 0 {
		return begin
	}
	line, node := begin, t[file][at]
	for _, field := range fields {
		for _, name := range step.FindAllString(field, -1) {
			if node.Kind == yaml.AliasNode {
				node = node.Alias
			}
			key, value := child(node, name)
			if value == nil {
				return line
			}
			line, node = key.Line, value
		}
	}
	return line
}

// child gives what a mapping or list has under a name or number.
func child(n *yaml.Node, name string) (key, value *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i], n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
	}
	return nil, nil
}

// leaves takes an error of several apart, each with what stands before it.
func leaves(err error) []string {
	var inner []error
	switch e := err.(type) { //nolint:errorlint // it is taken apart, layer by layer
	case interface{ Unwrap() []error }:
		inner = e.Unwrap()
		var texts []string
		for _, i := range inner {
			texts = append(texts, i.Error())
		}
		if err.Error() == strings.Join(texts, "\n") {
			var all []string
			for _, i := range inner {
				all = append(all, leaves(i)...)
			}
			return all
		}
	case interface{ Unwrap() error }:
		inner = []error{e.Unwrap()}
	}
	if len(inner) == 0 || inner[len(inner)-1] == nil {
		return []string{err.Error()}
	}
	last := inner[len(inner)-1]
	before, ok := strings.CutSuffix(err.Error(), last.Error())
	if !ok || before == "" && !errors.Is(last, err) && len(inner) > 1 {
		return []string{err.Error()}
	}
	all := leaves(last)
	for i := range all {
		all[i] = before + all[i]
	}
	return all
}

var located = regexp.MustCompile(`^(.+?)(?::([0-9]+)|: line ([0-9]+)): (?s:(.*))$`)

// at is the place of "file:line", or of a file alone.
func (t *lintTree) at(where string) place {
	for _, other := range t.trees {
		if theirs, lent := strings.CutSuffix(where, " of "+other.key); lent && other.key != "" {
			return other.at(theirs)
		}
	}
	m := located.FindStringSubmatch(where + ": ")
	if m == nil {
		return place{t, where, 1}
	}
	line, err := strconv.Atoi(m[2] + m[3])
	if err != nil {
		return place{t, where, 1}
	}
	return place{t, m[1], line}
}

// faults gives each fault of an error with its place; without one of its own
// it is at the given.
func (t *lintTree) faults(err error, otherwise place, each func(p place, what, do string)) {
	if inner, joined := err.(interface{ Unwrap() []error }); joined {
		if _, ours := errors.AsType[*render.Error](err); ours {
			for _, e := range inner.Unwrap() {
				t.faults(e, otherwise, each)
			}
			return
		}
	}
	if e, ok := errors.AsType[*render.Error](err); ok {
		if e.Reason == render.ReasonPath { // it has no file to tell of
			each(otherwise, e.File+": "+e.Message, e.Help)
			return
		}
		each(place{t, e.File, e.Line}, e.Message, e.Help)
		return
	}
	for _, text := range leaves(err) {
		text = strings.TrimPrefix(text, api.ErrDocument.Error()+": ")
		m := located.FindStringSubmatch(text)
		if m == nil || !t.isFile(m[1]) {
			each(otherwise, text, "")
			continue
		}
		p := t.at(strings.TrimSuffix(text, ": "+m[4]))
		p.line = t.texts.line(p.file, p.line, fieldsOf(m[4])...)
		each(p, m[4], "")
	}
}

// fieldsOf are the fields with which a fault begins, behind its kind:
// "DeploymentPolicy: spec.rules[0]: track: range is empty" has spec.rules[0],
// track and range.
func fieldsOf(text string) []string {
	parts := strings.Split(text, ": ")
	if _, ours := mends[parts[0]]; ours {
		parts = parts[1:]
	}
	var fields []string
	for _, p := range parts {
		word, _, more := strings.Cut(p, " ")
		if !steps.MatchString(word) {
			break
		}
		if fields = append(fields, word); more {
			break
		}
	}
	return fields
}

func flat(text string) string { return strings.Join(strings.Fields(text), " ") }
