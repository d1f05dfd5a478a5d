package render_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/render"
)

// shelf is a chart that shows what it was given.
func shelf(at string) fstest.MapFS {
	return repo(at+"/Chart.yaml", "apiVersion: v2\nname: shelf\nversion: 1.0.0\n",
		at+"/values.yaml", "color: blue\nlist: [a, b]\ndeep: {one: 1, two: 2}\nbig: 123456789\nreplicas: 1\n",
		at+"/crds/crd.yaml", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: books.example.com}\nspec: {group: example.com, names: {kind: Book, plural: books}, scope: Namespaced, versions: []}\n",
		at+"/templates/cm.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-shelf\n  namespace: {{ .Release.Namespace }}\n  labels: {kube: \"{{ .Capabilities.KubeVersion.Minor }}\", has: \"{{ .Capabilities.APIVersions.Has \"example.com/v1\" }}\"}\ndata:\n  values: {{ .Values | toJson | quote }}\n",
		at+"/templates/deployment.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  replicas: {{ .Values.replicas }}\n  selector: {matchLabels: {app: x}}\n  template:\n    metadata: {labels: {app: x}}\n    spec:\n      containers: [{name: x, image: \"nginx:1.0\"}]\n      volumes: [{name: c, configMap: {name: {{ .Release.Name }}-shelf}}]\n",
		at+"/templates/hook.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata: {name: {{ .Release.Name }}-migrate, annotations: {helm.sh/hook: pre-upgrade}}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: x, image: nginx}]}}}\n",
		at+"/templates/empty.yaml", "{{- if .Values.never }}\na: b\n{{- end }}\n")
}

func joined(all ...fstest.MapFS) fstest.MapFS {
	files := fstest.MapFS{}
	for _, more := range all {
		maps.Copy(files, more)
	}
	return files
}

func TestChartsOfAKustomizationAreBuiltAsKustomizeDoes(t *testing.T) {
	t.Parallel()
	helm, err := helmTool()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a chart":                  "helmCharts:\n- {name: shelf, releaseName: top}\n",
		"its namespace":            "namespace: shop\nhelmCharts:\n- {name: shelf, releaseName: top, namespace: books}\nresources: [cm.yaml]\n",
		"definitions":              "helmCharts:\n- {name: shelf, releaseName: top, includeCRDs: true, skipHooks: true}\n",
		"versions":                 "helmCharts:\n- {name: shelf, releaseName: top, kubeVersion: \"1.29\", apiVersions: [example.com/v1]}\n",
		"values in place":          "helmCharts:\n- name: shelf\n  releaseName: top\n  valuesInline: {color: red, list: [c], deep: {two: 3, three: 4}, big: 987654321, replicas: 2.5, nothing: null, deepest: {a: [{name: x}]}}\n",
		"values in place of null":  "helmCharts:\n- name: shelf\n  releaseName: top\n  valuesInline: {color: null, deep: {one: null}}\n",
		"values merged":            "helmCharts:\n- name: shelf\n  releaseName: top\n  valuesMerge: merge\n  valuesInline: {color: red, list: [c], deep: {two: 3, three: 4}}\n",
		"values replaced":          "helmCharts:\n- name: shelf\n  releaseName: top\n  valuesMerge: replace\n  valuesFile: values.yaml\n  valuesInline: {deep: {two: 3}}\n",
		"a values file":            "helmCharts:\n- name: shelf\n  releaseName: top\n  valuesFile: values.yaml\n",
		"a values file and more":   "helmCharts:\n- name: shelf\n  releaseName: top\n  valuesFile: values.yaml\n  additionalValuesFiles: [more/values.yaml]\n  valuesInline: {color: red}\n",
		"more values files":        "helmCharts:\n- name: shelf\n  releaseName: top\n  additionalValuesFiles: [values.yaml, more/values.yaml]\n",
		"two of another folder":    "helmGlobals: {chartHome: more/charts}\nhelmCharts:\n- {name: shelf, releaseName: one}\n- {name: shelf, releaseName: two}\n",
		"with all the rest":        "namePrefix: pre-\nnameSuffix: -suf\ncommonLabels: {a: b}\nimages: [{name: nginx, newTag: \"2\"}]\nreplicas: [{name: top, count: 7}]\nresources: [cm.yaml]\nconfigMapGenerator:\n- {name: conf, literals: [a=b]}\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: add, path: /metadata/annotations, value: {patched: \"yes\"}}\ncomponents: [component]\nhelmCharts:\n- {name: shelf, releaseName: top}\n",
		"in a base":                "namespace: shop\nresources: [base]\nnamePrefix: x-\n",
		"in a base of a base":      "namespace: shop\nresources: [middle]\n",
		"in a base and its own":    "namespace: shop\nresources: [own, component-only]\n",
		"aliases":                  "commonLabels: &labels {a: b}\nhelmCharts:\n- name: shelf\n  releaseName: top\n  valuesInline: &values {labels: *labels, answer: yes, octal: 0644, float: 1.50, text: \"1.50\", time: 12:30:45}\n- {name: shelf, releaseName: two, valuesInline: *values}\n",
		"none":                     "resources: [cm.yaml]\nhelmCharts: []\n",
		"in the place of a folder": "resources: [cm.yaml]\nhelmCharts:\n- {name: shelf, releaseName: top, repo: \"https://charts.example.com\", version: 1.0.0, valuesFile: values.yaml}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := joined(shelf("app/charts/shelf"), shelf("app/more/charts/shelf"), shelf("app/base/charts/shelf"), shelf("app/charts/shelf-1.0.0/shelf"), repo(
				"app/kustomization.yaml", text, "app/cm.yaml", strings.ReplaceAll(farMap, "far", "near"),
				"app/values.yaml", "color: green\ndeep: {one: 5}\n", "app/more/values.yaml", "color: white\n",
				"app/component/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nlabels:\n- pairs: {component: \"yes\"}\n",
				"app/middle/kustomization.yaml", "resources: [../base]\nnamePrefix: m-\n", "app/own/kustomization.yaml", "namespace: mine\nresources: [../base]\n",
				"app/component-only/kustomization.yaml", "components: [../charted]\nresources: [cm.yaml]\n", "app/component-only/cm.yaml", farMap,
				"app/charted/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nhelmGlobals: {chartHome: ../charts}\nhelmCharts:\n- {name: shelf, releaseName: comp, valuesFile: values.yaml}\n", "app/charted/values.yaml", "a: b\n",
				"app/base/kustomization.yaml", "helmCharts:\n- {name: shelf, releaseName: base, valuesInline: {color: pink}}\nnameSuffix: -base\n"))
			got, err := render.Render(t.Context(), render.Request{FS: files, Path: "app"})
			if err != nil {
				t.Fatal(err)
			}
			want := sortedStream(kustomizeBuild(t, files, "app", "--enable-helm", "--helm-command", helm))
			if !slices.Equal(documents(got.Objects), want) {
				t.Errorf("got:\n%s\n\nwant:\n%s", strings.Join(documents(got.Objects), "\n---\n"), strings.Join(want, "\n---\n"))
			}
			if strings.Contains(text, "top") && !got.Touched([]string{"app/charts/shelf/templates/new.yaml"}) && !strings.Contains(text, "repo") {
				t.Errorf("a new template would change nothing: %q", got.Inputs)
			}
			if strings.Contains(text, "valuesFile: values.yaml") && !got.Touched([]string{"app/values.yaml"}) {
				t.Errorf("the values file would change nothing: %q", got.Inputs)
			}
		})
	}
}

func TestChartsAreReleasedIntoTheNamespaceOfWhatTakesThemIn(t *testing.T) {
	t.Parallel()
	files := joined(shelf("base/charts/shelf"), repo(
		"base/kustomization.yaml", "helmCharts:\n- {name: shelf, releaseName: base}\n",
		"one/kustomization.yaml", "namespace: one\nresources: [../base]\n", "two/kustomization.yaml", "namespace: two\nresources: [../base]\n",
		"apart/in/kustomization.yaml", "resources: [../../base]\n",
		"both/kustomization.yaml", "resources:\n- ../one\n- ../two\n", "same/kustomization.yaml", "resources: [../base]\nnamespace: same\n"))
	for _, tt := range []struct {
		path, namespace string
		fields          *api.KustomizeSource
	}{{"base", "default", nil}, {"one", "one", nil}, {"same", "same", nil}, {"one", "three", &api.KustomizeSource{Namespace: "three"}}, {"base", "four", &api.KustomizeSource{Namespace: "four"}}, {"apart", "five", &api.KustomizeSource{Autodetect: true, Namespace: "five"}}} {
		got, err := render.Render(t.Context(), render.Request{FS: files, Path: tt.path, Kustomize: tt.fields})
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
			continue
		}
		for _, o := range got.Objects {
			if o.Kind == "ConfigMap" && o.Namespace != tt.namespace {
				t.Errorf("%s with %v: the chart is released into %s", tt.path, tt.fields, o.Namespace)
			}
		}
	}
	_, err := render.Render(t.Context(), render.Request{FS: files, Path: "both"})
	if fault, ok := errors.AsType[*render.Error](err); !ok || !strings.Contains(fault.Message, `are taken into the namespaces "one" and "two"`) || fault.File != "base/kustomization.yaml" && fault.File != "two/kustomization.yaml" {
		t.Errorf("both: %v", err)
	}
}

func TestAChartOfAKustomizationThatCantBeRenderedIsTold(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text   string
		reason render.Reason
		want   string
	}{
		"no such chart":       {"helmCharts:\n- {name: none, releaseName: top}\n", render.ReasonBuild, "app/kustomization.yaml:2: there is no chart in app/charts/none, and no repo is named"},
		"no name":             {"helmCharts:\n- {releaseName: top}\n", render.ReasonUnsupported, "app/kustomization.yaml:2: helmCharts[0]: the chart has no name"},
		"another each time":   {"helmCharts:\n- {name: shelf}\n", render.ReasonUnsupported, "releaseName is missing"},
		"an unknown field":    {"helmCharts:\n- {name: shelf, releaseName: top, colour: x}\n", render.ReasonInvalid, "unknown field \"colour\""},
		"no list":             {"helmCharts: {name: shelf}\n", render.ReasonInvalid, "app/kustomization.yaml:1: helmCharts: "},
		"the older field":     {"helmChartInflationGenerator:\n- {chartName: shelf}\n", render.ReasonUnsupported, "write helmCharts"},
		"values from outside": {"helmCharts:\n- {name: shelf, releaseName: top, valuesFile: ../secret.yaml}\n", render.ReasonUnsupported, "is not below the kustomization"},
		"values by address":   {"helmCharts:\n- {name: shelf, releaseName: top, valuesFile: \"https://me:hunter2@example.com/v.yaml\"}\n", render.ReasonUnsupported, "https://example.com/v.yaml"},
		"no such values":      {"helmCharts:\n- {name: shelf, releaseName: top, valuesFile: none.yaml}\n", render.ReasonPath, "app/none.yaml: the values file is not in the repository"},
		"a bad merge":         {"helmCharts:\n- {name: shelf, releaseName: top, valuesMerge: sometimes}\n", render.ReasonUnsupported, "valuesMerge is \"sometimes\""},
		"a template at fault": {"helmCharts:\n- {name: bad, releaseName: top}\n", render.ReasonBuild, "app/charts/bad/templates/a.yaml:1"},
		"nothing is fetched":  {"helmCharts:\n- {name: far, releaseName: top, repo: \"https://charts.example.com\", version: 1.0.0}\n", render.ReasonUnsupported, "nothing is fetched here"},
		"a bad repository":    {"helmCharts:\n- {name: far, releaseName: top, repo: \"s3://x\", version: 1.0.0}\n", render.ReasonInvalid, "is neither https:// (with an index.yaml) nor oci://"},
		"an alias of itself":  {"helmCharts:\n- name: shelf\n  releaseName: top\n  valuesInline: &a {a: *a}\n", render.ReasonInvalid, "app/kustomization.yaml:"},
		"aliases as a bomb":   {"openapi: {a: &a [x,x,x,x,x,x,x,x,x,x], b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a], c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b], d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c], e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]}\nhelmCharts:\n- {name: shelf, releaseName: top, valuesInline: {a: *e}}\n", render.ReasonInvalid, "aliases come to too much"},
		"a loop":              {"helmCharts:\n- {name: loop, releaseName: top}\n", render.ReasonLimit, "longer than"},
		"values as a bomb":    {"helmCharts:\n- {name: shelf, releaseName: top, valuesFile: bomb.yaml, valuesInline: {a: b}}\n", "", "app/bomb.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
			for i, prev := 0, "a"; i < 9; i++ {
				next := string(rune('b' + i))
				bomb += next + ": &" + next + " [" + strings.Repeat("*"+prev+",", 8) + "*" + prev + "]\n"
				prev = next
			}
			files := joined(shelf("app/charts/shelf"), repo(
				"app/kustomization.yaml", tt.text, "secret.yaml", "a: b\n", "app/bomb.yaml", bomb,
				"app/charts/bad/Chart.yaml", "apiVersion: v2\nname: bad\nversion: 1.0.0\n", "app/charts/bad/values.yaml", "", "app/charts/bad/templates/a.yaml", "{{ fail \"no\" }}",
				"app/charts/loop/Chart.yaml", "apiVersion: v2\nname: loop\nversion: 1.0.0\n", "app/charts/loop/values.yaml", "", "app/charts/loop/templates/a.yaml", "{{ range $i := until 1000000000 }}{{ range $j := until 1000000000 }}{{ end }}{{ end }}"))
			limits := render.Limits{}
			if tt.reason == render.ReasonLimit {
				limits = render.Limits{Time: 2e9, Memory: 8 << 30}
			}
			got, err := render.Render(t.Context(), render.Request{FS: files, Path: "app", Limits: limits})
			fault, ok := errors.AsType[*render.Error](err)
			if !ok || tt.reason != "" && fault.Reason != tt.reason || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v (%+v)", err, fault)
			}
			if !slices.Contains(got.Inputs, "app/kustomization.yaml") {
				t.Errorf("inputs: %q", got.Inputs)
			}
		})
	}
}

// packed is a chart as `helm package` makes it.
func packed(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var data bytes.Buffer
	zip := gzip.NewWriter(&data)
	pack := tar.NewWriter(zip)
	for name, text := range files {
		if err := pack.WriteHeader(&tar.Header{Name: "far/" + name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := pack.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(pack.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return data.Bytes()
}

func TestEachFaultOfAChartOfAKustomizationIsTold(t *testing.T) {
	t.Parallel()
	_, err := render.Render(t.Context(), render.Request{Path: "app", FS: repo("app/kustomization.yaml", "helmCharts:\n- {name: bad, releaseName: top}\n",
		"app/charts/bad/Chart.yaml", "apiVersion: v2\nname: bad\nversion: 1.0.0\n",
		"app/charts/bad/templates/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", "app/charts/bad/templates/b.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {}\n")})
	for _, want := range []string{"app/charts/bad/templates/a.yaml", "app/charts/bad/templates/b.yaml"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s isn't told: %v", want, err)
		}
	}
}

func TestAChartOfAKustomizationMayLieElsewhere(t *testing.T) {
	t.Parallel()
	archive := packed(t, map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: far\nversion: 1.2.0\n", "values.yaml": "a: 1\nb: 2\n",
		"templates/cm.yaml":     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: far}\ndata: {a: \"{{ .Values.a }}\", b: \"{{ .Values.b }}\"}\n",
		"templates/secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: far}\nstringData: {password: \"{{ randAlphaNum 8 }}\"}\n",
	})
	source := charts.One{Ref: api.ChartRef{Repository: "oci://registry.example.com/charts", Name: "far", Version: "*"}, Archive: charts.Archive{Name: "far", Version: "1.2.0", Digest: "sha256:x", Data: archive}}
	got, err := render.Render(t.Context(), render.Request{
		FS:   repo("app/kustomization.yaml", "namePrefix: x-\nhelmCharts:\n- {name: far, releaseName: top, repo: \"oci://registry.example.com/charts/\", valuesInline: {b: 3}}\n"),
		Path: "app", Charts: source,
	})
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(documents(got.Objects), "\n"); !strings.Contains(all, "a: \"1\"\n  b: \"3\"") || !strings.Contains(all, "name: x-far") {
		t.Errorf("%s", all)
	}
	for _, o := range got.Objects {
		if o.Varies != (o.Kind == "Secret") {
			t.Errorf("%s varies: %t", o.ID, o.Varies)
		}
	}
	if want := []string{"far * of oci://registry.example.com/charts=1.2.0@sha256:x"}; !slices.Equal(got.Moving, want) {
		t.Errorf("moving: %q", got.Moving)
	}
}
