package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/strvals"
)

// ClusterValues are values of a chart that lie in a key of a ConfigMap or Secret.
type ClusterValues struct {
	// Name is what errors call them.
	Name string
	// Text is a YAML mapping, or one value for TargetPath.
	Text string
	// TargetPath and Literal are those of [api.ValuesSource].
	TargetPath string
	Literal    bool
	// Secret has errors tell none of it.
	Secret bool
}

// errNoPath says that a target path is none.
var errNoPath = errors.New("is not a path as `helm --set` takes it, such as a.b[0].c")

// Check says what is wrong, without telling any of the text: what else may be is
// found only when a chart is rendered.
func (v ClusterValues) Check() error {
	if !utf8.ValidString(v.Text) {
		return errors.New("is not text")
	}
	if v.TargetPath != "" {
		if err := checkTarget(v.TargetPath); err != nil {
			return fmt.Errorf("targetPath %q %w", v.TargetPath, err)
		}
		return nil
	}
	docs, err := v.documents()
	if err != nil {
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			return fmt.Errorf("is not YAML, from line %s on", m[1])
		}
		return errors.New("is not YAML")
	}
	for _, d := range docs {
		if root := d.Content[0]; root.Kind != yaml.MappingNode && root.Tag != "!!null" {
			return errors.New("is not a YAML mapping (one value needs a targetPath)")
		}
	}
	return nil
}

// documents are read without following aliases, which may multiply.
func (v ClusterValues) documents() (docs []*yaml.Node, err error) {
	d := yaml.NewDecoder(strings.NewReader(v.Text))
	for {
		var node yaml.Node
		err := d.Decode(&node)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return docs, err
		}
		if len(node.Content) == 1 {
			docs = append(docs, &node)
		}
	}
}

// checkTarget sets something at a path of nothing, which must then be all that there
// is: Helm takes commas and equal signs for more than a path, and leaves out what has
// no name.
func checkTarget(path string) error {
	const mark = "\x00here"
	values := map[string]any{}
	if err := strvals.ParseIntoString(path+"="+mark, values); err != nil {
		return errNoPath
	}
	if found := leaves(values); len(found) != 1 || found[0] != mark {
		return errNoPath
	}
	return nil
}

// leaves are all that is neither mapping nor list nor null.
func leaves(value any) (all []any) {
	switch value := value.(type) {
	case nil:
	case map[string]any:
		for _, v := range value {
			all = append(all, leaves(v)...)
		}
	case []any:
		for _, v := range value {
			all = append(all, leaves(v)...)
		}
	default:
		all = append(all, value)
	}
	return all
}

// secrets are the texts that must not be told: the whole, and what is in it.
func (v ClusterValues) secrets() []string {
	if !v.Secret {
		return nil
	}
	all := []string{v.Text}
	if v.TargetPath != "" {
		inner, _ := unquoted(v.Text)
		return append(all, inner)
	}
	docs, _ := v.documents() // the render says what is wrong with it
	var walk func(*yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && (n.Tag == "!!str" || n.Tag == "!!binary" || len(n.Value) >= 2*shortest) {
			all = append(all, n.Value)
			if f, err := strconv.ParseFloat(n.Value, 64); err == nil {
				all = append(all, fmt.Sprint(f)) // as a template prints it
			}
		}
		for i, child := range n.Content {
			if n.Kind != yaml.MappingNode || i%2 == 1 { // keys are no secret
				walk(child)
			}
		}
	}
	for _, d := range docs {
		walk(d)
	}
	return all
}

// mergeMappings puts those without a path over values.
func mergeMappings(values map[string]any, from []ClusterValues) (map[string]any, error) {
	for _, v := range from {
		if v.TargetPath != "" {
			continue
		}
		mapping, err := loader.LoadValues(bytes.NewReader([]byte(v.Text)))
		if err != nil {
			return nil, valuesFileFault(v.Name, err)
		}
		values = loader.MergeMaps(values, mapping)
	}
	return values, nil
}

// setTargets sets those with a path.
func setTargets(values map[string]any, from []ClusterValues) (map[string]any, error) {
	for _, v := range from {
		if v.TargetPath == "" {
			continue
		}
		err := checkTarget(v.TargetPath)
		if err == nil {
			err = v.set(values)
		}
		if err != nil {
			return nil, &Error{File: v.Name, Reason: ReasonInvalid, Message: fmt.Sprintf("targetPath %q %v", v.TargetPath, err), Help: "mend the path"}
		}
	}
	return values, nil
}

// set has Helm set a value at a path, whatever is in it. What Helm says of it tells
// nothing more: the path can be read.
func (v ClusterValues) set(values map[string]any) error {
	text, quoted := v.Text, false
	if !v.Literal {
		text, quoted = unquoted(text)
	}
	parse := strvals.ParseInto
	if v.Literal || quoted {
		parse = strvals.ParseIntoString
	}
	if err := parse(v.TargetPath+"="+oneValue.Replace(text), values); err != nil {
		return errors.New("goes through a value that is no mapping, or no list, for which it takes it")
	}
	return nil
}

// oneValue has a text be one value for Helm, which would find lists and more
// values in it.
var oneValue = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `{`, `\{`)

// unquoted is a text without the quotes around it.
func unquoted(text string) (inner string, quoted bool) {
	if n := len(text); n > 1 && (text[0] == '"' || text[0] == '\'') && text[n-1] == text[0] {
		return text[1 : n-1], true
	}
	return text, false
}

// hides says that what is told of a render must be whole, to be known for a secret.
func (j job) hides() bool {
	return j.Cluster || slices.ContainsFunc(j.ValuesFrom, func(v ClusterValues) bool { return v.Secret })
}
