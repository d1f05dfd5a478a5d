package manifest_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
	"github.com/slipway-cd/slipway/shared/render"
)

func TestMain(m *testing.M) {
	render.Child()
	m.Run()
}

// chart is one as `helm create` makes it: the tag is the chart's appVersion
// where the values don't say it.
func chart(dir, values string) map[string]string {
	return map[string]string{
		dir + "/Chart.yaml":  "apiVersion: v2\nname: web\nversion: 0.1.0\nappVersion: \"1.0.0\"\n",
		dir + "/values.yaml": values,
		dir + "/templates/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas | default 1 }}
  template:
    spec:
      containers:
      - name: web
        image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
`,
	}
}

const created = "replicas: 1\n\nimage:\n  repository: ghcr.io/acme/web\n  # Overrides the image tag whose default is the chart appVersion.\n  tag: \"\"\n"

var digestOne = "sha256:" + strings.Repeat("1", 64)

func with(all ...map[string]string) map[string]string {
	files := map[string]string{}
	for _, one := range all {
		maps.Copy(files, one)
	}
	return files
}

func TestTheValuesOfAChartAreEdited(t *testing.T) {
	const pinned = "1.1.0@DIGEST"
	for name, c := range map[string]struct {
		path  string
		helm  render.Release
		files map[string]string
		file  string // that changes, and what it is then
		want  string
	}{
		"its own, by the appVersion": {
			"charts/web",
			render.Release{},
			chart("charts/web", created), "charts/web/values.yaml",
			strings.Replace(created, `tag: ""`, `tag: "`+pinned+`"`, 1),
		},
		"its own, without a field for the tag": {
			"charts/web",
			render.Release{},
			chart("charts/web", "image:\n    repository: ghcr.io/acme/web # ours\n"), "charts/web/values.yaml",
			"image:\n    tag: " + pinned + "\n    repository: ghcr.io/acme/web # ours\n",
		},
		"an environment's, which has the tag alone": {
			"envs/prod",
			render.Release{Chart: "../../charts/web", ValuesFiles: []string{"values.yaml"}},
			with(chart("charts/web", created), map[string]string{"envs/prod/values.yaml": "# prod\nreplicas: 3\nimage:\n  tag: 1.0.0 # now\n"}),
			"envs/prod/values.yaml", "# prod\nreplicas: 3\nimage:\n  tag: " + pinned + " # now\n",
		},
		"the last of several": {
			"envs/prod",
			render.Release{Chart: "../../charts/web", ValuesFiles: []string{"a.yaml", "../b.yaml", "c.yaml", "d.yaml"}},
			with(chart("charts/web", created), map[string]string{
				"envs/prod/a.yaml": "image: {tag: 0.1.0}\n", "envs/b.yaml": "image: {tag: 0.2.0}\n", "envs/prod/c.yaml": "image: {tag: 1.0.0}\n", "envs/prod/d.yaml": "replicas: 2\n",
			}),
			"envs/prod/c.yaml", "image: {tag: " + pinned + "}\n",
		},
		"none has it: it is added to the last": {
			"envs/prod",
			render.Release{Chart: "../../charts/web", ValuesFiles: []string{"a.yaml", "b.yaml"}},
			with(chart("charts/web", created), map[string]string{"envs/prod/a.yaml": "replicas: 2\n", "envs/prod/b.yaml": "replicas: 3\r\n"}),
			"envs/prod/b.yaml", "replicas: 3\r\nimage:\r\n  tag: " + pinned + "\r\n",
		},
		"what lies outside is overlaid": {
			"envs/prod",
			render.Release{Chart: "../../charts/web", ValuesFiles: []string{"../all.yaml", "prod.yaml"}},
			with(chart("charts/web", created), map[string]string{"envs/all.yaml": "image: {tag: 1.0.0}\n", "envs/prod/prod.yaml": ""}),
			"envs/prod/prod.yaml", "image:\n  tag: " + pinned + "\n",
		},
		"added within a mapping, without a last line feed": {
			"envs/prod",
			render.Release{Chart: "../../charts/web", ValuesFiles: []string{"v.yaml"}},
			with(chart("charts/web", created), map[string]string{"envs/prod/v.yaml": "image:\n    # often\n    pullPolicy: Always"}),
			"envs/prod/v.yaml", "image:\n    # often\n    tag: " + pinned + "\n    pullPolicy: Always",
		},
		"added within braces": {
			"envs/prod",
			render.Release{Chart: "../../charts/web", ValuesFiles: []string{"v.yaml"}},
			with(chart("charts/web", created), map[string]string{"envs/prod/v.yaml": "{replicas: 2}\n"}),
			"envs/prod/v.yaml", "{image: {tag: " + pinned + "}, replicas: 2}\n",
		},
		"a file of comments": {
			"envs/prod",
			render.Release{Chart: "../../charts/web", ValuesFiles: []string{"v.yaml"}},
			with(chart("charts/web", created), map[string]string{"envs/prod/v.yaml": "# nothing yet"}),
			"envs/prod/v.yaml", "# nothing yet\nimage:\n  tag: " + pinned,
		},
		"other environments' beside it stay": {
			"charts/web",
			render.Release{ValuesFiles: []string{"values-prod.yaml"}},
			with(chart("charts/web", created), map[string]string{
				"charts/web/values-prod.yaml": "image:\n  repository: ghcr.io/acme/web\n  tag: 1.0.0\n", "charts/web/values-staging.yaml": "image:\n  repository: ghcr.io/acme/web\n  tag: 1.0.0\n",
			}),
			"charts/web/values-prod.yaml", "image:\n  repository: ghcr.io/acme/web\n  tag: " + pinned + "\n",
		},
		"a number is a string after": {
			"envs/prod",
			render.Release{Chart: "../../charts/web", ValuesFiles: []string{"v.yaml"}},
			with(chart("charts/web", created), map[string]string{"envs/prod/v.yaml": "image: {tag: 2}\n"}), "envs/prod/v.yaml", "image: {tag: " + pinned + "}\n",
		},
		"a tag and a digest of their own": {
			"charts/web", render.Release{}, with(chart("charts/web", "image: {repository: ghcr.io/acme/web, tag: 1.0.0, digest: \""+digestOne+"\"}\n"), map[string]string{
				"charts/web/templates/deployment.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n  - {name: a, image: \"{{ .Values.image.repository }}:{{ .Values.image.tag }}@{{ .Values.image.digest }}\"}\n",
			}), "charts/web/values.yaml", "image: {repository: ghcr.io/acme/web, tag: 1.1.0, digest: \"DIGEST\"}\n",
		},
		"of a subchart, over its own": {
			"apps/web",
			render.Release{ValuesFiles: []string{"v.yaml"}},
			with(chart("apps/web/charts/inner", created), map[string]string{
				"apps/web/Chart.yaml": "apiVersion: v2\nname: outer\nversion: 1.0.0\ndependencies: [{name: web, version: 0.1.0, alias: front}]\n", "apps/web/v.yaml": "front:\n  replicas: 2\n",
			}), "apps/web/v.yaml", "front:\n  image:\n    tag: " + pinned + "\n  replicas: 2\n",
		},
		"where an anchor says it, and nothing else is rendered of it": {
			"charts/web",
			render.Release{},
			chart("charts/web", "version: &v 1.0.0\nimage: {repository: ghcr.io/acme/web, tag: *v}\n"), "charts/web/values.yaml",
			"version: &v " + pinned + "\nimage: {repository: ghcr.io/acme/web, tag: *v}\n",
		},
		"as a whole": {
			"charts/web", render.Release{}, with(chart("charts/web", "image: ghcr.io/acme/web:1.0.0\n"), map[string]string{
				"charts/web/templates/deployment.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a, image: {{ .Values.image | quote }}}]}\n",
			}), "charts/web/values.yaml", "image: ghcr.io/acme/web:" + pinned + "\n",
		},
		"beside what is made up anew each time": {
			"charts/web", render.Release{}, with(chart("charts/web", created), map[string]string{
				"charts/web/templates/secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {password: {{ randAlphaNum 16 | quote }}}\n",
			}), "charts/web/values.yaml", strings.Replace(created, `tag: ""`, `tag: "`+pinned+`"`, 1),
		},
		"a template names it itself": {
			"charts/web", render.Release{}, with(chart("charts/web", created), map[string]string{
				"charts/web/templates/deployment.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n  - {name: a, image: \"ghcr.io/acme/web:1.0.0\"}\n", "charts/web/values.yaml": "a: 1\n",
			}), "charts/web/templates/deployment.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n  - {name: a, image: \"ghcr.io/acme/web:" + pinned + "\"}\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			digest := "sha256:" + strings.Repeat("2", 64)
			f := manifest.Folder{FS: tree(c.files), Path: c.path, Helm: c.helm}
			image := events.Image{Repository: events.ImageRepository{Host: "ghcr.io", Path: "acme/web"}, Tag: "1.1.0", Digest: digest}
			files, err := f.Promote(t.Context(), []events.Image{image})
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(c.want, "DIGEST", digest)
			if len(files) != 1 || string(files[c.file]) != want {
				t.Fatalf("files %v, want %s:\n%s", slices.Collect(maps.Keys(files)), c.file, want+"\nis\n"+string(files[c.file]))
			}
			// Once more changes nothing.
			again, err := manifest.Folder{FS: manifest.Overlay(f.FS, files), Path: c.path, Helm: c.helm}.Promote(t.Context(), []events.Image{image})
			if err != nil || len(again) != 0 {
				t.Errorf("again: %v, %v", again, err)
			}
		})
	}
}

func TestWhatAChartCantSafelySetIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		path  string
		helm  render.Release
		files map[string]string
		want  string
	}{
		"the application's own values": {
			"envs/prod",
			render.Release{Chart: "../../charts/web", ValuesFiles: []string{"v.yaml"}, Values: map[string]any{"image": map[string]any{"tag": "1.0.0"}}},
			with(chart("charts/web", created), map[string]string{"envs/prod/v.yaml": "image: {tag: 1.0.0}\n"}),
			"spec.source.helm.values of the application sets image.tag",
		},
		"a file of another folder above": {
			"envs/prod",
			render.Release{Chart: "../../charts/web", ValuesFiles: []string{"v.yaml", "../b.yaml"}},
			with(chart("charts/web", created), map[string]string{"envs/prod/v.yaml": "image: {tag: 1.0.0}\n", "envs/b.yaml": "image: {tag: 1.0.0}\n"}),
			"envs/b.yaml sets image.tag",
		},
		"no file inside the path": {
			"envs/prod",
			render.Release{Chart: "../../charts/web"},
			with(chart("charts/web", created), map[string]string{"envs/prod/x.txt": "x"}),
			"in which there is no values file over it: set it in one that helm.valuesFiles names last",
		},
		"a template that makes it up": {
			"charts/web", render.Release{}, with(chart("charts/web", created), map[string]string{
				"charts/web/templates/deployment.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n  - {name: a, image: \"ghcr.io/acme/web:{{ .Chart.Version }}\"}\n",
			}), "would stay at 0.1.0",
		},
		"a value that does more": {
			"charts/web", render.Release{}, with(chart("charts/web", created), map[string]string{
				"charts/web/templates/deployment.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: x, labels: {v: {{ .Values.image.tag | default \"none\" | trunc 5 | quote }}}}\nspec:\n  containers:\n  - {name: a, image: \"{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}\"}\n",
			}), "the edit would change more than references",
		},
		"two documents": {
			"charts/web", render.Release{ValuesFiles: []string{"v.yaml"}}, with(chart("charts/web", created), map[string]string{"charts/web/v.yaml": "image: {tag: 1.0.0}\n---\na: 1\n"}), "v.yaml",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := manifest.Folder{FS: tree(c.files), Path: c.path, Helm: c.helm}
			image := events.Image{Repository: events.ImageRepository{Host: "ghcr.io", Path: "acme/web"}, Tag: "1.1.0", Digest: digestOne}
			files, err := f.Promote(t.Context(), []events.Image{image})
			if err == nil || !errors.Is(err, manifest.ErrUnsafe) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v, want an error that says %q", files, err, c.want)
			}
		})
	}
}
