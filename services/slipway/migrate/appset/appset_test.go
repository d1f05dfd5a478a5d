package appset_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/services/slipway/migrate/appset"
)

var repository = fstest.MapFS{
	"addons/a_b/x.yaml":          {},
	"addons/c/x.yaml":            {},
	"addons/c/deep/x.yaml":       {},
	"addons/.hidden/x.yaml":      {},
	"envs/live/eu/config.yaml":   {Data: []byte("region: eu\nsize: 3\nnodes: {min: 1}\n")},
	"envs/live/us/config.json":   {Data: []byte(`[{"region": "us", "size": 1}, {"region": "us2", "size": 2}]`)},
	"envs/test/config.yaml":      {Data: []byte("region: test\nsize: 1\n")},
	"envs/broken/settings.yaml":  {Data: []byte("- 1\n- [")},
	"envs/broken/text.yaml":      {Data: []byte("only text")},
	"envs/huge/parameters.yaml":  {Data: []byte("a: " + strings.Repeat("b", 2<<20))},
	"envs/live/eu/Kustomization": {},
}

func expand(t *testing.T, spec string) (names, told string, err error) {
	t.Helper()
	var object map[string]any
	if err := yaml.Unmarshal([]byte("metadata: {name: set, namespace: argocd}\nspec: "+spec), &object); err != nil {
		t.Fatal(err)
	}
	applications, notes, err := appset.Expand(object, appset.Options{FS: repository, Own: func(r string) bool { return r == "own" }})
	var all []string
	for _, a := range applications {
		all = append(all, a["metadata"].(map[string]any)["name"].(string))
	}
	for _, n := range notes {
		told += n.Path + ": " + n.What + "\n"
	}
	return strings.Join(all, " "), told, err
}

func TestGenerators(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ generators, name, want, told string }{
		"a list":                  {"[{list: {elements: [{a: x}, {a: w}]}}]", "{{a}}", "x w", ""},
		"values of a list":        {"[{list: {elements: [{values: {k: 1}}]}}]", "n{{ values.k }}", "n1", ""},
		"a list in a text":        {"[{list: {elementsYaml: '[{a: x}]'}}]", "{{a}}", "x", ""},
		"a name that isn't known": {"[{list: {elements: [{a: x}, {b: y1}]}}]", "{{b}}", "y1", "spec.template.metadata.name: {{b}}: what is to stand there isn't in Git"},
		"folders":                 {"[{git: {repoURL: own, directories: [{path: addons/*}]}}]", "{{path.basenameNormalized}}.{{path[0]}}", "a-b.addons c.addons", ""},
		"folders but one":         {"[{git: {repoURL: own, directories: [{path: addons/*}, {path: 'addons/[c]', exclude: true}]}}]", "{{path.basename}}", "a_b", ""},
		"folders, with a prefix":  {"[{git: {repoURL: own, pathParamPrefix: up, directories: [{path: addons/c}]}}]", "{{up.path.basename}}-{{up.path[1]}}", "c-c", ""},
		"files below a folder":    {"[{git: {repoURL: own, files: [{path: 'envs/live/**/config.*'}]}}]", "{{region}}-{{size}}-{{path.basename}}", "eu-3-eu us-1-us us2-2-us", ""},
		"files, and a star over slashes": {
			"[{git: {repoURL: own, files: [{path: 'envs/*/config.yaml'}, {path: envs/test, exclude: true}]}}]",
			"{{region}}-{{nodes.min}}", "eu-1", "",
		},
		"values of what is found": {"[{git: {repoURL: own, files: [{path: envs/test/config.yaml}], values: {v: '{{region}}!'}}}]", "{{values.v}}", "test!", ""},
		"each with each":          {"[{matrix: {generators: [{list: {elements: [{a: x}, {a: w}]}}, {list: {elements: [{b: '{{a}}1'}, {b: 2}]}}]}}]", "{{a}}-{{b}}", "x-x1 x-2 w-w1 w-2", ""},
		"one over another": {
			"[{merge: {mergeKeys: [a], generators: [{list: {elements: [{a: x, b: '1'}, {a: w, b: '2'}]}}, {list: {elements: [{a: w, b: '3'}, {a: z}]}}]}}]",
			"{{a}}{{b}}", "x1 w3", "",
		},
		"only some":     {"[{list: {elements: [{a: x}, {a: w}]}, selector: {matchLabels: {a: w}}}]", "{{a}}", "w", ""},
		"this cluster":  {"[{clusters: {selector: {matchLabels: {env: live}}}}]", "{{name}}-{{metadata.labels.env}}", "in-cluster-live", "spec.generators[0].clusters: which clusters"},
		"not in Git":    {"[{scmProvider: {}}, {list: {elements: [{a: x}]}}]", "{{a}}", "x", "spec.generators[0]: what a generator such as scmProvider finds"},
		"elsewhere":     {"[{git: {repoURL: other, directories: [{path: '*'}]}}]", "a", "", "it looks into another repository (other)"},
		"a later field": {"[{list: {elements: [{a: x}], sorted: true}}]", "{{a}}", "x", "spec.generators[0].list.sorted: has no counterpart"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, told, err := expand(t, "{generators: "+c.generators+", template: {metadata: {name: '"+c.name+"'}}}")
			if err != nil || got != c.want {
				t.Errorf("%q, %v, want %q", got, err, c.want)
			}
			if !strings.Contains(told, c.told) || c.told == "" && told != "" {
				t.Errorf("told %q, want %q", told, c.told)
			}
		})
	}
}

// What only Argo CD knows of a cluster, another generator of the set may do without.
func TestWhatIsKnownOfAClusterIsNotInGit(t *testing.T) {
	t.Parallel()
	for generator, want := range map[string]string{
		"clusters: {}": `spec.template: "{{ index .metadata.annotations \"url\" }}": `,
		"clusters: {values: {url: '{{ index .metadata.annotations \"url\" }}'}}":                                                                   "spec.generators[0]: ",
		"matrix: {generators: [{clusters: {}}, {git: {repoURL: own, directories: [{path: 'addons/{{ index .metadata.annotations \"url\" }}'}]}}]}": "spec.generators[0]: ",
	} {
		got, told, err := expand(t, "{goTemplate: true, generators: [{"+generator+"}, {list: {elements: [{metadata: {annotations: {url: x}}}]}}], template: {metadata: {name: '{{ index .metadata.annotations \"url\" }}'}}}")
		if err != nil || got != "x" || !strings.Contains(told, want) || !strings.Contains(told, "what Argo CD knows of a cluster isn't in Git") {
			t.Errorf("%s: %q, %v, told\n%s", generator, got, err, told)
		}
	}
}

func TestGoTemplates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{{ .path.basename | upper }}`:                       "C",
		`{{ index .path.segments 0 }}-{{ .path.path }}`:      "addons-addons/c",
		`{{ normalize "A_b.C/d-" }}`:                         "a-b.c-d",
		`{{ cat .path.path "longer words" | slugify 13 }}`:   "addons-c",
		`{{ slugify 15 false "feature_branch name" }}`:       "feature-branch",
		`{{ slugify "A  b" }}`:                               "a-b",
		`{{ (fromYaml "a: [x]").a | toYaml }}`:               "- x",
		`{{ (fromYamlArray "[x, w]") | join "+" }}`:          "x+w",
		`{{ if eq .path.basename "c" }}yes{{ else }}{{end}}`: "yes",
	} {
		got, _, err := expand(t, "{goTemplate: true, generators: [{git: {repoURL: own, directories: [{path: addons/c}]}}], template: {metadata: {name: '"+text+"'}}}")
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
}

// What can't be made is said, with its place.
func TestBadSets(t *testing.T) {
	t.Parallel()
	const one = "generators: [{list: {elements: [{a: x}]}}]"
	for spec, want := range map[string]string{
		"{}": "it has no spec.template",
		"{goTemplate: true, " + one + ", template: {metadata: {name: '{{ env \"HOME\" }}'}}}":                                   `function "env" not defined`,
		"{goTemplate: true, " + one + ", template: {metadata: {name: '{{ fail \"no\" }}'}}}":                                    "no",
		"{goTemplate: true, goTemplateOptions: [odd], " + one + ", template: {metadata: {name: '{{ .a }}'}}}":                   `"odd" isn't known`,
		"{goTemplate: true, " + one + ", template: {metadata: {name: '{{ repeat 2000000 .a }}'}}}":                              "too large",
		"{goTemplate: true, templatePatch: '{{ .a.b }}', " + one + ", template: {metadata: {name: a}}}":                         "spec.templatePatch",
		"{generators: [{list: {elements: [7]}}], template: {}}":                                                                 "elements[0] is no mapping",
		"{generators: [{list: {elements: [{a: x}, {a: x}]}}], template: {metadata: {name: '{{a}}'}}}":                           "it makes Application argocd/x twice",
		"{generators: [{matrix: {generators: [{list: {}}]}}], template: {}}":                                                    "it combines 1 generators",
		"{generators: [{merge: {generators: [{list: {}}, {list: {}}]}}], template: {}}":                                         "it has no mergeKeys",
		"{generators: [{git: {repoURL: own, files: [{path: envs/broken/settings.yaml}]}}], template: {}}":                       "envs/broken/settings.yaml holds no parameters",
		"{generators: [{git: {repoURL: own, files: [{path: envs/broken/text.yaml}]}}], template: {}}":                           "envs/broken/text.yaml holds no parameters",
		"{generators: [{git: {repoURL: own, files: [{path: envs/huge/*}]}}], template: {}}":                                     "parameters have at most",
		"{generators: [{git: {repoURL: own, directories: [{path: '['}]}}], template: {}}":                                       `path "["`,
		"{generators: [{list: {elements: []}, selector: {matchExpressions: [{key: a, operator: Odd}]}}], template: {}}":         "selector",
		"{generators: [{clusters: {values: {a: '{{ .b.c'}}}], goTemplate: true, template: {metadata: {name: a}}}":               "values",
		"{generators: [{list: {elementsYaml: '{'}}], template: {}}":                                                             "elementsYaml",
		"{generators: [{list: {elements: [{a: x}]}}], goTemplate: true, templatePatch: '- 1', template: {metadata: {name: a}}}": "templatePatch",
	} {
		if _, _, err := expand(t, spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
	if _, _, err := expand(t, "{}"); !errors.Is(err, appset.ErrInput) {
		t.Error(err)
	}
}

// FuzzExpand feeds it whatever a file holds.
func FuzzExpand(f *testing.F) {
	f.Add("generators: [{list: {elements: [{a: x}]}}]\ntemplate: {metadata: {name: '{{a}}'}}")
	f.Add("goTemplate: true\ngenerators: [{git: {repoURL: own, files: [{path: '**'}]}}]\ntemplate: {metadata: {name: '{{.path.path}}'}}")
	f.Fuzz(func(t *testing.T, text string) {
		var spec map[string]any
		if yaml.Unmarshal([]byte(text), &spec) != nil || spec["goTemplate"] == true {
			return // a template may loop as long as it likes
		}
		_, _, _ = appset.Expand(map[string]any{"spec": spec}, appset.Options{FS: repository, Own: func(string) bool { return true }})
	})
}
