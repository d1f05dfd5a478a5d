package appset

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// generator is a kind of them.
type generator struct {
	name     string
	generate func(s *set, at string, settings map[string]any, outer params) ([]params, error)
	fields   []string // that it reads, or that mean nothing where nobody polls
}

// generators are those that Git alone decides, or can be said for the cluster
// that is migrated.
func generators() []generator {
	return []generator{
		{"list", (*set).list, []string{"elements", "elementsYaml", "template"}},
		{"git", (*set).git, []string{"repoURL", "revision", "directories", "files", "values", "pathParamPrefix", "requeueAfterSeconds", "template"}},
		{"clusters", (*set).clusters, []string{"selector", "values", "template"}},
		{"matrix", (*set).matrix, []string{"generators", "template"}},
		{"merge", (*set).merge, []string{"generators", "mergeKeys", "template"}},
	}
}

// generate gives the parameters of one generator. What another one of a matrix
// gave before is put into it.
func (s *set) generate(at string, settings map[string]any, outer params) ([]params, error) {
	if len(outer) > 0 {
		filled, err := s.templates.tree(settings, outer)
		if err != nil {
			return nil, err
		}
		settings, _ = filled.(map[string]any)
	}
	chosen, err := selectorOf(settings["selector"])
	if err != nil {
		return nil, fmt.Errorf("selector: %w", err)
	}
	for _, known := range generators() {
		one, ok := settings[known.name]
		if !ok {
			continue
		}
		fields, _ := one.(map[string]any)
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			if !slices.Contains(known.fields, field) {
				s.tell(at+"."+known.name+"."+field, true, "has no counterpart", "this command doesn't know it: look up what it does, and whether you need it")
			}
		}
		all, err := known.generate(s, at+"."+known.name, fields, outer)
		if err != nil {
			return nil, err
		}
		if chosen != nil {
			all = slices.DeleteFunc(all, func(p params) bool { return !chosen.Matches(flat(p)) })
		}
		return all, nil
	}
	names := slices.Sorted(maps.Keys(settings))
	s.tell(at, true, "what a generator such as "+strings.Join(names, ", ")+" finds isn't in Git", "write each Application")
	return nil, nil
}

func selectorOf(v any) (labels.Selector, error) {
	if v == nil {
		return nil, nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var selector metav1.LabelSelector
	if err := json.Unmarshal(data, &selector); err != nil {
		return nil, err
	}
	return metav1.LabelSelectorAsSelector(&selector)
}

// flat is what labels see of parameters.
func flat(p params) labels.Set {
	all := labels.Set{}
	var walk func(prefix string, v any)
	walk = func(prefix string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, item := range v {
				walk(strings.TrimPrefix(prefix+"."+k, "."), item)
			}
		case []any:
			for i, item := range v {
				walk(prefix+"."+strconv.Itoa(i), item)
			}
		default:
			all[prefix] = fmt.Sprint(v)
		}
	}
	walk("", p)
	return all
}

// flatten makes parameters what the templates see.
func (s *set) flatten(nested map[string]any) params {
	if s.templates.nested {
		return nested
	}
	all := params{}
	for k, v := range flat(nested) {
		all[k] = v
	}
	return all
}

// list gives elements that are written down.
func (s *set) list(_ string, settings map[string]any, _ params) ([]params, error) {
	elements, _ := settings["elements"].([]any)
	if text, _ := settings["elementsYaml"].(string); text != "" {
		var more []any
		if err := yaml.Unmarshal([]byte(text), &more); err != nil {
			return nil, fmt.Errorf("elementsYaml: %w", err)
		}
		elements = append(slices.Clone(elements), more...)
	}
	var all []params
	for i, e := range elements {
		element, ok := e.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("elements[%d] is no mapping", i)
		}
		all = append(all, s.flatten(element))
	}
	return all, nil
}

// clusters gives the one that Argo CD runs in: which others it knows isn't in
// Git. It has the labels by which it is chosen.
func (s *set) clusters(at string, settings map[string]any, _ params) ([]params, error) {
	s.ofClusters = true
	s.tell(at, false, "which clusters Argo CD knows isn't in Git: only the one where it runs is taken", "migrate in each cluster by itself, with its own --cluster")
	metadata := map[string]any{}
	selector, _ := settings["selector"].(map[string]any)
	if chosen, ok := selector["matchLabels"].(map[string]any); ok {
		metadata["labels"] = chosen
	}
	nested := map[string]any{
		"name": "in-cluster", "nameNormalized": "in-cluster", "server": "https://kubernetes.default.svc", "project": "", "metadata": metadata,
	}
	p := s.flatten(nested)
	return []params{p}, s.values(p, settings)
}

// values adds what a generator says beside what it finds.
func (s *set) values(p params, settings map[string]any) error {
	own, _ := settings["values"].(map[string]any)
	if len(own) == 0 {
		return nil
	}
	filled, err := s.templates.tree(own, p)
	if err != nil {
		return fmt.Errorf("values: %w", err)
	}
	if s.templates.nested {
		p["values"] = filled
		return nil
	}
	values, _ := filled.(map[string]any)
	for k, v := range values {
		p["values."+k] = fmt.Sprint(v)
	}
	return nil
}

// inner are the generators of one that combines them.
func inner(settings map[string]any, atLeast, atMost int) ([]map[string]any, error) {
	list, _ := settings["generators"].([]any)
	if len(list) < atLeast || len(list) > atMost {
		return nil, fmt.Errorf("%w: it combines %d generators", ErrInput, len(list))
	}
	all := make([]map[string]any, len(list))
	for i, g := range list {
		all[i], _ = g.(map[string]any)
	}
	return all, nil
}

// matrix gives each of one generator with each of another.
func (s *set) matrix(at string, settings map[string]any, outer params) ([]params, error) {
	both, err := inner(settings, 2, 2)
	if err != nil {
		return nil, err
	}
	first, err := s.generate(at+".generators[0]", both[0], outer)
	if err != nil {
		return nil, err
	}
	var all []params
	for _, a := range first {
		second, err := s.generate(at+".generators[1]", both[1], merged(outer, a))
		if err != nil {
			return nil, err
		}
		for _, b := range second {
			if all = append(all, merged(b, a)); len(all) > maxApplications {
				return nil, fmt.Errorf("%w: it makes more than %d Applications", ErrInput, maxApplications)
			}
		}
	}
	return all, nil
}

// merge gives those of the first generator, with what others say of the same
// keys.
func (s *set) merge(at string, settings map[string]any, outer params) ([]params, error) {
	every, err := inner(settings, 2, 100)
	if err != nil {
		return nil, err
	}
	keys := texts(settings["mergeKeys"])
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: it has no mergeKeys", ErrInput)
	}
	sort.Strings(keys)
	base, err := s.generate(at+".generators[0]", every[0], outer)
	if err != nil {
		return nil, err
	}
	for i, one := range every[1:] {
		over, err := s.generate(fmt.Sprintf("%s.generators[%d]", at, i+1), one, outer)
		if err != nil {
			return nil, err
		}
		by := map[string]params{}
		for _, p := range over {
			by[identity(p, keys)] = p
		}
		for j, p := range base {
			base[j] = merged(p, by[identity(p, keys)])
		}
	}
	return base, nil
}

// identity is what parameters have of keys.
func identity(p params, keys []string) string {
	has := make([]string, len(keys))
	for i, k := range keys {
		has[i] = fmt.Sprintf("%q", fmt.Sprint(p[k]))
	}
	return strings.Join(has, " ")
}
