package render_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/shared/render"
)

const chartYAML = "apiVersion: v2\nname: web\nversion: 1.2.3\nappVersion: \"4.5\"\n"

// cmOf is a template of a ConfigMap whose data is given.
func cmOf(name, data string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\ndata:\n" + data
}

func merged(all ...fstest.MapFS) fstest.MapFS {
	files := fstest.MapFS{}
	for _, f := range all {
		maps.Copy(files, f)
	}
	return files
}

// below puts files into a folder.
func below(dir string, files fstest.MapFS) fstest.MapFS {
	moved := fstest.MapFS{}
	for name, f := range files {
		moved[dir+"/"+name] = f
	}
	return moved
}

// tgz packs files as `helm package` does.
func tgz(t testing.TB, files fstest.MapFS) *fstest.MapFile {
	t.Helper()
	var buf bytes.Buffer
	zip := gzip.NewWriter(&buf)
	pack := tar.NewWriter(zip)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := pack.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name].Data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := pack.Write(files[name].Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(pack.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: buf.Bytes(), Mode: 0o644}
}

type chartCase struct {
	name  string
	files fstest.MapFS
	path  string
	helm  render.Release
	args  []string // of helm template, beside those for the fields of helm
	drop  string   // in what helm prints twice and is applied once
}

// libraryChart is a chart of type library with one named template.
func libraryChart() fstest.MapFS {
	return repo(
		"Chart.yaml", "apiVersion: v2\nname: common\ntype: library\nversion: 0.1.0\n",
		"templates/_labels.tpl", "{{- define \"common.labels\" -}}\napp: {{ .Chart.Name }}\nfrom: {{ .Template.Name }}\n{{- end }}\n",
		"templates/ignored.yaml", "not: rendered\n",
	)
}

func redisChart() fstest.MapFS {
	return repo(
		"Chart.yaml", "apiVersion: v2\nname: redis\nversion: 7.0.1\n",
		"values.yaml", "size: 1\nauth:\n  user: default\n  password: null\nglobal: {region: eu}\n",
		"templates/cm.yaml", cmOf("{{ .Release.Name }}-{{ .Chart.Name }}", "  size: {{ .Values.size | quote }}\n  region: {{ .Values.global.region }}\n  auth: {{ toJson .Values.auth | quote }}\n"),
		"crds/redis.yaml", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: redis.example.com}\nspec: {group: example.com}\n",
	)
}

func chartCases(t *testing.T) []chartCase {
	t.Helper()
	plain := repo("web/Chart.yaml", chartYAML)
	with := func(pairs ...string) fstest.MapFS { return merged(plain, below("web", repo(pairs...))) }
	umbrella := merged(
		repo(
			"web/Chart.yaml", chartYAML+"dependencies:\n- {name: redis, version: \"7.x\", condition: cache.enabled, tags: [store]}\n- {name: redis, version: \">=7\", alias: queue, condition: queue.enabled}\n- {name: common, version: 0.1.0}\n",
			"web/values.yaml", "cache: {enabled: true}\nqueue: {enabled: true, size: 3}\nredis: {size: 9, auth: {user: null}}\nglobal: {region: us}\n",
			"web/templates/cm.yaml", cmOf("{{ .Release.Name }}", "  {{- include \"common.labels\" . | nindent 2 }}\n  subcharts: {{ keys .Subcharts | sortAlpha | join \",\" }}\n"),
		),
		below("web/charts/redis-7", redisChart()), // a folder of another name
		below("web/charts/common", libraryChart()),
	)
	archived := merged(repo(
		"web/Chart.yaml", chartYAML+"dependencies:\n- {name: redis, version: 7.0.1}\n",
		"web/templates/cm.yaml", cmOf("own", "  a: b\n"),
	), fstest.MapFS{"web/charts/redis-7.0.1.tgz": tgz(t, below("redis", merged(redisChart(), fstest.MapFS{"charts/deep-1.tgz": tgz(t, below("deep", repo(
		"Chart.yaml", "apiVersion: v1\nname: deep\nversion: 1.0.0\n", "templates/cm.yaml", "\ufeff"+cmOf("deep", "  chart: {{ .Chart.Name }}\n"),
	)))})))})
	return []chartCase{
		{name: "starter", files: starter(t, "web"), path: "web"},
		{name: "starter with everything", files: starter(t, "web"), path: "web", helm: render.Release{
			ReleaseName: "shop", Namespace: "prod", Values: map[string]any{
				"ingress": map[string]any{"enabled": true}, "autoscaling": map[string]any{"enabled": true}, "replicaCount": 3,
			},
		}},
		{name: "helpers, tpl and required", files: with(
			"values.yaml", "name: \"{{ .Release.Name }}-x\"\nneeded: yes\nenv: {B: 2, A: one}\n",
			"templates/_helpers.tpl", "{{- define \"web.name\" -}}{{ tpl .Values.name . | trunc 63 }}{{- end -}}\n",
			"templates/cm.yaml", cmOf("{{ include \"web.name\" . }}", "  needed: {{ required \"no needed\" .Values.needed | quote }}\n{{- range $k, $v := .Values.env }}\n  {{ $k }}: {{ $v | quote }}\n{{- end }}\n"),
		), path: "web"},
		{name: "subcharts, aliases, conditions, globals", files: umbrella, path: "web", drop: "# Source: web/charts/queue/crds/"},
		{name: "without CRDs", files: umbrella, path: "web", helm: render.Release{SkipCRDs: true}},
		{name: "a condition is false", files: umbrella, path: "web", helm: render.Release{Values: map[string]any{"cache": map[string]any{"enabled": false}}}},
		{name: "tags", files: umbrella, path: "web", helm: render.Release{Values: map[string]any{"tags": map[string]any{"store": false}, "cache": map[string]any{"enabled": nil}}}},
		{name: "a null takes a subchart's key away", files: umbrella, path: "web", helm: render.Release{Values: map[string]any{"redis": map[string]any{"auth": nil}, "queue": map[string]any{"auth": map[string]any{"user": nil}}}}, drop: "# Source: web/charts/queue/crds/"},
		{name: "archives in archives", files: archived, path: "web"},
		{name: "a packed chart", files: merged(fstest.MapFS{"apps/web-1.tgz": tgz(t, umbrella)}, repo("apps/v.yaml", "queue: {size: 5}\n")), path: "apps", helm: render.Release{
			Chart: "web-1.tgz", ValuesFiles: []string{"v.yaml"},
		}, drop: "# Source: web/charts/queue/crds/"},
		{name: "CRDs, several in a file", files: with(
			"crds/a.yaml", "---\n# first\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.example.com}\nspec: {x: \"{{ not a template }}\"}\n---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: b.example.com}\n",
			"crds/c.json", "{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\",\"metadata\":{\"name\":\"c.example.com\"}}",
			"crds/README.md", "no manifest\n",
			"templates/cr.yaml", "apiVersion: example.com/v1\nkind: A\nmetadata: {name: a}\n",
		), path: "web"},
		{name: "only CRDs", files: with("crds/a.yaml", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.example.com}\n\n\n"), path: "web"},
		{name: "files", files: with(
			".helmignore", "# ours\n*.secret\n/docs/\n", "files/a.txt", "héllo\nwörld", "files/b.bin", "\x00\xff", "files/c.secret", "no", "docs/x.md", "no",
			"templates/cm.yaml", cmOf("files", "{{ (.Files.Glob \"files/*\").AsConfig | indent 2 }}\n  get: {{ .Files.Get \"files/a.txt\" | b64enc }}\n  lines: {{ .Files.Lines \"files/a.txt\" | toJson | quote }}\n  none: {{ .Files.Get \"files/c.secret\" | quote }}\n  docs: {{ .Files.Get \"docs/x.md\" | quote }}\n")+"---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n{{ (.Files.Glob \"files/b*\").AsSecrets | indent 2 }}\n",
		), path: "web"},
		{name: "lookup, capabilities, release", files: with(
			"templates/cm.yaml", cmOf("caps", "  lookup: {{ lookup \"v1\" \"Secret\" \"a\" \"b\" | toJson | quote }}\n  dns: {{ getHostByName \"localhost\" | quote }}\n  kube: {{ .Capabilities.KubeVersion.Version }} {{ .Capabilities.KubeVersion.Major }} {{ .Capabilities.KubeVersion.Minor }} {{ .Capabilities.KubeVersion.GitVersion }}\n  apis: {{ .Capabilities.APIVersions | sortAlpha | join \",\" | quote }}\n  helm: {{ .Capabilities.HelmVersion.Version }}\n  release: {{ toJson .Release | quote }}\n  chart: {{ toJson .Chart | quote }}\n  template: {{ toJson .Template | quote }}\n  has: {{ .Capabilities.APIVersions.Has \"batch/v1\" }}\n"),
		), path: "web", helm: render.Release{ReleaseName: "r", Namespace: "n"}},
		{name: "given capabilities", files: with(
			"templates/cm.yaml", cmOf("caps", "  kube: {{ .Capabilities.KubeVersion }}\n  has: {{ .Capabilities.APIVersions.Has \"example.com/v1/Foo\" }}\n"),
		), path: "web", helm: render.Release{KubeVersion: "1.30.2-gke.1", APIVersions: []string{"example.com/v1/Foo"}}, args: []string{"--kube-version", "1.30.2-gke.1", "--api-versions", "example.com/v1/Foo"}},
		{name: "CRLF", files: with(
			"values.yaml", "a: |\r\n  one\r\n  two\r\nb: x\r\n",
			"templates/cm.yaml", strings.ReplaceAll(cmOf("crlf", "  a: {{ .Values.a | quote }}\n  {{- if .Values.b }}\n  b: {{ .Values.b }}\n  {{- end }}\n---\n"+cmOf("two", "  x: y\n")), "\n", "\r\n"),
		), path: "web"},
		{name: "empty documents, comments, white space", files: with(
			"templates/a.yaml", "\n\n---\n# a comment\n---\n\n---   \n"+cmOf("a", "  k: |+\n    text\n\n\n")+"\n\n---\n{{- if false }}\n"+cmOf("no", "  a: b\n")+"{{- end }}\n---\n"+cmOf("b", "  x: y")+"\n\n\n---\n",
			"templates/b.yaml", "{{/* nothing */}}\n   \n", "templates/c.yaml", "# only a comment\n", "templates/d.txt", cmOf("txt", "  a: b\n"),
			"templates/NOTES.txt", "notes {{ .Release.Name }}", "templates/sub/dir.yaml", "---"+cmOf("glued", "  a: b\n"), "templates/.hidden.yaml", "{{ fail \"read\" }}",
		), path: "web"},
		{name: "trailing blanks of the last", files: with("templates/a.yaml", cmOf("a", "  k: |+\n    text\n\n\n")), path: "web"},
		{name: "numbers", files: with(
			"values.yaml", "int: 42\nbig: 12345678901234567890\nmillion: 1000000\nport: 8080\nfloat: 1.50\nexp: 1e3\noctal: 0777\nneg: -0\nbool: on\nnul: ~\ndate: 2020-01-01\nversion: 1.10\nhex: 0x1F\n",
			"templates/cm.yaml", cmOf("numbers", "{{- range $k, $v := .Values }}\n  {{ $k }}: {{ $v | quote }} # {{ $v }} {{ kindOf $v }} {{ toJson $v }} {{ int64 $v }}\n{{- end }}\n"),
		), path: "web", helm: render.Release{Values: map[string]any{"million": 1e6, "inline": 12345678, "whole": int64(7), "list": []any{1, 2.5, "3", nil, true}}}},
		{name: "values files in order, outside of the path", files: merged(with(
			"values.yaml", "a: chart\nb: chart\nc: chart\nd: chart\nmap: {x: 1, y: 2}\nlist: [1, 2]\n",
			"values-prod.yaml", "c: prod\n---\nd: second document\nmap: {y: null}\n",
			"templates/cm.yaml", cmOf("v", "  v: {{ toJson .Values | quote }}\n"),
		), repo("shared/values.yaml", "b: shared\nc: shared\nlist: [3]\n")), path: "web", helm: render.Release{
			ValuesFiles: []string{"../shared/values.yaml", "values-prod.yaml"}, Values: map[string]any{"a": "inline", "map": map[string]any{"z": "3"}},
		}},
		{name: "nulls delete", files: with(
			"values.yaml", "keep: 1\ndrop: {a: 1}\nprobe:\n  http: {path: /}\n  tcp: {port: 1}\n",
			"templates/cm.yaml", cmOf("nulls", "  v: {{ toJson .Values | quote }}\n  {{- with .Values.drop }}\n  there: yes\n  {{- end }}\n"),
		), path: "web", helm: render.Release{Values: map[string]any{"drop": nil, "probe": map[string]any{"http": nil, "tcp": map[string]any{"port": nil}}}}},
		{name: "unicode", files: with(
			"values.yaml", "greeting: \"grüße 世界 🚀\"\nemoji key 🎉: x\n",
			"templates/cm.yaml", cmOf("u", "  g: {{ .Values.greeting | quote }}\n  up: {{ .Values.greeting | upper }}\n  t: {{ .Values.greeting | trunc 7 }}\n  e: {{ index .Values \"emoji key 🎉\" }}\n  nbsp: \"a\u00a0b\u2028c\"\n"),
		), path: "web"},
		{name: "hooks", files: with(
			"templates/hooks.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\n  annotations: {\"helm.sh/hook\": \"pre-install,pre-upgrade\", \"helm.sh/hook-weight\": \"-5\"}\nspec: {}\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: migrate\n  annotations:\n    helm.sh/hook: pre-install\n",
			"templates/main.yaml", cmOf("main", "  a: b\n")+"\n\n",
		), path: "web"},
		{name: "the order of kinds", files: with(
			"templates/z.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: z}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: z}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: z}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: z}\n---\napiVersion: example.com/v1\nkind: Zed\nmetadata: {name: z}\n---\napiVersion: example.com/v1\nkind: Abc\nmetadata: {name: z}\n",
			"templates/a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\n",
		), path: "web"},
		{name: "keys that are there twice", files: with(
			"templates/cm.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: twice\n  labels:\n    app: one\n    app: two\n",
		), path: "web"},
		{name: "import-values", files: merged(with(
			"Chart.yaml", chartYAML+"dependencies:\n- name: child\n  version: 1.0.0\n  import-values:\n  - data\n  - {child: other.deep, parent: imported}\n",
			"templates/cm.yaml", cmOf("imported", "  v: {{ toJson .Values | quote }}\n"),
		), below("web/charts/child", repo("Chart.yaml", "apiVersion: v2\nname: child\nversion: 1.0.0\n", "values.yaml", "exports: {data: {port: 80}}\nother: {deep: {a: 1}}\n"))), path: "web"},
		{name: "schema", files: with(
			"values.yaml", "replicas: 2\n", "values.schema.json", "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"$id\":\"https://example.com/x.json\",\"type\":\"object\",\"properties\":{\"replicas\":{\"$ref\":\"#/definitions/n\"}},\"definitions\":{\"n\":{\"type\":\"integer\"}}}",
			"templates/cm.yaml", cmOf("s", "  n: {{ .Values.replicas | quote }}\n"),
		), path: "web"},
		{name: "requirements.yaml of version 1", files: merged(repo(
			"web/Chart.yaml", "name: web\nversion: 0.1.0\n", "web/requirements.yaml", "dependencies:\n- {name: redis, version: 7.0.1, repository: \"https://example.com\"}\n",
			"web/templates/cm.yaml", cmOf("{{ .Chart.Name }}", "  a: {{ .Chart.APIVersion }}\n"),
		), below("web/charts/redis", redisChart())), path: "web"},
		{name: "sprig", files: with("templates/cm.yaml", cmOf("sprig", "  sha: {{ sha256sum \"x\" }}\n  dict: {{ dict \"a\" 1 \"b\" (list 1 2) | toJson | quote }}\n  toml: {{ dict \"a\" 1.5 | toToml | quote }}\n  yaml: |\n    {{- dict \"z\" 1 \"a\" (dict \"k\" \"v\") | toYaml | nindent 4 }}\n  from: {{ (fromYaml \"a: [1, 2]\").a | toJson | quote }}\n  reg: {{ regexReplaceAll \"a+\" \"caat\" \"o\" }}\n  semver: {{ semverCompare \">=1.20-0\" .Capabilities.KubeVersion.Version }}\n  merge: {{ mergeOverwrite (dict \"a\" 1) (dict \"a\" 2) | toJson | quote }}\n  date: {{ \"2020-01-02\" | toDate \"2006-01-02\" | date \"02.01.06\" }}\n  seq: {{ seq 1 3 }}\n  env: {{ hasKey . \"env\" }}\n")), path: "web"},
		{name: "a chart beside the path", files: merged(with("templates/cm.yaml", cmOf("x", "  v: {{ .Values.a }}\n")), repo("apps/prod/values.yaml", "a: prod\n", "apps/prod/README.md", "x")), path: "apps/prod", helm: render.Release{
			Chart: "../../web", ValuesFiles: []string{"values.yaml"},
		}},
		{name: "no template", files: with(), path: "web"},
		{name: "the whole repository is the chart", files: repo("Chart.yaml", chartYAML, "templates/cm.yaml", cmOf("root", "  a: b\n")), path: "."},
	}
}

// template runs `helm template` for a case.
func (c chartCase) template(t *testing.T) (string, error) {
	t.Helper()
	files := merged(c.files)
	args := append([]string{"template"}, c.args...)
	if c.helm.ReleaseName != "" {
		args = append(args, c.helm.ReleaseName)
	}
	args = append(args, "./"+c.path+"/"+c.helm.Chart)
	if !c.helm.SkipCRDs {
		args = append(args, "--include-crds")
	}
	if c.helm.Namespace != "" {
		args = append(args, "--namespace", c.helm.Namespace)
	}
	for _, v := range c.helm.ValuesFiles {
		args = append(args, "-f", c.path+"/"+v)
	}
	if c.helm.Values != nil {
		data, err := json.Marshal(c.helm.Values)
		if err != nil {
			t.Fatal(err)
		}
		if data, err = yaml.JSONToYAML(data); err != nil {
			t.Fatal(err)
		}
		files["inline-values.yaml"] = &fstest.MapFile{Data: data}
		if c.path == "." {
			t.Fatal("the values would lie in the chart")
		}
		args = append(args, "-f", "inline-values.yaml")
	}
	return helm(t, files, args...)
}

var separator = regexp.MustCompile(`(?m)^---[ \t]*\r?\n`)

// printed are the documents of a stream that are objects, without tests.
func printed(stream string) []string {
	var docs []string
	for _, doc := range separator.Split(stream, -1) {
		var m map[string]any
		if yaml.Unmarshal([]byte(doc), &m) == nil && m["kind"] != nil && !strings.Contains(doc, "\"helm.sh/hook\": test\n") {
			docs = append(docs, doc)
		}
	}
	return docs
}

func TestRenderHelmEqualsTheTool(t *testing.T) {
	t.Parallel()
	for _, c := range chartCases(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := c.template(t)
			if err != nil {
				t.Fatal(err)
			}
			got, err := render.Render(t.Context(), render.Request{FS: c.files, Path: c.path, Helm: c.helm})
			if err != nil {
				t.Fatal(err)
			}
			want := printed(out)
			if c.drop != "" {
				want = slices.DeleteFunc(want, func(doc string) bool { return strings.Contains(doc, c.drop) })
			}
			for _, o := range got.Objects {
				i := slices.Index(want, string(o.Raw))
				if i < 0 {
					t.Errorf("%s is not byte-equal:\n%q\nof\n%q", o.ID, o.Raw, want)
					continue
				}
				want = slices.Delete(want, i, i+1)
				if _, err := fs.Stat(c.files, o.File); err != nil {
					t.Errorf("%s is said to come from %s: %v", o.ID, o.File, err)
				}
			}
			if len(want) > 0 {
				t.Errorf("not rendered: %q", want)
			}
			if got.Kind != render.Helm {
				t.Errorf("kind %q", got.Kind)
			}
			if !slices.IsSortedFunc(got.Objects, func(a, b render.Object) int { return a.Stage() - b.Stage() }) {
				t.Errorf("not in apply order: %q", names(got.Objects))
			}
		})
	}
}
