package appset

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/yaml"
)

// maxText bounds what one text becomes.
const maxText = 1 << 20

// templates put parameters into texts: by Go's templates (goTemplate: true), or
// by {{ names }} alone.
type templates struct {
	nested  bool
	options []string
}

// tree puts parameters into all texts of a tree, its keys included.
func (t templates) tree(v any, p params) (any, error) {
	switch v := v.(type) {
	case string:
		return t.text(v, p)
	case []any:
		all := make([]any, len(v))
		for i, item := range v {
			made, err := t.tree(item, p)
			if err != nil {
				return nil, err
			}
			all[i] = made
		}
		return all, nil
	case map[string]any:
		all := make(map[string]any, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) { // so that it is always the same fault that is told
			key, err := t.text(k, p)
			if err != nil {
				return nil, err
			}
			if all[key], err = t.tree(v[k], p); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	return v, nil
}

var named = regexp.MustCompile(`\{\{\s*(.*?)\s*\}\}`)

// text puts parameters into a text. A name that isn't known stays, as in Argo
// CD.
func (t templates) text(text string, p params) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	if !t.nested {
		return named.ReplaceAllStringFunc(text, func(found string) string {
			if v, ok := p[named.FindStringSubmatch(found)[1]]; ok {
				return fmt.Sprint(v)
			}
			return found
		}), nil
	}
	made, err := template.New("").Funcs(functions()).Parse(text)
	if err != nil {
		return "", fmt.Errorf("%q: %w", text, err)
	}
	for _, o := range t.options {
		if !strings.HasPrefix(o, "missingkey=") {
			return "", fmt.Errorf("goTemplateOptions: %q isn't known", o)
		}
		switch o {
		case "missingkey=default", "missingkey=invalid", "missingkey=zero", "missingkey=error":
			made = made.Option(o)
		default:
			return "", fmt.Errorf("goTemplateOptions: %q isn't known", o)
		}
	}
	var b limited
	if err := made.Execute(&b, p); err != nil {
		return "", fmt.Errorf("%q: %w", text, err)
	}
	return b.String(), nil
}

// limited is a text that doesn't grow without end.
type limited struct{ strings.Builder }

var errLarge = errors.New("it becomes too large")

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxText {
		return 0, errLarge
	}
	return l.Builder.Write(p)
}

// functions are those of Sprig that neither read the machine nor the network,
// and Argo CD's own.
func functions() template.FuncMap {
	all := sprig.TxtFuncMap()
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(all, name)
	}
	all["normalize"], all["slugify"] = normalize, slugify
	all["toYaml"] = func(v any) (string, error) {
		data, err := yaml.Marshal(v)
		return strings.TrimSuffix(string(data), "\n"), err
	}
	all["fromYaml"] = func(text string) (map[string]any, error) {
		v := map[string]any{}
		return v, yaml.Unmarshal([]byte(text), &v)
	}
	all["fromYamlArray"] = func(text string) ([]any, error) {
		v := []any{}
		return v, yaml.Unmarshal([]byte(text), &v)
	}
	return all
}

var (
	unnamed = regexp.MustCompile(`[^-a-z0-9.]`)
	unslug  = regexp.MustCompile(`[^a-z0-9]+`)
)

// normalize makes a text a name of DNS.
func normalize(text string) string {
	text = unnamed.ReplaceAllString(strings.ToLower(text), "-")
	if len(text) > 253 {
		text = text[:253]
	}
	return strings.Trim(text, "-.")
}

// slugify makes a text a short name: of at most so many characters (the first
// argument, 50), cut between words (the second, true).
func slugify(args ...any) (string, error) {
	if len(args) == 0 {
		return "", errors.New("slugify has no text")
	}
	most, words := 50, true
	for _, a := range args[:len(args)-1] {
		switch a := a.(type) {
		case int:
			most = max(a, 1)
		case bool:
			words = a
		default:
			return "", fmt.Errorf("slugify takes a length and a boolean, not %v", a)
		}
	}
	slug := strings.Trim(unslug.ReplaceAllString(strings.ToLower(fmt.Sprint(args[len(args)-1])), "-"), "-")
	if len(slug) <= most {
		return slug, nil
	}
	cut := slug[:most]
	if last := strings.LastIndexByte(cut, '-'); words && slug[most] != '-' && last > 0 {
		cut = cut[:last]
	}
	return strings.Trim(cut, "-"), nil
}
