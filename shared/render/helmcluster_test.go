package render_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/shared/render"
)

// showChart prints its values as JSON.
func showChart() fstest.MapFS {
	return repo(
		"Chart.yaml", chartYAML,
		"values.yaml", "from: chart\nlist: [one, two]\nmap: {a: 1, b: 2}\n",
		"files.yaml", "from: file\nlist: [three, four]\n",
		"templates/a.yaml", cmOf("a", "  v: {{ toJson .Values | quote }}\n"),
	)
}

func TestValuesOfTheClusterAreMerged(t *testing.T) {
	t.Parallel()
	mapping := func(text string) render.ClusterValues { return render.ClusterValues{Name: "m", Text: text} }
	at := func(path, text string) render.ClusterValues {
		return render.ClusterValues{Name: "p", Text: text, TargetPath: path}
	}
	literal := func(path, text string) render.ClusterValues {
		v := at(path, text)
		v.Literal = true
		return v
	}
	for name, tt := range map[string]struct {
		from   []render.ClusterValues
		values map[string]any
		args   []string // of helm template, which gives the same
	}{
		"over files, below values": {
			[]render.ClusterValues{mapping("from: cluster\nmap: {b: 3}\n"), mapping("map: {c: 4}\nlist: []\n")},
			map[string]any{"map": map[string]any{"c": 5}},
			[]string{"--set", "from=cluster,map.b=3,map.c=5", "--set-json", "list=[]"},
		},
		"a path":                        {[]render.ClusterValues{at("map.a", "x")}, nil, []string{"--set", "map.a=x"}},
		"a number":                      {[]render.ClusterValues{at("map.a", "80")}, nil, []string{"--set", "map.a=80"}},
		"a number with a fraction":      {[]render.ClusterValues{at("map.a", "1.50")}, nil, []string{"--set", "map.a=1.50"}},
		"a leading zero":                {[]render.ClusterValues{at("map.a", "007")}, nil, []string{"--set", "map.a=007"}},
		"a boolean":                     {[]render.ClusterValues{at("map.a", "true")}, nil, []string{"--set", "map.a=true"}},
		"null":                          {[]render.ClusterValues{at("map.a", "null")}, nil, []string{"--set", "map.a=null"}},
		"nothing":                       {[]render.ClusterValues{at("map.a", "")}, nil, []string{"--set", "map.a="}},
		"quotes":                        {[]render.ClusterValues{at("map.a", `"80"`), at("map.b", "'true'")}, nil, []string{"--set-string", "map.a=80,map.b=true"}},
		"a quote":                       {[]render.ClusterValues{at("map.a", `"`), at("map.b", `"x'`)}, nil, []string{"--set", `map.a=",map.b="x'`}},
		"commas, braces, backslashes":   {[]render.ClusterValues{at("map.a", `{a,b=c}\,`)}, nil, []string{"--set", `map.a=\{a\,b=c}\\\,`}},
		"lines":                         {[]render.ClusterValues{at("map.a", "a\nb\n")}, nil, []string{"--set", "map.a=a\nb\n"}},
		"literal":                       {[]render.ClusterValues{literal("map.a", `"80"`), literal("map.b", "{1,2}")}, nil, []string{"--set-literal", `map.a="80"`, "--set-literal", "map.b={1,2}"}},
		"dots in a name":                {[]render.ClusterValues{at(`map.a\.b`, "x")}, nil, []string{"--set", `map.a\.b=x`}},
		"lists":                         {[]render.ClusterValues{at("list[1]", "x"), at("new[0].a[1]", "y")}, nil, []string{"--set", "list[1]=x,new[0].a[1]=y"}},
		"a path is over values":         {[]render.ClusterValues{at("map.a", "x"), mapping("map: {b: z}")}, map[string]any{"map": map[string]any{"a": ""}, "list": []any{"v", "w"}}, []string{"--set", "map.a=x,map.b=z", "--set", "list={v,w}"}},
		"a path into a list of values":  {[]render.ClusterValues{at("env[1].value", "x")}, map[string]any{"env": []any{map[string]any{"name": "a"}, map[string]any{"name": "b"}}}, []string{"--set-json", `env=[{"name":"a"},{"name":"b","value":"x"}]`}},
		"a mapping with nothing in it":  {[]render.ClusterValues{mapping("# none\n"), mapping("")}, nil, nil},
		"a later path is over a former": {[]render.ClusterValues{at("map", "x"), at("map", "y")}, nil, []string{"--set", "map=y"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := render.Render(t.Context(), render.Request{FS: showChart(), Helm: render.Release{ValuesFiles: []string{"files.yaml"}, ValuesFrom: tt.from, Values: tt.values}})
			if err != nil {
				t.Fatal(err)
			}
			want, err := helm(t, showChart(), append([]string{"template", ".", "-f", "files.yaml"}, tt.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			if got := "---\n" + string(result.Objects[0].Raw); got != want {
				t.Errorf("got\n%s\nhelm prints\n%s", got, want)
			}
		})
	}
}

func TestValuesOfTheClusterAreHeld(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		values render.ClusterValues
		fault  string // empty: none
	}{
		"a mapping":              {render.ClusterValues{Text: "a: b\n---\nc: d\n"}, ""},
		"nothing":                {render.ClusterValues{}, ""},
		"a list":                 {render.ClusterValues{Text: "[hunter2]"}, "is not a YAML mapping (one value needs a targetPath)"},
		"a text":                 {render.ClusterValues{Text: "hunter2"}, "is not a YAML mapping"},
		"a later text":           {render.ClusterValues{Text: "a: b\n---\nhunter2"}, "is not a YAML mapping"},
		"no YAML":                {render.ClusterValues{Text: "a: b\nc: hunter2: d\n"}, "is not YAML, from line 2 on"},
		"no text":                {render.ClusterValues{Text: "\xff"}, "is not text"},
		"any text at a path":     {render.ClusterValues{Text: "a: b: c", TargetPath: `a.b[2][0].c\.d\,e`}, ""},
		"two paths":              {render.ClusterValues{TargetPath: "a=b,c"}, `targetPath "a=b,c" is not a path as`},
		"a path with a value":    {render.ClusterValues{TargetPath: "a=b"}, `targetPath "a=b" is not`},
		"a comma":                {render.ClusterValues{TargetPath: "a,b"}, "is not a path"},
		"a name that is nothing": {render.ClusterValues{TargetPath: "a..b"}, "is not a path"},
		"a dot first":            {render.ClusterValues{TargetPath: ".a"}, "is not a path"},
		"a dot last":             {render.ClusterValues{TargetPath: "a."}, "is not a path"},
		"a list of nothing":      {render.ClusterValues{TargetPath: "[0]"}, "is not a path"},
		"no index":               {render.ClusterValues{TargetPath: "a[b]"}, "is not a path"},
		"a negative index":       {render.ClusterValues{TargetPath: "a[-1]"}, "is not a path"},
		"an index that is large": {render.ClusterValues{TargetPath: "a[65537]"}, "is not a path"},
		"an open bracket":        {render.ClusterValues{TargetPath: "a[0"}, "is not a path"},
		"an escape at the end":   {render.ClusterValues{TargetPath: `a\`}, "is not a path"},
	} {
		err := tt.values.Check()
		if tt.fault == "" && err != nil || tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)) || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", name, err, tt.fault)
		}
	}
}

func TestAPathThatDoesNotFitIsTold(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"from.a": `valuesFrom[0]: targetPath "from.a" goes through a value that is no mapping, or no list`,
		"map[0]": `targetPath "map[0]" goes through`,
		"list.a": `targetPath "list.a" goes through`,
		"a=b":    `targetPath "a=b" is not a path`,
	} {
		_, err := render.Render(t.Context(), render.Request{FS: showChart(), Helm: render.Release{
			ValuesFiles: []string{"files.yaml"}, Values: map[string]any{"map": map[string]any{"a": 1}},
			ValuesFrom: []render.ClusterValues{{Name: "valuesFrom[0]", Text: "hunter2", TargetPath: path}},
		}})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestValuesOfSecretsAreToldNowhere(t *testing.T) {
	t.Parallel()
	files := repo("Chart.yaml", chartYAML, "templates/a.yaml", "{{ fail (printf \"%s %v %s\" .Values.password .Values.pin .Values.token) }}\n")
	result, err := render.Render(t.Context(), render.Request{FS: files, Helm: render.Release{ValuesFrom: []render.ClusterValues{
		{Name: "a", Text: "password: hunter2\npin: 12345678\n", Secret: true},
		{Name: "b", Text: `"to,ken"`, TargetPath: "token", Secret: true},
	}}})
	if err == nil || !strings.Contains(err.Error(), "(a secret value) (a secret value) (a secret value)") {
		t.Errorf("it is told: %v", err)
	}
	for _, text := range []string{"hunter2", "12345678", "to,ken"} {
		if hidden := result.Masks.Hide("x " + text); strings.Contains(hidden, text) {
			t.Errorf("%s", hidden)
		}
	}
	long := repo("Chart.yaml", chartYAML, "templates/a.yaml", "{{ fail (printf \"%s %s\" (repeat 1000 \"x\") (repeat 200 .Values.password)) }}\n")
	_, err = render.Render(t.Context(), render.Request{FS: long, Helm: render.Release{ValuesFrom: []render.ClusterValues{{Text: "password: hunter2-hunter3-hunter4\n", Secret: true}}}})
	if err == nil || strings.Contains(err.Error(), "hunter") || !strings.Contains(err.Error(), "more words than can be shown") {
		t.Errorf("a part of it is told: %v", err)
	}
}
