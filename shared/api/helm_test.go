package api_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

const chartApplication = `apiVersion: slipway.dev/v1alpha1
kind: Application
metadata: {name: web, namespace: shop}
spec:
  source:
    repository: https://git.example.com/acme/config.git
    branch: main
    path: apps/web
    helm:
`

func TestAnApplicationsChartIsRead(t *testing.T) {
	t.Parallel()
	docs, err := api.Decode("app.yaml", []byte(chartApplication+`      chart: ./chart
      releaseName: web-1
      valuesFiles: [values.yaml, ../../shared/values.yaml]
      valuesFrom: [{configMap: site}, {secret: keys, key: token, targetPath: 'a.b[0].c\.d', literal: true, optional: true}]
      values:
        on: yes
        quoted: "yes"
        date: 2020-01-01
        gone: null
        8080: [1, 2.5, {off: no}]
`))
	if err != nil || len(docs) != 1 {
		t.Fatalf("%d documents: %v", len(docs), err)
	}
	helm := docs[0].Object.(*api.Application).Spec.Source.Helm
	want := &api.HelmSource{
		Chart: "./chart", ReleaseName: "web-1", ValuesFiles: []string{"values.yaml", "../../shared/values.yaml"},
		ValuesFrom: []api.ValuesSource{
			{VariableSource: api.VariableSource{ConfigMap: "site"}},
			{VariableSource: api.VariableSource{Secret: "keys", Optional: true}, Key: "token", TargetPath: `a.b[0].c\.d`, Literal: true},
		},
		// As Kubernetes reads the same document: yes and on are booleans, a
		// date is a string, a key is one too.
		Values: map[string]any{
			"true": true, "quoted": "yes", "date": "2020-01-01", "gone": nil,
			"8080": []any{1.0, 2.5, map[string]any{"false": false}},
		},
	}
	if !reflect.DeepEqual(helm, want) {
		t.Errorf("read\n%+v, want\n%+v", helm, want)
	}
}

func TestAWrongChartIsToldWhereAndWhy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{name: redis}":                                                                "spec.source.helm.name: unknown field",
		"{chart: \"oci://ghcr.io/acme/web\"}":                                          "spec.source.helm.chart is an address: write the chart's name, and the address without it in repository",
		"{chart: web, version: 1.2.3}":                                                 "spec.source.helm.version is for a chart of a repository",
		"{chart: web, secret: pull}":                                                   "spec.source.helm.secret is for a chart of a repository",
		"{chart: web, repository: \"https://h.example\"}":                              "spec.source.helm.version is missing",
		"{chart: web, repository: \"https://h.example\", version: newest}":             "neither a version nor a range",
		"{repository: \"https://h.example\", version: 1.2.3}":                          "\"\" is not the name of a chart in repository",
		"{chart: a/web, repository: \"https://h.example\", version: 1.2.3}":            "\"a/web\" is not the name of a chart",
		"{chart: Web, repository: \"oci://ghcr.io/acme\", version: 1.2.3}":             "spec.source.helm.repository: ",
		"{chart: web, repository: \"oci://ghcr.io/acme:1.2.3\", version: 1.2.3}":       "more than a host and a path",
		"{chart: web, repository: \"https://u:hunter2@h.example\", version: 1.2.3}":    "credentials belong in a Secret",
		"{chart: web, repository: \"ftp://h.example\", version: 1.2.3}":                "neither https:// (with an index.yaml) nor oci://",
		"{chart: web, repository: charts, version: 1.2.3}":                             "neither https:// (with an index.yaml) nor oci://",
		"{chart: web, repository: \"https://h.example\", version: 1.2.3, secret: b/c}": "is not the name of a Secret",
		"{chart: /chart}":                       "is not relative",
		"{chart: ../../../chart}":               "leaves the repository",
		"{releaseName: Web}":                    "releaseName \"Web\" is not a name",
		"{valuesFiles: [../../../v.yaml]}":      "valuesFiles[0] \"../../../v.yaml\" leaves the repository",
		"{valuesFiles: [\"https://h/v.yaml\"]}": "valuesFiles[0] is an address",
		"{valuesFiles: [\"\"]}":                 "valuesFiles[0] is empty",
		"{valueFiles: [v.yaml]}":                "app.yaml:10: spec.source.helm.valueFiles: unknown field",
		"{values: [a]}":                         "app.yaml:10: spec.source.helm.values: must be a mapping",
	} {
		_, err := api.Decode("app.yaml", []byte(chartApplication+"      "+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "app.yaml:") {
			t.Errorf("%s: %v\ndoes not say %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("it tells the password: %v", err)
		}
	}
}

func TestWrongValuesOfTheClusterAreTold(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 257)
	for text, want := range map[string]string{
		"[{configMap: a}, {}]":                    "spec.source.helm.valuesFrom[1] names neither or both of configMap and secret",
		"[{configMap: a, secret: b}]":             "spec.source.helm.valuesFrom[0] names neither or both",
		"[{secret: other/keys}]":                  "spec.source.helm.valuesFrom[0]: \"other/keys\" is not the name of a ConfigMap or Secret (it is looked for in the Application's own namespace)",
		"[{secret: a, key: a/b}]":                 "valuesFrom[0].key: \"a/b\" is not the key",
		"[{secret: a, literal: true}]":            "valuesFrom[0].literal is for one value",
		"[{secret: a, targetPath: " + long + "}]": "valuesFrom[0].targetPath has more than 256 bytes",
		"[{secret: a, valuesKey: b}]":             "app.yaml:10: spec.source.helm.valuesFrom[0].valuesKey: unknown field",
	} {
		_, err := api.Decode("app.yaml", []byte(chartApplication+"      valuesFrom: "+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\ndoes not say %q", text, err, want)
		}
	}
}

func TestAChartOfARepositoryHasAPlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		place string
		exact bool
	}{
		`{chart: redis, repository: "oci://GHCR.io/acme/charts/", version: 1.2.3+b}`:            {"ghcr.io/acme/charts", true},
		`{chart: redis, repository: "oci://registry-1.docker.io/bitnamicharts", version: ~1.2}`: {"docker.io/bitnamicharts", false},
		`{chart: redis, repository: "https://Charts.example.com:443/stable/", version: v1.2.3}`: {"charts.example.com/stable", true},
		`{chart: redis, repository: "https://charts.example.com", version: "1.2"}`:              {"charts.example.com", false},
		`{chart: redis, repository: "oci://localhost:5000", version: "*"}`:                      {"localhost:5000", false},
	} {
		docs, err := api.Decode("app.yaml", []byte(chartApplication+"      "+text+"\n"))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		ref, ok := docs[0].Object.(*api.Application).Spec.Source.Helm.Remote()
		place, err := ref.Place(nil)
		if !ok || err != nil || place != want.place || ref.Exact() != want.exact {
			t.Errorf("%s: %+v is at %q (%v), exact %t", text, ref, place, err, ref.Exact())
		}
	}
}
