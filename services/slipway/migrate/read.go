package migrate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/shared/render"
)

// source is one document of another tool. It knows which of its fields were
// read, so that none is dropped in silence.
type source struct {
	file                   string
	root                   *yaml.Node
	group, kind            string
	namespace, name        string
	read                   map[*yaml.Node]bool
	notes                  *notes
	labels, annotations    map[string]string
	annotationsAt, labelAt value
	// used are the annotations that were read as settings.
	used map[string]bool
	// origin is the document as it stands in a file, where this one is what a
	// kustomization makes of it, or what an ApplicationSet makes; within is where in
	// it this one is made.
	origin *source
	within string
}

// setting reads an annotation.
func (s *source) setting(key string) (string, bool) {
	v, ok := s.annotations[key]
	if ok {
		s.used[key] = true
	}
	return v, ok
}

// id is such as "Kustomization flux-system/apps".
func (s *source) id() string { return s.kind + " " + s.namespace + "/" + s.name }

func (s *source) at(keys ...string) value {
	return value{s: s, node: s.root, line: s.root.Line}.at(keys...)
}

// closest is the place of a path or, where it isn't there, of what would hold
// it; it is told under the path all the same.
func (s *source) closest(field string) value {
	at := s.at()
	for part := range strings.SplitSeq(field, ".") {
		key, index, listed := strings.Cut(part, "[")
		next := at.at(key)
		if listed {
			i, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
			items := resolve(next.node)
			if err != nil || items == nil || items.Kind != yaml.SequenceNode || i >= len(items.Content) {
				break
			}
			next.node, next.line = items.Content[i], items.Content[i].Line
		}
		if next.node == nil {
			break
		}
		at = next
	}
	at.path = field
	return at
}

// rest are the fields that nobody has read, each at its highest.
func (s *source) rest() []value {
	var all []value
	var walk func(v value, depth int) (touched bool)
	walk = func(v value, depth int) bool {
		n := resolve(v.node)
		if n == nil || s.read[v.node] || s.read[n] || depth > 100 {
			return true
		}
		before := len(all)
		touched := false
		switch n.Kind {
		case yaml.MappingNode:
			for _, k := range v.keys() {
				touched = walk(v.at(k), depth+1) || touched
			}
		case yaml.SequenceNode:
			for i, c := range n.Content {
				touched = walk(value{s: s, node: c, line: c.Line, path: fmt.Sprintf("%s[%d]", v.path, i)}, depth+1) || touched
			}
		}
		if !touched {
			all = append(all[:before], v)
		}
		return touched
	}
	for _, k := range s.at().keys() {
		walk(s.at(k), 0)
	}
	return slices.DeleteFunc(all, func(v value) bool {
		return !v.there() || len(resolve(v.node).Content) == 0 && resolve(v.node).Kind != yaml.ScalarNode
	})
}

// maxFile bounds what is read of one file.
const maxFile = 4 << 20

// readAll reads the documents of some API groups below a folder of a
// repository. What can't be read is noted.
func readAll(ctx context.Context, fsys fs.FS, below string, groups func(group string) bool, marks []string, n *notes) ([]*source, error) {
	var all []*source
	err := fs.WalkDir(fsys, below, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && name != below && (strings.HasPrefix(e.Name(), ".") || e.Name() == "node_modules"):
			return fs.SkipDir
		case e.IsDir() && e.Name() == "templates" && exists(fsys, path.Join(path.Dir(name), "Chart.yaml")):
			made, err := readChart(ctx, fsys, path.Dir(name), groups, marks, n)
			all = append(all, made...)
			return cmp.Or(err, fs.SkipDir) // templates are no YAML
		case !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") || !slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name)):
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Size() > maxFile {
			return nil
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(marks, func(m string) bool { return bytes.Contains(data, []byte(m)) }) {
			return nil
		}
		all = append(all, readFile(name, data, groups, n)...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the repository: %w", err)
	}
	return all, nil
}

// readChart reads what a chart makes with its own values, where its templates
// have documents that are looked for.
func readChart(ctx context.Context, fsys fs.FS, dir string, groups func(string) bool, marks []string, n *notes) ([]*source, error) {
	marked, names := false, groupNamed(marks)
	err := fs.WalkDir(fsys, path.Join(dir, "templates"), func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := fs.ReadFile(fsys, name)
		marked = marked || names.Match(data)
		return err
	})
	if err != nil || !marked {
		return nil, err
	}
	chart := path.Join(dir, "Chart.yaml")
	result, err := render.Render(ctx, render.Request{FS: fsys, Path: dir, Helm: render.Release{ReleaseName: "release", Namespace: "default"}})
	if err != nil {
		n.add(Note{Kind: Wrong, File: chart, Line: 1, What: "its templates name documents of the other tool, and it can't be rendered: " + err.Error(), Do: "mend it there first"})
		return nil, nil
	}
	var all []*source
	for _, o := range result.Objects {
		if groups(o.Group()) {
			all = append(all, readFile(cmp.Or(o.File, chart), o.Raw, groups, n)...)
		}
	}
	if len(all) > 0 {
		n.add(Note{Kind: Different, File: chart, Line: 1, What: fmt.Sprintf("%d documents of the other tool are what this chart makes with its own values", len(all)), Do: "lines count in what is rendered; with other values it makes others"})
	}
	return all, nil
}

// groupNamed finds documents of groups in a template; annotations of theirs are none.
func groupNamed(marks []string) *regexp.Regexp {
	quoted := make([]string, len(marks))
	for i, m := range marks {
		quoted[i] = regexp.QuoteMeta(m)
	}
	return regexp.MustCompile(`apiVersion:[ \t]*['"]?[\w.-]*(` + strings.Join(quoted, "|") + `)/`)
}

func exists(fsys fs.FS, name string) bool {
	_, err := fs.Stat(fsys, name)
	return err == nil
}

// readFile reads the documents of a file, those of a List included.
func readFile(name string, data []byte, groups func(string) bool, n *notes) []*source {
	var all []*source
	d := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			n.add(Note{Kind: Wrong, File: name, Line: lineOf(err), What: "it can't be read: " + strings.TrimPrefix(err.Error(), "yaml: "), Do: "mend it there first: what stands behind is not migrated"})
			return all
		}
		if len(doc.Content) == 1 {
			all = append(all, sourcesOf(name, doc.Content[0], groups, n)...)
		}
	}
}

// readMade reads an object that a kustomization makes of a document, as if it stood in a
// file; of nil it isn't known of which.
func readMade(file string, o render.Object, groups func(string) bool, origin *source, n *notes) []*source {
	all := readFile(file, o.Raw, groups, n)
	for _, s := range all {
		s.origin = origin
	}
	return all
}

func lineOf(err error) int {
	_, text, found := strings.Cut(err.Error(), "line ")
	if !found {
		return 1
	}
	digits, _, _ := strings.Cut(text, ":")
	line, err := strconv.Atoi(digits)
	if err != nil {
		return 1
	}
	return line
}

func sourcesOf(file string, node *yaml.Node, groups func(string) bool, n *notes) []*source {
	s := &source{file: file, root: node, read: map[*yaml.Node]bool{}, used: map[string]bool{}, notes: n}
	if node.Kind != yaml.MappingNode {
		return nil
	}
	apiVersion := s.at("apiVersion").text()
	s.kind = s.at("kind").text()
	if strings.HasSuffix(s.kind, "List") && s.at("items").there() {
		var all []*source
		for _, item := range s.at("items").items() {
			if resolve(item.node) != nil {
				all = append(all, sourcesOf(file, resolve(item.node), groups, n)...)
			}
		}
		return all
	}
	s.group, _, _ = strings.Cut(apiVersion, "/")
	if !groups(s.group) {
		return nil
	}
	meta := s.at("metadata")
	s.name, s.namespace = meta.at("name").text(), meta.at("namespace").text()
	for _, bookkeeping := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"} {
		meta.at(bookkeeping).take()
	}
	s.at("status").take()
	s.labelAt, s.annotationsAt = meta.at("labels"), meta.at("annotations")
	s.labels, s.annotations = s.labelAt.texts(), s.annotationsAt.texts()
	delete(s.annotations, "kubectl.kubernetes.io/last-applied-configuration")
	return []*source{s}
}
