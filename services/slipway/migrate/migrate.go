// Package migrate reads the documents of other tools in a config repo, and
// writes ours that do the same. What has no counterpart is told, each field with
// its place: none is dropped in silence.
package migrate

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/api"
)

// ErrInput says that what is to be migrated can't be read.
var ErrInput = errors.New("nothing can be migrated")

// Options say what is migrated.
type Options struct {
	// FS is the repository, Below the folder of it that is read.
	FS    fs.FS
	Below string
	// Repository and Branch are the repository's own, for sources that don't say.
	Repository, Branch string
	// Origin is where the repository was cloned from, which is taken for Repository
	// where nobody says one and a source isn't in the repository.
	Origin string
	// Cluster is the cluster in the policies' patterns; empty: any.
	Cluster string
}

// own is the repository itself, as far as it is known.
func (o Options) own() string { return cmp.Or(o.Repository, webAddress(o.Origin)) }

// NoteKind sorts notes.
type NoteKind string

// The kinds of notes.
const (
	// Missing has no counterpart: without it something is different.
	Missing NoteKind = "missing"
	// Different is done in another way, of which people should know.
	Different NoteKind = "different"
	// Wrong can't be read, or contradicts itself.
	Wrong NoteKind = "wrong"
)

// Note is one thing that people should know.
type Note struct {
	Kind   NoteKind `json:"kind"`
	File   string   `json:"file"`
	Line   int      `json:"line"`
	Object string   `json:"object,omitempty"`
	Field  string   `json:"field,omitempty"`
	What   string   `json:"what"`
	Do     string   `json:"do,omitempty"`
}

// String is "file:line: kind: object: field: what: what to do".
func (n Note) String() string {
	parts := []string{n.File + ":" + strconv.Itoa(n.Line), string(n.Kind), n.Object, n.Field, n.What, n.Do}
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ": ")
}

type notes struct{ all []Note }

// add takes a note, once.
func (n *notes) add(note Note) {
	note.What = strings.Join(strings.Split(strings.TrimSpace(note.What), "\n"), "; ") // each is a line
	if !slices.Contains(n.all, note) {
		n.all = append(n.all, note)
	}
}

// File is one file to write; its documents are ours.
type File struct {
	Path string `json:"path"` // slash-separated, below the folder that is written to
	Data string `json:"data"`
}

// Moved is one application and the object that it comes from.
type Moved struct {
	From string `json:"from"` // such as "Kustomization flux-system/apps"
	To   string `json:"to"`   // namespace/name
	File string `json:"file"`
}

// Result is what a migration comes to.
type Result struct {
	Files []File  `json:"files"`
	Moved []Moved `json:"applications"`
	Notes []Note  `json:"notes"`
}

type tree = map[string]any

// writer gathers documents by file.
type writer struct {
	notes *notes
	order []string
	files map[string][]string
	moved []Moved
	// applications are the files that have one.
	applications map[string]bool
	// namespaces are those that Git has or that are written, and where; nil: not
	// yet looked for.
	namespaces map[string]string
}

// write adds a document of ours, if it is right, and gives its file; else what it
// comes from is told to be wrong. A file has one Application, so that it can be cut
// over by its file: others of the same place stand beside it.
func (w *writer) write(file string, from *source, doc tree) (string, bool) {
	data, ok := checked(file, from, doc)
	if !ok {
		return "", false
	}
	if doc["kind"] == "Application" {
		file = w.beside(file, doc)
	}
	w.add(file, data)
	return file, true
}

// checked is a document as it is written; one that isn't right is told.
func checked(file string, from *source, doc tree) (data []byte, ok bool) {
	data, err := yaml.Marshal(doc)
	if err == nil {
		err = right(file, data)
	}
	if err != nil {
		from.at().note(Wrong, "what it comes to is not right: "+reason(err, file), "mend it there first, or write this one by hand")
	}
	return data, err == nil
}

// right says why a document isn't one that is synced.
func right(file string, data []byte) error {
	documents, err := api.Decode(file, data)
	if err != nil {
		return err
	}
	for _, d := range documents {
		if application, ok := d.Object.(*api.Application); ok {
			if _, err := events.ParseGitRepository(application.Spec.Source.Repository, nil); err != nil {
				return fmt.Errorf("spec.source.repository: %w", err)
			}
		}
	}
	return nil
}

// add adds a document to a file.
func (w *writer) add(file string, data []byte) {
	if w.files == nil {
		w.files = map[string][]string{}
	}
	if _, known := w.files[file]; !known {
		w.order = append(w.order, file)
	}
	w.files[file] = append(w.files[file], string(data))
}

// beside is a file that has no Application yet.
func (w *writer) beside(file string, doc tree) string {
	if w.applications == nil {
		w.applications = map[string]bool{}
	}
	metadata, _ := doc["metadata"].(tree)
	free, stem := file, strings.TrimSuffix(file, path.Ext(file))
	for i := 1; w.applications[free]; i++ {
		free = fmt.Sprintf("%s-%v%s", stem, metadata["name"], path.Ext(file))
		if i > 1 {
			free = fmt.Sprintf("%s-%v-%d%s", stem, metadata["name"], i, path.Ext(file))
		}
	}
	w.applications[free] = true
	return free
}

// reason is an error of a document that exists nowhere yet, without its place.
func reason(err error, file string) string {
	text := strings.ReplaceAll(err.Error(), api.ErrDocument.Error()+": ", "")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if rest, ok := strings.CutPrefix(line, file+":"); ok {
			_, rest, _ = strings.Cut(rest, ": ")
			lines[i] = rest
		}
	}
	return strings.Join(lines, "; ")
}

func (w *writer) result() Result {
	r := Result{Files: []File{}, Moved: append([]Moved{}, w.moved...), Notes: append([]Note{}, w.notes.all...)}
	for _, name := range w.order {
		r.Files = append(r.Files, File{Path: name, Data: strings.Join(w.files[name], "---\n")})
	}
	slices.SortFunc(r.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortStableFunc(r.Notes, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Field, b.Field))
	})
	return r
}

// finish tells of what nobody has read.
func finish(sources []*source, advice map[string]map[string]string) {
	for _, s := range sources {
		for _, v := range s.rest() {
			tellRest(v, advice[s.kind])
		}
	}
}

// tellRest tells of a field, or of those below it where there is something to
// say of them.
func tellRest(v value, advice map[string]string) {
	below := unindexed(v.path) + "."
	for known := range advice {
		if strings.HasPrefix(known, below) && len(v.keys()) > 0 {
			for _, k := range v.keys() {
				tellRest(v.at(k), advice)
			}
			return
		}
	}
	do := advise(advice, v.path)
	missing, isMissing := strings.CutPrefix(do, "!")
	switch {
	case do == "":
		v.note(Missing, "has no counterpart", "this command doesn't know it: look up what it does, and whether you need it")
	case isMissing:
		v.note(Missing, "has no counterpart", missing)
	default:
		v.note(Different, "is not taken over", do)
	}
}

// advise finds what to do about a field, by its longest known prefix.
func advise(table map[string]string, field string) string {
	field = unindexed(field)
	if one, ok := strings.CutPrefix(field, "spec.sources."); ok {
		field = "spec.source." + one
	}
	for at := field; at != ""; {
		if do, ok := table[at]; ok {
			return do
		}
		cut := strings.LastIndexByte(at, '.')
		if cut < 0 {
			break
		}
		at = at[:cut]
	}
	return ""
}

// unindexed is a field's path without the places in lists.
func unindexed(field string) string {
	var b strings.Builder
	for len(field) > 0 {
		open := strings.IndexByte(field, '[')
		if open < 0 {
			b.WriteString(field)
			break
		}
		b.WriteString(field[:open])
		_, field, _ = strings.Cut(field[open:], "]")
	}
	return b.String()
}

// cleanPath is a folder of a repository as ours are written.
func cleanPath(p string) string {
	p = path.Clean("/" + p)[1:]
	if p == "" {
		return "."
	}
	return p
}

// under says whether a file or folder lies in a folder.
func under(dir, name string) bool { return dir == "." || strings.HasPrefix(name, dir+"/") }

// relative is a path of the repository, seen from a folder of it.
func relative(from, to string) string {
	if from == "." {
		return to
	}
	a, b := strings.Split(from, "/"), strings.Split(to, "/")
	if to == "." {
		b = nil
	}
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	up := make([]string, len(a))
	for i := range up {
		up[i] = ".."
	}
	if joined := path.Join(append(up, b...)...); joined != "" {
		return joined
	}
	return "."
}

// document is one of ours, of a kind.
func document(kind, namespace, name string, spec tree) tree {
	meta := tree{"name": name}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	return tree{"apiVersion": api.APIVersion, "kind": kind, "metadata": meta, "spec": spec}
}

// set puts a value into a tree, unless it is empty.
func set(t tree, v any, keys ...string) {
	switch v := v.(type) {
	case nil:
		return
	case string:
		if v == "" {
			return
		}
	case map[string]string:
		if len(v) == 0 {
			return
		}
	case tree:
		if len(v) == 0 {
			return
		}
	case []any:
		if len(v) == 0 {
			return
		}
	}
	for _, k := range keys[:len(keys)-1] {
		child, ok := t[k].(tree)
		if !ok {
			child = tree{}
			t[k] = child
		}
		t = child
	}
	t[keys[len(keys)-1]] = v
}

// suspend writes the annotation that suspends an application.
func suspend(doc tree, why string) {
	set(doc, why, "metadata", "annotations", api.SuspendAnnotation)
}

// carry takes labels and annotations of people over; those of the tool are
// settings, and told unless somebody read them.
func carry(s *source, doc tree, settings ...string) {
	for _, from := range []struct {
		name   string
		values map[string]string
		at     value
	}{{"labels", s.labels, s.labelAt}, {"annotations", s.annotations, s.annotationsAt}} {
		for k, v := range from.values {
			if slices.ContainsFunc(settings, func(mark string) bool { return strings.Contains(k, mark) }) {
				if !s.used[k] {
					from.at.at(k).note(Missing, "has no counterpart", "it is a setting of the other tool: look up what it does, and whether you need it")
				}
				continue
			}
			set(doc, v, "metadata", from.name, k)
		}
	}
}

func fault(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInput, fmt.Sprintf(format, args...))
}
