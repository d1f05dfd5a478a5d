// Package appset gives the Applications that an ApplicationSet of Argo CD makes
// of a repository: those of its generators that Git alone decides
// (https://argo-cd.readthedocs.io/en/stable/operator-manual/applicationset/).
package appset

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"text/template"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"sigs.k8s.io/yaml"
)

// maxApplications bounds what one set makes.
const maxApplications = 10_000

// ErrInput says that a set can't be read as one.
var ErrInput = errors.New("no ApplicationSet can be made of it")

// Options say what a set is made of.
type Options struct {
	// FS is the repository.
	FS fs.FS
	// Own says whether a repository is that one.
	Own func(repository string) bool
}

// Told is what people should know of a place of the set.
type Told struct {
	Path string // such as spec.generators[0].clusters
	// Missing has no counterpart: no Application is made of it.
	Missing bool
	What    string
	Do      string
}

// set is an ApplicationSet while it is made.
type set struct {
	Options
	templates templates
	told      []Told
	// ofClusters says that a generator asks which clusters Argo CD knows.
	ofClusters bool
}

// params are what a generator gives: nested for Go's templates, else flat.
type params = map[string]any

// Expand makes the Applications of a set, in the order of its generators.
func Expand(object map[string]any, o Options) (applications []map[string]any, told []Told, err error) {
	spec, _ := object["spec"].(map[string]any)
	template, _ := spec["template"].(map[string]any)
	if template == nil {
		return nil, nil, fmt.Errorf("%w: it has no spec.template", ErrInput)
	}
	s := &set{Options: o}
	if s.templates.nested, _ = spec["goTemplate"].(bool); s.templates.nested {
		s.templates.options = texts(spec["goTemplateOptions"])
	}
	names := map[string]bool{}
	generators, _ := spec["generators"].([]any)
	for i, g := range generators {
		at := fmt.Sprintf("spec.generators[%d]", i)
		generator, _ := g.(map[string]any)
		all, err := s.generate(at, generator, params{})
		if s.notInGit(err, at) {
			continue
		}
		if err != nil {
			return nil, s.told, fmt.Errorf("%s: %w", at, err)
		}
		own := overridden(template, generator)
		for _, p := range all {
			application, err := s.application(object, own, p)
			if s.notInGit(err, "spec.template") {
				continue
			}
			if err != nil {
				return nil, s.told, err
			}
			if name := nameOf(application); names[name] {
				return nil, s.told, fmt.Errorf("%w: it makes %s twice", ErrInput, name)
			} else if names[name] = true; len(names) > maxApplications {
				return nil, s.told, fmt.Errorf("%w: it makes more than %d Applications", ErrInput, maxApplications)
			}
			if place, text := unknown(application); place != "" {
				s.tell("spec.template."+place, true, text+": what is to stand there isn't in Git", "write this Application by hand")
				continue
			}
			applications = append(applications, application)
		}
	}
	return applications, s.told, nil
}

// notInGit tells of a template that asks for what only Argo CD knows of a cluster, such as
// an annotation.
func (s *set) notInGit(err error, at string) bool {
	var wants template.ExecError
	if !s.ofClusters || !errors.As(err, &wants) {
		return false
	}
	s.tell(at, true, fmt.Sprintf("%v: what Argo CD knows of a cluster isn't in Git", err), "write this Application by hand")
	return true
}

// overridden is the template with what a generator says instead.
func overridden(template, generator map[string]any) map[string]any {
	for _, settings := range generator {
		settings, _ := settings.(map[string]any)
		if own, ok := settings["template"].(map[string]any); ok {
			return merged(template, own)
		}
	}
	return template
}

// merged is a mapping with another one over it; what is empty there says nothing.
func merged(under, over map[string]any) map[string]any {
	all := make(map[string]any, len(under))
	maps.Copy(all, under)
	for k, v := range over {
		below, isMap := v.(map[string]any)
		was, hasMap := all[k].(map[string]any)
		switch {
		case isMap && hasMap:
			all[k] = merged(was, below)
		case v != nil && v != "":
			all[k] = v
		}
	}
	return all
}

// application is the one that the template makes of parameters.
func (s *set) application(object, template map[string]any, p params) (map[string]any, error) {
	made, err := s.templates.tree(template, p)
	if err != nil {
		return nil, fmt.Errorf("spec.template: %w", err)
	}
	application, _ := made.(map[string]any)
	spec, _ := object["spec"].(map[string]any)
	if patch, _ := spec["templatePatch"].(string); patch != "" && s.templates.nested {
		if application, err = s.patched(application, patch, p); err != nil {
			return nil, fmt.Errorf("spec.templatePatch: %w", err)
		}
	}
	metadata, _ := application["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
	}
	from, _ := object["metadata"].(map[string]any)
	namespace, _ := from["namespace"].(string)
	own, _ := metadata["namespace"].(string)
	if namespace = cmp.Or(own, namespace); namespace != "" {
		metadata["namespace"] = namespace
	}
	policy, _ := spec["syncPolicy"].(map[string]any)
	if _, has := metadata["finalizers"]; !has && policy["preserveResourcesOnDeletion"] != true {
		metadata["finalizers"] = []any{"resources-finalizer.argocd.argoproj.io"} // the set adds it
	}
	application["apiVersion"], application["kind"], application["metadata"] = "argoproj.io/v1alpha1", "Application", metadata
	return application, nil
}

// patched is an Application with the set's patch, which parameters are put into.
func (s *set) patched(application map[string]any, patch string, p params) (map[string]any, error) {
	text, err := s.templates.text(patch, p)
	if err != nil {
		return nil, err
	}
	change, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, err
	}
	if string(change) == "null" {
		return application, nil // the template chose nothing
	}
	was, err := json.Marshal(application)
	if err != nil {
		return nil, err
	}
	is, err := jsonpatch.MergePatch(was, change)
	if err != nil {
		return nil, err
	}
	application = nil
	return application, json.Unmarshal(is, &application)
}

// unknown is the first place of those that an Application can't be without where
// a parameter is missing. Values of a chart may have templates of their own.
func unknown(application map[string]any) (place, text string) {
	metadata, _ := application["metadata"].(map[string]any)
	spec, _ := application["spec"].(map[string]any)
	destination, _ := spec["destination"].(map[string]any)
	source, _ := spec["source"].(map[string]any)
	places := []struct {
		at     string
		holder map[string]any
		fields []string
	}{
		{"metadata", metadata, []string{"name", "namespace"}},
		{"spec.destination", destination, []string{"server", "name", "namespace"}},
		{"spec.source", source, []string{"repoURL", "chart", "path", "targetRevision"}},
	}
	sources, _ := spec["sources"].([]any)
	for i, item := range sources {
		source, _ := item.(map[string]any)
		places = append(places, places[2])
		places[len(places)-1].at, places[len(places)-1].holder = fmt.Sprintf("spec.sources[%d]", i), source
	}
	for _, p := range places {
		for _, field := range p.fields {
			if text := fmt.Sprint(p.holder[field]); strings.Contains(text, "{{") || p.holder[field] != nil && strings.Contains(text, "<no value>") {
				return p.at + "." + field, text
			}
		}
	}
	return "", ""
}

func nameOf(application map[string]any) string {
	metadata, _ := application["metadata"].(map[string]any)
	return fmt.Sprintf("Application %v/%v", metadata["namespace"], metadata["name"])
}

func (s *set) tell(at string, missing bool, what, do string) {
	s.told = append(s.told, Told{Path: at, Missing: missing, What: what, Do: do})
}

func texts(v any) []string {
	list, _ := v.([]any)
	var all []string
	for _, item := range list {
		if text, ok := item.(string); ok {
			all = append(all, text)
		}
	}
	return all
}
