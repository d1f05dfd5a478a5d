package promote_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/render"
)

func TestMain(m *testing.M) {
	render.Child()
	m.Run()
}

// chartApplication is an application whose chart lies beside its path.
func chartApplication(name, values string) string {
	return fmt.Sprintf(`apiVersion: slipway.dev/v1alpha1
kind: Application
metadata: {name: %[1]s, namespace: shop}
spec:
  source:
    repository: REPO
    branch: main
    path: apps/%[1]s
    helm: {chart: ../../charts/web, valuesFiles: [values.yaml], values: {%[2]s}}
`, name, values)
}

// The images of a chart are those of its objects, and its settings are part of
// what is kept: two applications render one chart.
func TestAChartsImagesAreThoseOfItsObjects(t *testing.T) {
	b := start(t, map[string]string{
		"cluster/web.yaml": chartApplication("web", ""), "cluster/api.yaml": chartApplication("api", "name: api"),
		"charts/web/Chart.yaml":         "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"charts/web/values.yaml":        "name: web\nimage: {repository: ghcr.io/acme/none, tag: 0.0.1}\n",
		"charts/web/templates/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: \"{{ .Release.Name }}-{{ .Values.name }}\"}\nspec:\n  containers:\n  - image: \"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"\n",
		"apps/web/values.yaml":          "image:\n  repository: ghcr.io/acme/web\n  tag: 1.0.0 # here\n",
		"apps/api/values.yaml":          "image: {repository: ghcr.io/acme/api, tag: 1.0.0}\n",
		"apps/web/pod.yaml":             "not: read\n",
	})
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	b.git.Pull()
	if got := b.git.Git("show", "HEAD:apps/web/values.yaml"); got != "image:\n  repository: ghcr.io/acme/web\n  tag: 1.1.0@"+digestA+" # here" {
		t.Errorf("the values are:\n%s", got)
	}
	if got := b.git.Git("show", "--stat", "--format=", "HEAD"); !strings.Contains(got, "1 file changed") {
		t.Errorf("changed:\n%s", got)
	}
}

// What a chart has of the cluster isn't known here: what is rendered without it is
// edited, and what can't be is told why.
func TestAChartIsRenderedWithoutValuesOfTheCluster(t *testing.T) {
	for name, tt := range map[string]struct{ host, tag, decision string }{
		"one that does without": {"{{ .Values.host }}", "1.1.0@" + digestA, ""},
		"one that needs them":   {"{{ required \"no host\" .Values.host }}", "1.0.0", "no host (what the chart takes from the cluster by valuesFrom isn't known here"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, map[string]string{
				"cluster/web.yaml":            strings.Replace(chartApplication("web", ""), "values: {}", "valuesFrom: [{secret: site}]", 1),
				"charts/web/Chart.yaml":       "apiVersion: v2\nname: web\nversion: 1.0.0\n",
				"charts/web/templates/a.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: web, annotations: {host: \"" + strings.ReplaceAll(tt.host, `"`, "`") + "\"}}\nspec:\n  containers:\n  - image: \"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"\n",
				"apps/web/values.yaml":        "image: {repository: ghcr.io/acme/web, tag: 1.0.0}\n",
			})
			b.pushed("1.1.0", digestA)
			must(t, b.work("ghcr.io/acme/web:1.1.0"))
			b.git.Pull()
			if got := b.git.Git("show", "HEAD:apps/web/values.yaml"); !strings.Contains(got, "tag: "+tt.tag+"}") {
				t.Errorf("the values are:\n%s", got)
			}
			if got := strings.Join(b.decisions(), "\n"); !strings.Contains(got, tt.decision) {
				t.Errorf("decided %s", got)
			}
		})
	}
}
