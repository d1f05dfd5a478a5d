package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// ourGroup is the group of Slipway's own documents.
const ourGroup = "slipway.dev"

// gitOnly are kinds of our group that live in Git alone.
var gitOnly = map[string]bool{"DeploymentPolicy": true, "Hold": true}

// document is one YAML document of a file.
type document struct {
	raw  []byte
	line int // of its first byte, from 1
	// printed says that Helm printed it: what it takes, we take (a key that
	// is there twice), and what isn't an object is a fault.
	printed bool
}

// split cuts a stream at its separators. What stands on a separator's own
// line behind "---" belongs to the document, as in YAML.
func split(data []byte) []document {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var docs []document
	start, line, startLine := 0, 1, 1
	for at := 0; at < len(data); {
		end := at + bytes.IndexByte(data[at:], '\n') + 1
		if end == at {
			end = len(data)
		}
		if text := bytes.TrimRight(data[at:end], " \t\r\n"); bytes.Equal(text, []byte("---")) || bytes.HasPrefix(text, []byte("--- ")) {
			docs = append(docs, document{raw: data[start:at], line: startLine})
			start, startLine = end, line+1
			if rest := bytes.TrimSpace(text[3:]); len(rest) > 0 && rest[0] != '#' {
				start, startLine = at, line
			}
		}
		at, line = end, line+1
	}
	return append(docs, document{raw: data[start:], line: startLine})
}

// blank says whether a document holds nothing but comments.
func (d document) blank() bool {
	for line := range bytes.Lines(d.raw) {
		text := bytes.TrimSpace(line)
		if len(text) > 0 && text[0] != '#' && !bytes.Equal(text, []byte("---")) && !bytes.Equal(text, []byte("...")) && text[0] != '%' {
			return false
		}
	}
	return true
}

// firstLine is the line of the first byte that isn't blank or a comment.
func (d document) firstLine() int {
	n := d.line
	for line := range bytes.Lines(d.raw) {
		if text := bytes.TrimSpace(line); len(text) > 0 && text[0] != '#' {
			break
		}
		n++
	}
	return n
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// parse reads a document as Kubernetes' clients do: YAML to JSON, integers
// kept. It is nil for what is not a mapping.
func (d document) parse(file string) (map[string]any, error) {
	read := yaml.YAMLToJSONStrict
	if d.printed {
		read = yaml.YAMLToJSON
	}
	data, err := read(d.raw)
	if err != nil {
		return nil, d.fault(file, err)
	}
	if len(data) == 0 || data[0] != '{' {
		return nil, nil
	}
	var m map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &m); err != nil {
		return nil, d.fault(file, err)
	}
	return m, nil
}

// fault turns a parser's error into ours, with the line within the file.
func (d document) fault(file string, err error) error {
	line := d.firstLine()
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: "), "yaml: ")
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		if n, bad := strconv.Atoi(m[1]); bad == nil && n > 0 {
			line = d.line + n - 1
			text = strings.TrimPrefix(strings.Replace(text, m[0]+": ", "", 1), "unmarshal errors:\n  ")
		}
	}
	help := leaveOut
	if d.printed {
		help = seeTemplate
	}
	return &Error{File: file, Line: line, Reason: ReasonInvalid, Message: "invalid YAML: " + strings.TrimSpace(text), Help: help, Err: err}
}

// identify reads an object's identity; ok is false for what isn't a
// Kubernetes object.
func identify(m map[string]any) (ID, bool) {
	id := ID{}
	id.APIVersion, _ = m["apiVersion"].(string)
	id.Kind, _ = m["kind"].(string)
	if meta, ok := m["metadata"].(map[string]any); ok {
		id.Name, _ = meta["name"].(string)
		id.Namespace, _ = meta["namespace"].(string)
	}
	return id, id.APIVersion != "" && id.Kind != ""
}

// lacks says what an object is without that has all else of one: a slip of the pen,
// say. Taken for none, it would be no more there, and so be pruned.
func (id ID) lacks() string {
	switch {
	case id.Name == "" || id.APIVersion == "" && id.Kind == "":
	case id.APIVersion == "":
		return id.Kind + " " + id.Name + " has no apiVersion"
	case id.Kind == "":
		return id.APIVersion + " " + id.Name + " has no kind"
	}
	return ""
}

// leftOut says whether an object never reaches a cluster: Slipway's documents
// for Git alone, and kustomize's own.
func (id ID) leftOut() bool {
	switch group := id.Group(); group {
	case ourGroup:
		return gitOnly[id.Kind]
	default:
		return strings.HasSuffix(group, "kustomize.config.k8s.io")
	}
}

// leaveOut is what to do about a file that can't be read.
const leaveOut = "mend it, or leave the file out with .slipwayignore"

// seeTemplate is what to do about what a chart gives.
const seeTemplate = "see what `helm template` prints for it"

var errNoName = errors.New("metadata.name is missing")

// objects gives the objects of a document: none, one, or a List's items.
func (d document) objects(src *source, file string) ([]Object, error) {
	if d.blank() {
		return nil, nil
	}
	m, err := d.parse(file)
	if err != nil || m == nil {
		return nil, err
	}
	id, ok := identify(m)
	if !ok && d.printed && len(m) > 0 {
		return nil, &Error{
			File: file, Line: d.firstLine(), Reason: ReasonInvalid, Help: seeTemplate,
			Message: "it renders to something that is not a Kubernetes object: apiVersion or kind is missing",
		}
	}
	if lacks := id.lacks(); lacks != "" {
		return nil, &Error{File: file, Line: d.firstLine(), Reason: ReasonInvalid, Message: lacks, Help: leaveOut}
	}
	if !ok || id.leftOut() {
		return nil, nil
	}
	items, isList := m["items"].([]any)
	if !isList || !strings.HasSuffix(id.Kind, "List") || id.Name != "" {
		if id.Name == "" {
			return d.hook(src, file, id, m)
		}
		return []Object{{ID: id, Raw: d.raw, Map: m, File: file, Line: d.firstLine()}}, src.count(file, 1)
	}
	if err := src.count(file, len(items)); err != nil {
		return nil, err
	}
	return d.flatten(id, items, file)
}

// nameless says what is wrong with a name. In YAML 1.1, which Kubernetes
// reads, n and y are booleans.
func (d document) nameless(file string, id ID, m map[string]any) error {
	e := &Error{
		File: file, Line: d.firstLine(), Reason: ReasonInvalid,
		Message: id.Kind + ": " + errNoName.Error(), Help: "only a hook may have generateName: what it makes up can't be kept in sync", Err: errNoName,
	}
	meta, _ := m["metadata"].(map[string]any)
	if name, there := meta["name"]; there && name != nil && name != "" {
		e.Message, e.Help = fmt.Sprintf("%s: metadata.name is read as %v, which is not a string", id.Kind, name), "put it in quotes"
	}
	return e
}

// flatten gives the items of a List; a typed list lends them its type.
func (d document) flatten(list ID, items []any, file string) ([]Object, error) {
	var objects []Object
	for i, item := range items {
		m, _ := item.(map[string]any)
		if m != nil && list.Kind != "List" {
			if _, ok := m["kind"]; !ok {
				m["apiVersion"], m["kind"] = list.APIVersion, strings.TrimSuffix(list.Kind, "List")
			}
		}
		id, ok := identify(m)
		if !ok || id.Name == "" {
			return nil, &Error{
				File: file, Line: d.firstLine(), Reason: ReasonInvalid,
				Message: fmt.Sprintf("items[%d] of %s has no apiVersion, kind or name", i, list.Kind),
			}
		}
		if id.leftOut() {
			continue
		}
		o, err := d.rewritten(file, id, m)
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// rewritten is an object that stands in the document otherwise.
func (d document) rewritten(file string, id ID, m map[string]any) (Object, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return Object{}, d.fault(file, err)
	}
	raw, err := yaml.JSONToYAML(data)
	if err != nil {
		return Object{}, d.fault(file, err)
	}
	return Object{ID: id, Raw: raw, Map: m, File: file, Line: d.firstLine(), rewritten: true}, nil
}
