package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrDocument says that one of our documents is not right; the error names
// file and line.
var ErrDocument = errors.New("invalid document")

// Document is one document of our group.
type Document struct {
	File string
	Line int // of its first key
	Kind string
	// Object is a pointer to the kind's struct.
	Object any
}

// kinds makes an empty object of each kind.
var kinds = map[string]func() any{
	"Application":      func() any { return &Application{} },
	"DeploymentPolicy": func() any { return &DeploymentPolicy{} },
	"Hold":             func() any { return &Hold{} },
	"Project":          func() any { return &Project{} },
}

// validator is what a kind adds to the rules of its struct.
type validator interface{ Validate() error }

// Decode reads the documents of our group from a file that may hold others,
// which it leaves out. What can be read is returned beside the joined errors
// of what can't.
func Decode(file string, data []byte) ([]Document, error) {
	var docs []Document
	var faults []error
	d := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var node yaml.Node
		err := d.Decode(&node)
		if errors.Is(err, io.EOF) {
			return docs, errors.Join(faults...)
		}
		if err != nil {
			return docs, errors.Join(append(faults, fmt.Errorf("%w: %s: %s", ErrDocument, file, strings.TrimPrefix(err.Error(), "yaml: ")))...)
		}
		doc, err := decodeNode(file, &node)
		if err != nil {
			faults = append(faults, err)
		} else if doc != nil {
			docs = append(docs, *doc)
		}
	}
}

// decodeNode reads one document; nil means that it isn't of our group.
func decodeNode(file string, node *yaml.Node) (*Document, error) {
	if node.Kind != yaml.DocumentNode || len(node.Content) != 1 || node.Content[0].Kind != yaml.MappingNode {
		return nil, nil
	}
	root := node.Content[0]
	apiVersion, kind := scalar(root, "apiVersion"), scalar(root, "kind")
	if group, _, _ := strings.Cut(apiVersion, "/"); group != Group {
		return nil, nil
	}
	at := fmt.Sprintf("%s:%d", file, root.Line)
	if apiVersion != APIVersion {
		return nil, fmt.Errorf("%w: %s: apiVersion %q is not known, only %s", ErrDocument, at, apiVersion, APIVersion)
	}
	make, ok := kinds[kind]
	if !ok {
		return nil, fmt.Errorf("%w: %s: kind %q is not known in %s", ErrDocument, at, kind, APIVersion)
	}
	object := make()
	c := checker{file: file}
	c.check(root, reflect.TypeOf(object).Elem(), "")
	if len(c.faults) > 0 {
		return nil, errors.Join(c.faults...)
	}
	if err := fill(root, object); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDocument, at, err)
	}
	if v, ok := object.(validator); ok {
		if err := v.Validate(); err != nil {
			return nil, fmt.Errorf("%w: %s: %s: %w", ErrDocument, at, kind, err)
		}
	}
	return &Document{File: file, Line: root.Line, Kind: kind, Object: object}, nil
}

// fill moves the node into the object by way of JSON, whose names the
// structs carry.
func fill(node *yaml.Node, object any) error {
	var tree any
	if err := node.Decode(&tree); err != nil {
		return err
	}
	data, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, object)
}

// scalar is the value of a key of a mapping, empty when it isn't there.
func scalar(m *yaml.Node, key string) string {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1].Value
		}
	}
	return ""
}

// checker compares a YAML tree with a struct and remembers every fault.
type checker struct {
	file   string
	faults []error
}

func (c *checker) fault(n *yaml.Node, path, format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf("%w: %s:%d: %s: %s", ErrDocument, c.file, n.Line, strings.TrimPrefix(path, "."), fmt.Sprintf(format, args...)))
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func (c *checker) check(n *yaml.Node, t reflect.Type, path string) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Interface {
		asKubernetes(n)
		return
	}
	if n.Tag == "!!null" {
		return
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		if err := fill(n, reflect.New(t).Interface()); err != nil {
			c.fault(n, path, "%v", err)
		}
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		c.checkStruct(n, t, path)
	case reflect.Map:
		if n.Kind != yaml.MappingNode {
			c.fault(n, path, "must be a mapping")
			return
		}
		if t.Elem().Kind() == reflect.Interface {
			asKubernetes(n)
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			// Kubernetes takes a null in metadata, and refuses it elsewhere.
			if v := n.Content[i+1]; v.Tag == "!!null" && t.Elem().Kind() == reflect.String && !strings.HasPrefix(path, ".metadata.") {
				c.fault(n.Content[i], path+"."+n.Content[i].Value, "is null: write \"\" for an empty text, and quotes around what is to be one")
				continue
			}
			c.check(n.Content[i+1], t.Elem(), path+"."+n.Content[i].Value)
		}
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			c.fault(n, path, "must be a list")
			return
		}
		for i, item := range n.Content {
			c.check(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
		}
	default:
		c.checkScalar(n, t, path)
	}
}

// booleans are the words that are booleans to Kubernetes, which reads YAML
// 1.1, and strings to our parser.
var booleans = map[string]string{
	"y": "true", "Y": "true", "yes": "true", "Yes": "true", "YES": "true", "on": "true", "On": "true", "ON": "true",
	"n": "false", "N": "false", "no": "false", "No": "false", "NO": "false", "off": "false", "Off": "false", "OFF": "false",
}

// asKubernetes makes a tree of any form mean to us what it means to the API
// server, to which the same document is applied.
func asKubernetes(n *yaml.Node) {
	plain := n.Kind == yaml.ScalarNode && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) == 0
	if value, ok := booleans[n.Value]; ok && plain && n.Tag == "!!str" {
		n.Tag, n.Value = "!!bool", value
	}
	if n.Tag == "!!timestamp" {
		n.Tag = "!!str"
	}
	for i, child := range n.Content {
		asKubernetes(child)
		if n.Kind == yaml.MappingNode && i%2 == 0 && child.Kind == yaml.ScalarNode && child.Tag != "!!merge" {
			child.Tag = "!!str" // a key is a string in JSON
		}
	}
}

func (c *checker) checkStruct(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind != yaml.MappingNode {
		c.fault(n, path, "must be a mapping")
		return
	}
	fields := fieldsOf(t)
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		field, known := fields[key.Value]
		switch {
		case !known:
			c.fault(key, path+"."+key.Value, "unknown field")
		case seen[key.Value]:
			c.fault(key, path+"."+key.Value, "is there twice")
		default:
			c.check(n.Content[i+1], field, path+"."+key.Value)
		}
		seen[key.Value] = true
	}
}

// fieldsOf gives a struct's fields by their JSON names, embedded ones
// included.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && f.Anonymous:
			maps.Copy(fields, fieldsOf(f.Type))
		case name != "":
			fields[name] = f.Type
		}
	}
	return fields
}

func (c *checker) checkScalar(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind != yaml.ScalarNode {
		c.fault(n, path, "must be a single value")
		return
	}
	want, ok := "", true
	switch t.Kind() {
	case reflect.String:
		want, ok = "a string (put it in quotes)", n.Tag == "!!str" || n.Tag == "!!timestamp"
	case reflect.Bool:
		want, ok = "true or false", n.Tag == "!!bool"
	case reflect.Int, reflect.Int32, reflect.Int64:
		want, ok = "a whole number", n.Tag == "!!int"
	}
	if !ok {
		c.fault(n, path, "%q must be %s", n.Value, want)
	}
}

func indirect(v any) reflect.Type {
	t := reflect.TypeOf(v)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// DecodePart reads a piece of a document, such as a track, as strictly as the
// whole.
func DecodePart(name string, data []byte, into any) error {
	var node, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	err := d.Decode(&node)
	if errors.Is(err, io.EOF) || (err == nil && len(node.Content) != 1) {
		return fmt.Errorf("%w: %s is empty", ErrDocument, name)
	}
	if err == nil {
		if err = d.Decode(&more); err == nil {
			return fmt.Errorf("%w: %s:%d: is a second document", ErrDocument, name, more.Line)
		}
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %s: %s", ErrDocument, name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	c := checker{file: name}
	c.check(node.Content[0], indirect(into), "")
	if len(c.faults) > 0 {
		return errors.Join(c.faults...)
	}
	if err := fill(node.Content[0], into); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDocument, name, err)
	}
	return nil
}
