package render

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render/expand"
)

// substitution replaces the variables of objects, within their scalars: a value
// never becomes structure. Its errors name variables and never a value, which
// may be a secret's.
type substitution struct {
	src     *source
	inputs  []string // the files of which the objects are made
	vars    map[string]string
	lenient bool
}

// Documents are those of a file, with their variables replaced as for an application
// that applies the file. The error is one of [Render]'s.
func Documents(file string, data []byte, vars map[string]string) ([]byte, error) {
	src := &source{limits: Limits{}.orDefault()}
	objects, err := parseFile(src, file, data)
	if err == nil {
		objects, err = substitute(src, Request{Vars: vars}, nil, objects)
	}
	if err != nil {
		return nil, err
	}
	var all bytes.Buffer
	for i, o := range objects {
		if i > 0 {
			all.WriteString("---\n")
		}
		all.Write(bytes.TrimSuffix(o.Raw, []byte("\n")))
		all.WriteByte('\n')
	}
	return all.Bytes(), nil
}

// substitute replaces the variables of all objects, whose order may become
// another.
func substitute(src *source, req Request, inputs []string, objects []Object) ([]Object, error) {
	s := substitution{src: src, inputs: inputs, vars: make(map[string]string, len(req.Vars)), lenient: req.Lenient}
	for name, value := range req.Vars {
		// A line break at the end is the file's or the editor's, as it is to
		// a shell that reads a command's output.
		s.vars[name] = strings.TrimRight(value, "\r\n")
	}
	var done []Object
	var faults []error
	for _, o := range objects {
		found, err := s.object(o)
		if err != nil {
			faults = append(faults, err)
			if len(faults) >= maxFaults {
				break
			}
			continue
		}
		// What values add counts as if it had been read.
		if src.bytes += int64(max(len(found.Raw)-len(o.Raw), 0)); src.bytes > src.limits.TotalBytes {
			return nil, s.fault(o, nil, 0, &Error{
				Reason: ReasonTooLarge, Message: fmt.Sprintf("with the values of its variables the application is larger than %d bytes", src.limits.TotalBytes), Help: "split the application",
			})
		}
		if !found.leftOut() {
			done = append(done, found)
		}
	}
	order(done)
	return done, errors.Join(faults...)
}

func (s substitution) lookup(name string) (string, bool) {
	value, there := s.vars[name]
	return value, there
}

// object is an object with its variables replaced. One without any is the same,
// to the byte.
func (s substitution) object(o Object) (Object, error) {
	if !bytes.Contains(o.Raw, []byte("${")) && !bytes.Contains(o.Raw, []byte("$$")) || disabled(o.Map) {
		return o, nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(o.Raw, &doc); err != nil {
		return o, s.fault(o, nil, 0, &Error{
			Reason: ReasonInvalid, Message: "the variables of " + o.ID.String() + " can't be replaced: YAML 1.2 reads the document otherwise, or not at all", Err: err,
		})
	}
	w := walk{s: s, object: o, text: newLines(o.Raw)}
	w.node(&doc, "")
	if len(w.faults) > 0 {
		return o, errors.Join(w.faults...)
	}
	if len(w.edits) == 0 {
		return o, nil // what looks like a variable stands in comments
	}
	want, err := s.tree(o.Map)
	if err != nil {
		return o, s.fault(o, nil, 0, &Error{Reason: ReasonInvalid, Message: err.Error()})
	}
	replaced, ok := w.spliced(want)
	if !ok {
		replaced, ok = w.encoded(&doc, want)
	}
	if !ok {
		return o, s.fault(o, nil, 0, &Error{
			Reason: ReasonInvalid, Message: "the variables of " + o.ID.String() + " can't be replaced without a change of its structure",
			Help: "put the values that hold variables in double quotes",
		})
	}
	return s.identified(o, replaced)
}

// identified takes the new identity of an object, which may hold a variable.
func (s substitution) identified(before, after Object) (Object, error) {
	id, ok := identify(after.Map)
	after.ID = id
	if !ok || id.Name == "" {
		return before, s.fault(before, nil, 0, &Error{
			Reason: ReasonInvalid, Message: before.ID.String() + ": after its variables are replaced it has no apiVersion, kind or name that is a string",
			Help: "put it in quotes, and see that the variable's value isn't empty",
		})
	}
	return after, nil
}

// disabled says that an object is to stay as it was rendered.
func disabled(m map[string]any) bool {
	meta, _ := m["metadata"].(map[string]any)
	for _, where := range []string{"annotations", "labels"} {
		marks, _ := meta[where].(map[string]any)
		for _, name := range []string{api.SubstituteAnnotation, api.FluxSubstituteAnnotation} {
			if marks[name] == api.SubstituteDisabled {
				return true
			}
		}
	}
	return false
}

// expansion is what a text becomes.
func (s substitution) expansion(text string) (value string, single bool, err error) {
	if !strings.Contains(text, "$") {
		return text, false, nil
	}
	parsed, err := expand.Parse(text)
	if err != nil {
		return "", false, err
	}
	value, err = parsed.Expand(s.lookup, s.lenient)
	return value, parsed.Single(), err
}

// maybe is a text that may stand for another value where it isn't quoted: it was
// exactly one expression, or says that it is a text.
type maybe struct {
	text   string
	single bool
}

// tree is what the values of an object must be after the replacement.
func (s substitution) tree(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		all := make(map[string]any, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			name, _, err := s.expansion(key)
			if err != nil {
				return nil, err
			}
			if _, twice := all[name]; twice {
				return nil, fmt.Errorf("the key %s becomes one that is there already", key)
			}
			if all[name], err = s.tree(v[key]); err != nil {
				return nil, err
			}
		}
		return all, nil
	case []any:
		all := make([]any, len(v))
		for i := range v {
			var err error
			if all[i], err = s.tree(v[i]); err != nil {
				return nil, err
			}
		}
		return all, nil
	case string:
		value, single, err := s.expansion(v)
		if value == v {
			return value, err
		}
		if _, told := asText(value, single); single || told {
			return maybe{value, single}, err
		}
		return value, err
	}
	return v, nil
}

// same compares what came out with what was wanted.
func same(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		m, ok := got.(map[string]any)
		if !ok || len(m) != len(want) {
			return false
		}
		for key, value := range want {
			if found, there := m[key]; !there || !same(found, value) {
				return false
			}
		}
		return true
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return false
		}
		for i := range want {
			if !same(list[i], want[i]) {
				return false
			}
		}
		return true
	case maybe:
		if text, ok := got.(string); ok {
			told, _ := asText(want.text, want.single)
			return text == want.text || text == told
		}
		typed, ok := plainValue(want.text)
		return ok && want.single && reflect.DeepEqual(got, typed)
	}
	return reflect.DeepEqual(got, want)
}

// plainValue is what Kubernetes' clients read in a text that stands in YAML
// without quotes; ok is false for what isn't a single value there, or would be
// another text.
func plainValue(text string) (value any, ok bool) {
	if text == "" {
		return nil, true
	}
	if strings.ContainsAny(text, "\r\n") || text != strings.TrimSpace(text) {
		return nil, false
	}
	m, err := document{raw: []byte("k: " + text + "\n"), line: 1}.parse("")
	if err != nil || len(m) != 1 {
		return nil, false
	}
	value = m["k"]
	switch v := value.(type) {
	case map[string]any, []any:
		return nil, false
	case string:
		ok = v == text
	case nil:
		ok = text == "~" || strings.EqualFold(text, "null") // a comment and an anchor are nothing, too
	default:
		ok = !strings.ContainsAny(text, "#!&") // "1 # x", "!!int 1"
	}
	return value, ok
}

// fault completes an error with its place. at is a byte of the node's value.
func (s substitution) fault(o Object, n *yaml.Node, at int, e *Error) error {
	e.File, e.Reason = o.File, cmp.Or(e.Reason, ReasonVariable)
	e.Line = o.Line
	if n == nil || o.Line == 0 || o.rewritten {
		return e
	}
	lead := document{raw: o.Raw}.firstLine()
	e.Line = o.Line - lead + n.Line - 1
	if n.Style&yaml.LiteralStyle != 0 {
		e.Line += 1 + strings.Count(n.Value[:min(at, len(n.Value))], "\n")
	}
	return e
}

// writtenIn finds the place among the inputs where a variable is written without
// a default, for an object that a tool made of them: the only one, else the first
// in a file that names the object.
func (s substitution) writtenIn(variable string, o Object) (file string, line int) {
	type place struct {
		file  string
		line  int
		named bool
	}
	var places []place
	named := regexp.MustCompile(`\bname['"]?:\s*['"]?` + regexp.QuoteMeta(o.Name) + `['"]?(\s|[,}]|$)`)
	for _, at := range s.files() {
		data, err := s.src.read(at)
		if err != nil {
			continue
		}
		if n := lineOf(data, variable); n > 0 {
			places = append(places, place{at, n, named.Match(data)})
		}
	}
	if len(places) > 1 {
		places = slices.DeleteFunc(places, func(p place) bool { return !p.named })
	}
	if len(places) == 0 {
		return "", 0
	}
	return places[0].file, places[0].line
}

// files are the inputs, and what lies in those that are directories.
func (s substitution) files() []string {
	var all []string
	for _, input := range s.inputs {
		if s.src.isFile(input) {
			all = append(all, input)
		} else if files, err := Files(s.src.fsys, input); err == nil {
			all = append(all, files...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// lineOf is the first line with an expression of a variable that needs its
// value; 0 for none.
func lineOf(data []byte, variable string) int {
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		for rest, last := line, byte(0); ; {
			before, after, found := strings.Cut(rest, "${")
			if !found {
				break
			}
			if before != "" {
				last = before[len(before)-1]
			}
			rest = after
			name, ok := strings.CutPrefix(strings.TrimPrefix(after, "#"), variable)
			whole := name == "" || !api.VariableName("_"+name[:1])
			if ok && whole && last != '$' && !strings.HasPrefix(name, ":=") && !strings.HasPrefix(name, ":-") && !strings.HasPrefix(name, "=") {
				return n
			}
			last = 0
		}
	}
	return 0
}
