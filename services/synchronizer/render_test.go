package synchronizer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/synchronizer"
	"github.com/slipway-cd/slipway/shared/render"
)

// tree is a folder, and what writes a file in it.
func tree(t *testing.T) (root string, write func(name, text string) string) {
	t.Helper()
	root = t.TempDir()
	return root, func(name, text string) string {
		t.Helper()
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
}

func TestMain(m *testing.M) {
	render.Child()
	m.Run()
}

func TestRenderOffline(t *testing.T) {
	t.Parallel()
	root, write := tree(t)
	write(".git/HEAD", "ref: refs/heads/main\n")
	write("base/cm.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n")
	write("base/kustomization.yaml", "resources: [cm.yaml]\n")
	write("app/kustomization.yaml", "namePrefix: x-\nresources: [../base]\n")
	write("plain/b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b} # as it is\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}")
	file := write("clusters/app.yaml", "apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: app, namespace: shop}\nspec:\n  source: {repository: https://h/a/b, branch: main, path: app}\n")
	for name, tt := range map[string]struct {
		options synchronizer.RenderOptions
		want    string
	}{
		"an Application by its file": {synchronizer.RenderOptions{Application: file}, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x-a\n"},
		"a folder": {
			synchronizer.RenderOptions{Path: filepath.Join(root, "plain")},
			"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b} # as it is\n",
		},
	} {
		var out strings.Builder
		if err := synchronizer.Render(t.Context(), tt.options, &out); err != nil || out.String() != tt.want {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
	wrong := write("clusters/wrong.yaml", "apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: app, namespace: shop}\nspec:\n  source: {repository: https://h/a/b, branch: main, path: app}\n  health: [{kind: A, group: x.io, healthy: state.ready}]\n")
	if err := synchronizer.Render(t.Context(), synchronizer.RenderOptions{Application: wrong}, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), "wrong.yaml: spec.health[0].healthy: ") {
		t.Errorf("a wrong rule: %v", err)
	}
	for _, bad := range []synchronizer.RenderOptions{{}, {Path: "a", Application: "b"}, {Path: filepath.Join(root, "none")}} {
		if synchronizer.Render(t.Context(), bad, &strings.Builder{}) == nil {
			t.Errorf("%+v is no error", bad)
		}
	}
}

// What the root replaces in an Application's own file is in it before it is read.
func TestRenderWithWhatTheRootReplaces(t *testing.T) {
	t.Parallel()
	_, write := tree(t)
	write(".git/HEAD", "ref: refs/heads/main\n")
	write("chart/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n")
	write("chart/templates/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  host: {{ .Values.host | b64enc }}\n  script: echo ${HOME}\n")
	file := write("web.yaml", "apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: web, namespace: shop}\nspec:\n  source: {repository: https://h/a/b, branch: main, path: chart, helm: {values: {host: \"www.${DOMAIN}\"}}}\n")
	vars := write("vars.env", "DOMAIN=example.com\n")
	var out strings.Builder
	err := synchronizer.Render(t.Context(), synchronizer.RenderOptions{Application: file, RootVars: vars}, &out)
	if err != nil || !strings.Contains(out.String(), "host: d3d3LmV4YW1wbGUuY29t\n") || !strings.Contains(out.String(), "script: echo ${HOME}\n") {
		t.Errorf("%v\n%s", err, out.String())
	}
	none := write("none.env", "OTHER=a\n")
	if err := synchronizer.Render(t.Context(), synchronizer.RenderOptions{Application: file, RootVars: none}, &out); err == nil || !strings.Contains(err.Error(), "DOMAIN") || !strings.Contains(err.Error(), "web.yaml:5") {
		t.Errorf("a variable that the root hasn't: %v", err)
	}
}

func TestRenderWithVariables(t *testing.T) {
	t.Parallel()
	root, write := tree(t)
	write(".git/HEAD", "ref: refs/heads/main\n")
	const raw = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: ${A}\n  b: x${B}\n"
	write("app/a.yaml", raw)
	application := func(substitute string) string {
		return write("clusters/"+substitute+".yaml", "apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: app, namespace: shop}\nspec:\n  source: {repository: https://h/a/b, branch: main, path: app}\n"+substitute+"\n")
	}
	plain, open := application(""), application("  substitute: {vars: {A: own}, from: [{configMap: c}]}")
	lines := write("vars.env", "# a comment\r\n\r\nA='given'\r\nexport B=1=2 #3\r\n")
	mapping := write("vars.yaml", "# a comment\nA: given\nB: \"1=2 #3\"\n")
	want := strings.NewReplacer("${A}", "given", "x${B}", `"x1=2 #3"`).Replace(raw)
	for name, tt := range map[string]struct {
		options     synchronizer.RenderOptions
		want, fault string
	}{
		"none":                     {synchronizer.RenderOptions{Path: filepath.Join(root, "app")}, raw, ""},
		"none for an Application":  {synchronizer.RenderOptions{Application: plain}, raw, ""},
		"lines":                    {synchronizer.RenderOptions{Path: filepath.Join(root, "app"), Vars: lines}, want, ""},
		"a mapping":                {synchronizer.RenderOptions{Path: filepath.Join(root, "app"), Vars: mapping}, want, ""},
		"the Application's win":    {synchronizer.RenderOptions{Application: open, Vars: mapping}, strings.Replace(want, "given", "own", 1), ""},
		"one that isn't there":     {synchronizer.RenderOptions{Application: open}, "", "app/a.yaml:6: ConfigMap a: data.b: variable B has no value"},
		"no assignment":            {synchronizer.RenderOptions{Application: open, Vars: write("1", "A=b\n\nB\n")}, "", "1:3: the line is not KEY=VALUE"},
		"no name":                  {synchronizer.RenderOptions{Application: open, Vars: write("2", "A=b\nB-C=d")}, "", `2:2: "B-C" is not a variable's name`},
		"twice":                    {synchronizer.RenderOptions{Application: open, Vars: write("3", "A=b\nA=d")}, "", "3:2: A is there twice, also in line 1"},
		"a number in YAML":         {synchronizer.RenderOptions{Application: open, Vars: write("4", "A: x\nB: 8080")}, "", `4:2: B: "8080" must be a string (put it in quotes)`},
		"neither":                  {synchronizer.RenderOptions{Application: open, Vars: write("5", "[a]")}, "", "variables are KEY=VALUE, one a line, or a YAML mapping"},
		"a file that isn't there":  {synchronizer.RenderOptions{Application: open, Vars: filepath.Join(root, "none")}, "", "no such file"},
		"a file without any":       {synchronizer.RenderOptions{Path: filepath.Join(root, "app"), Vars: write("6", "# none\n")}, "", "variable A has no value"},
		"a name that YAML allows":  {synchronizer.RenderOptions{Application: open, Vars: write("7", "a-b: c")}, "", `"a-b" is not a variable's name`},
		"a value with a colon":     {synchronizer.RenderOptions{Application: open, Vars: write("8", "B=http://h/?a=b")}, strings.NewReplacer("${A}", "own", "${B}", "http://h/?a=b").Replace(raw), ""},
		"a YAML value with equals": {synchronizer.RenderOptions{Application: open, Vars: write("9", "B: a=b")}, strings.NewReplacer("${A}", "own", "${B}", "a=b").Replace(raw), ""},
	} {
		var out strings.Builder
		err := synchronizer.Render(t.Context(), tt.options, &out)
		if tt.fault == "" && (err != nil || out.String() != tt.want) || tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)) {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
}

func TestRenderWithValuesOfTheCluster(t *testing.T) {
	t.Parallel()
	root, write := tree(t)
	write(".git/HEAD", "ref: refs/heads/main\n")
	write("app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n")
	write("app/templates/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  a: {{ required \"no site\" .Values.site }}\n  b: {{ .Values.b }}\n")
	file := write("clusters/app.yaml", "apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: app, namespace: shop}\nspec:\n  source: {repository: https://h/a/b, branch: main, path: app, helm: {valuesFrom: [{secret: s}], values: {b: own}}}\n")
	one, two := write("one.yaml", "\xef\xbb\xbfsite: one\nb: one\n"), write("two.yaml", "site: two\n")
	for name, tt := range map[string]struct {
		options     synchronizer.RenderOptions
		want, fault string
	}{
		"none":           {synchronizer.RenderOptions{Application: file}, "", "no site (what the chart takes from the cluster by valuesFrom isn't here: `slipway diff` has a cluster, and --values FILE stands in for it)"},
		"in order":       {synchronizer.RenderOptions{Application: file, Values: []string{one, two}}, "a: two\n  b: own\n", ""},
		"of a folder":    {synchronizer.RenderOptions{Path: filepath.Join(root, "app"), Values: []string{one}}, "a: one\n  b: one\n", ""},
		"no file":        {synchronizer.RenderOptions{Application: file, Values: []string{"none.yaml"}}, "", "none.yaml: no such file"},
		"what is a list": {synchronizer.RenderOptions{Application: file, Values: []string{write("list.yaml", "[a]")}}, "", "list.yaml is not a YAML mapping"},
	} {
		var out strings.Builder
		err := synchronizer.Render(t.Context(), tt.options, &out)
		if tt.fault == "" && (err != nil || !strings.Contains(out.String(), tt.want)) || tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)) {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
}
