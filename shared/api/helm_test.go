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
		"{name: redis, repository: \"https://charts.example.com\", version: 1.2.3}": "helm.repository: charts from a repository are not supported yet: commit the chart",
		"{chart: \"oci://ghcr.io/acme/web\"}":                                       "helm.chart: charts from a repository are not supported yet",
		"{chart: /chart}":                                                           "is not relative",
		"{chart: ../../../chart}":                                                   "leaves the repository",
		"{releaseName: Web}":                                                        "releaseName \"Web\" is not a name",
		"{valuesFiles: [../../../v.yaml]}":                                          "valuesFiles[0] \"../../../v.yaml\" leaves the repository",
		"{valuesFiles: [\"https://h/v.yaml\"]}":                                     "valuesFiles[0] is an address",
		"{valuesFiles: [\"\"]}":                                                     "valuesFiles[0] is empty",
		"{valueFiles: [v.yaml]}":                                                    "app.yaml:10: spec.source.helm.valueFiles: unknown field",
		"{values: [a]}":                                                             "app.yaml:10: spec.source.helm.values: must be a mapping",
	} {
		_, err := api.Decode("app.yaml", []byte(chartApplication+"      "+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "app.yaml:") {
			t.Errorf("%s: %v\ndoes not say %q", text, err, want)
		}
	}
}
