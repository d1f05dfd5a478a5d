package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/slipway/migrate"
	"github.com/slipway-cd/slipway/shared/api"
)

const (
	argoHome  = "https://git.example.com/acme/home"
	argoChart = `{repoURL: https://charts.example.com, chart: web, targetRevision: 1.2.3}`
	argoExtra = `{repoURL: ` + argoHome + `, path: web/extra, targetRevision: main}`
)

// several migrates an Application of these sources, and what else is there.
func several(t *testing.T, sources, annotations string, more ...string) (map[string]*api.Application, migrate.Result) {
	t.Helper()
	files := map[string]string{
		"apps/web.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: web\n  namespace: argocd\n  annotations: {a.example.com/b: c" + annotations + "}\nspec:\n  project: default\n  sources: [" + sources +
			"]\n  destination: {server: https://kubernetes.default.svc, namespace: web}\n  syncPolicy: {automated: {prune: true, selfHeal: true}}\n",
		"charts/own/Chart.yaml": "apiVersion: v2\nname: own\nversion: 1.0.0\n",
	}
	for _, text := range more {
		files["apps/more.yaml"] = text
	}
	r, err := migrate.ArgoCD(t.Context(), migrate.Options{FS: tree(files), Repository: argoHome})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*api.Application{}
	for _, f := range r.Files {
		documents, err := api.Decode(f.Path, []byte(f.Data))
		if err != nil {
			t.Fatalf("%v\n%s", err, print(r))
		}
		for _, d := range documents {
			if application, ok := d.Object.(*api.Application); ok {
				all[application.Metadata.Name] = application
			}
		}
	}
	return all, r
}

// Each source of an Application that gives manifests becomes an Application.
func TestAnApplicationOfSeveralSourcesBecomesSeveral(t *testing.T) {
	t.Parallel()
	const values = `{repoURL: ` + argoHome + `, ref: values, targetRevision: main}`
	for name, c := range map[string]struct {
		sources string
		want    string // name=path, or name=chart as release
		told    string
	}{
		"one":                     {argoExtra, "web=web/extra", ""},
		"a chart and a folder":    {argoChart + ", " + argoExtra, "web=web as web, web-extra=web/extra", "it becomes web, web-extra"},
		"the other way":           {argoExtra + ", " + argoChart, "web=web/extra, web-web=web as web", "it becomes web, web-web"},
		"a named one":             {argoExtra + `, {name: Cache 1, repoURL: "oci://charts.example.com/redis", chart: redis, targetRevision: 7.0.0}`, "web=web/extra, web-cache-1=redis as web", "web-cache-1"},
		"a release of its own":    {argoExtra + `, {repoURL: https://charts.example.com, chart: web, targetRevision: 1.2.3, helm: {releaseName: site}}`, "web=web/extra, web-web=web as site", ""},
		"a chart in Git":          {argoExtra + ", {repoURL: " + argoHome + ", path: charts/own, targetRevision: main}", "web=web/extra, web-own=charts/own as web", ""},
		"of one name":             {argoExtra + ", " + argoExtra + ", {repoURL: " + argoHome + ", path: other/extra, targetRevision: main}", "web=web/extra, web-2=other/extra, web-extra=web/extra", ""},
		"with values of a third":  {values + ", " + `{repoURL: https://charts.example.com, chart: web, targetRevision: 1.2.3, helm: {valueFiles: [$values/web/values.yaml]}}` + ", " + argoExtra, "web=web as web, web-extra=web/extra", ""},
		"a folder that has a ref": {`{repoURL: ` + argoHome + `, ref: values, path: web/extra, targetRevision: main}, ` + argoChart, "web=web/extra, web-web=web as web", ""},
		"values alone":            {values, "", "none of them gives manifests"},
	} {
		all, r := several(t, c.sources, "")
		var got []string
		for _, name := range sortedNames(all) {
			one := name + "=" + all[name].Spec.Source.Path
			if h := all[name].Spec.Source.Helm; h != nil {
				if h.Chart != "" {
					one = name + "=" + h.Chart
				}
				release := h.ReleaseName
				if release == "" {
					release = name
				}
				one += " as " + release
			}
			got = append(got, one)
			if all[name].Spec.Destination.Namespace != "web" || all[name].Metadata.Annotations["a.example.com/b"] != "c" {
				t.Errorf("%s: %s lacks what all have:\n%s", name, name, print(r))
			}
		}
		if strings.Join(got, ", ") != c.want || len(r.Moved) != len(got) || !strings.Contains(print(r), c.told) {
			t.Errorf("%s: %q, want %q, and that it tells %q\n%s", name, got, c.want, c.told, print(r))
		}
	}
}

func sortedNames(all map[string]*api.Application) []string {
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// A rule for an Application's images speaks for all that it becomes.
func TestRulesSpeakForAllThatAnApplicationBecomes(t *testing.T) {
	t.Parallel()
	updater := func(pattern string) string {
		return "apiVersion: argocd-image-updater.argoproj.io/v1alpha1\nkind: ImageUpdater\nmetadata: {name: u, namespace: argocd}\nspec:\n  namespace: argocd\n  applicationRefs:\n  - {namePattern: " + pattern + ", images: [{alias: web, imageName: ghcr.io/acme/web}]}\n"
	}
	const two = argoChart + ", " + argoExtra
	for name, c := range map[string]struct {
		annotations, more, want string
	}{
		"annotations":              {", argocd-image-updater.argoproj.io/image-list: ghcr.io/acme/web", "", "- '*/argocd/web'\n    - '*/argocd/web-extra'\n"},
		"a name":                   {"", updater("web"), "- '*/argocd/web'\n    - '*/argocd/web-extra'\n"},
		"a pattern that says it":   {"", updater(`"web*"`), "- '*/argocd/web*'\n    images"},
		"a pattern that is listed": {"", updater(`"[w]eb"`), "- '*/argocd/web'\n    - '*/argocd/web-extra'\n"},
		"one that chooses others":  {"", updater("api"), "- '*/argocd/api'\n    images"},
	} {
		_, r := several(t, two, c.annotations, c.more)
		if !strings.Contains(print(r), c.want) {
			t.Errorf("%s: no %q in\n%s", name, c.want, print(r))
		}
	}
}
