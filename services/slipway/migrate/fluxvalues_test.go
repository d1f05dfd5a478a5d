package migrate_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/services/slipway/migrate"
)

// A generated ConfigMap's values are those of a file where that is sure to give the same.
func TestGeneratedValuesAreThoseOfTheirFile(t *testing.T) {
	t.Parallel()
	const repository = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: NAME, namespace: flux-system}\nspec: {interval: 1m, url: 'https://git.example.com/acme/NAME', ref: {branch: main}}\n---\n"
	for name, tt := range map[string]struct {
		release, source, options, post, values string // of the chart, of a generator, of Flux's Kustomization
		overlay                                bool   // the generator is in a folder above the release's
		want                                   string
	}{
		"a hash in the name":                {values: "a: b\n", want: "valuesFiles:\n      - ../../apps/web/own.yaml\n"},
		"a name that stays":                 {values: "a: b\n", options: "generatorOptions: {disableNameSuffixHash: true}\n", want: "- ../../apps/web/own.yaml\n"},
		"an overlay":                        {values: "a: b\n", overlay: true, want: "- ../../apps/live/own.yaml\n"},
		"behind a Secret":                   {values: "a: b\n", release: "{kind: Secret, name: s}, ", want: "valuesFrom:\n      - secret: s\n      - configMap: web-values-"},
		"behind what is set at a path":      {values: "a: b\n", release: "{kind: Secret, name: s, targetPath: a}, ", want: "- ../../apps/web/own.yaml\n      valuesFrom:\n      - secret: s\n        targetPath: a\n"},
		"a chart of another repository":     {values: "a: b\n", source: "other", want: "valuesFrom:\n      - configMap: web-values-"},
		"a variable that Flux replaces":     {values: "a: ${B}\n", post: ", postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}]}", want: "valuesFrom:\n      - configMap: web-values-"},
		"what nobody takes for a variable":  {values: "a: ${B}\n", want: "- ../../apps/web/own.yaml\n"},
		"a name that stays, and no file":    {values: "", options: "generatorOptions: {disableNameSuffixHash: true}\n", want: "valuesFrom:\n      - configMap: web-values\n"},
		"a hash in the name, and no values": {values: "", want: "configMap: web-values-"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, chart := "apps/web", "config"
			if tt.overlay {
				dir = "apps/live"
			}
			if tt.source != "" {
				chart = tt.source
			}
			file := func(text string) *fstest.MapFile { return &fstest.MapFile{Mode: 0o644, Data: []byte(text)} }
			generator := "configMapGenerator: [{name: web-values, namespace: shop, files: [values.yaml=own.yaml]}]\nconfigurations: [names.yaml]\n" + tt.options
			files := fstest.MapFS{
				"cluster/ks.yaml":           file(strings.ReplaceAll(repository, "NAME", "config") + strings.ReplaceAll(repository, "NAME", "other") + "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: shop, namespace: flux-system}\nspec: {interval: 1h, path: ./" + dir + ", prune: true, serviceAccountName: x, sourceRef: {kind: GitRepository, name: config}" + tt.post + "}\n"),
				"apps/web/release.yaml":     file("apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web, namespace: shop}\nspec:\n  interval: 1h\n  serviceAccountName: x\n  chart: {spec: {chart: ./charts/web, sourceRef: {kind: GitRepository, name: " + chart + ", namespace: flux-system}}}\n  valuesFrom: [" + tt.release + "{kind: ConfigMap, name: web-values}]\n"),
				"charts/web/Chart.yaml":     file("apiVersion: v2\nname: web\nversion: 1.0.0\n"),
				dir + "/own.yaml":           file(tt.values),
				dir + "/names.yaml":         file("nameReference:\n- {kind: ConfigMap, version: v1, fieldSpecs: [{path: spec/valuesFrom/name, kind: HelmRelease}]}\n"),
				dir + "/kustomization.yaml": file("resources: [release.yaml]\n" + generator),
			}
			if tt.overlay {
				files["apps/web/kustomization.yaml"] = file("resources: [release.yaml]\n")
				files["apps/live/kustomization.yaml"] = file("resources: [../web]\n" + generator)
			}
			r, err := migrate.Flux(t.Context(), migrate.Options{FS: files, Repository: "https://git.example.com/acme/config"})
			if err != nil {
				t.Fatal(err)
			}
			told := print(r)
			if !strings.Contains(told, tt.want) {
				t.Errorf("it gives\n%s\nwithout %q", told, tt.want)
			}
			if hash := strings.Contains(told, "configMap: web-values-"); hash != strings.Contains(told, "web-values-") || hash != strings.Contains(told, "has a hash in its name") {
				t.Errorf("a hash is not told of:\n%s", told)
			}
			lint(t, r)
		})
	}
}
