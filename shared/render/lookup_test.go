package render_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/slipway-cd/slipway/shared/render"
)

// cluster answers from a map, and counts.
type cluster struct {
	objects map[render.Lookup]string // JSON
	fault   error
	asked   int
	// strangers says that nothing of it is the chart's own.
	strangers bool
}

func (c *cluster) Lookup(ctx context.Context, q render.Lookup) (map[string]any, error) {
	if c.asked++; c.fault != nil {
		return nil, c.fault
	}
	text, ok := c.objects[q]
	if !ok {
		return nil, ctx.Err()
	}
	var found map[string]any
	return found, json.Unmarshal([]byte(text), &found)
}

// Own is everything but what is somebody's.
func (c *cluster) Own(object map[string]any) bool {
	meta, _ := object["metadata"].(map[string]any)
	return !c.strangers && object["kind"] != "SecretList" && object["kind"] != "NodeList" && meta["name"] != "foreign"
}

func (c *cluster) Capabilities(context.Context) (render.Capabilities, error) {
	return render.Capabilities{Version: "v1.36.2-x", Major: "1", Minor: "36", APIVersions: []string{"v1", "example.com/v1/Book"}}, c.fault
}

func password(namespace, name string) render.Lookup {
	return render.Lookup{APIVersion: "v1", Kind: "Secret", Namespace: namespace, Name: name}
}

const hunter = "hunter2-and-more"

// kept is a Secret as the API server gives it.
func kept(value string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"pw","namespace":"shop"},"data":{"password":%q}}`, base64.StdEncoding.EncodeToString([]byte(value)))
}

// keeps is the chart that charts with passwords are: it keeps what is there.
func keeps() fstest.MapFS {
	return repo(
		"web/Chart.yaml", chartYAML,
		"web/templates/pw.yaml", "{{ $old := lookup \"v1\" \"Secret\" .Release.Namespace \"pw\" }}\napiVersion: v1\nkind: Secret\nmetadata: {name: pw}\ndata:\n  password: {{ if $old }}{{ $old.data.password }}{{ else }}{{ randAlphaNum 24 | b64enc }}{{ end }}\n",
		"web/templates/cm.yaml", cmOf("plain", "  a: b\n"),
	)
}

func looking(files fstest.MapFS, c render.Cluster) render.Request {
	return render.Request{FS: files, Path: "web", Helm: render.Release{Namespace: "shop"}, Cluster: c}
}

func find(t *testing.T, result render.Result, name string) render.Object {
	t.Helper()
	for _, o := range result.Objects {
		if o.Name == name {
			return o
		}
	}
	t.Fatalf("%s is not among %d objects", name, len(result.Objects))
	return render.Object{}
}

func TestAChartKeepsWhatItMadeUp(t *testing.T) {
	t.Parallel()
	none := &cluster{}
	first, err := render.Render(t.Context(), looking(keeps(), none))
	if err != nil {
		t.Fatal(err)
	}
	if pw := find(t, first, "pw"); !pw.Varies || !first.Asked || none.asked != 1 {
		t.Errorf("what is made up: varies %v, asked %v %d times", pw.Varies, first.Asked, none.asked)
	}
	there := &cluster{objects: map[render.Lookup]string{password("shop", "pw"): kept(hunter)}}
	second, err := render.Render(t.Context(), looking(keeps(), there))
	if err != nil {
		t.Fatal(err)
	}
	pw := find(t, second, "pw")
	if data, _ := pw.Map["data"].(map[string]any); data["password"] != base64.StdEncoding.EncodeToString([]byte(hunter)) {
		t.Errorf("the password is %v", data)
	}
	if !pw.Varies || find(t, second, "plain").Varies {
		t.Error("what a chart makes up is no longer known for that once it is there")
	}
	// It is the same for one that is there and isn't known to be its own yet.
	foreign := &cluster{objects: there.objects, strangers: true}
	if third, err := render.Render(t.Context(), looking(keeps(), foreign)); err != nil || !find(t, third, "pw").Varies || find(t, third, "plain").Varies {
		t.Errorf("what a chart makes up is not known before it has made it, %v", err)
	}
	without, err := render.Render(t.Context(), looking(keeps(), nil))
	if err != nil || without.Asked {
		t.Errorf("without a cluster it asked: %v, %v", without.Asked, err)
	}
}

// What a chart makes only where it is missing isn't gone from Git once it is
// there.
func TestAChartLeavesOutWhatIsThere(t *testing.T) {
	t.Parallel()
	files := repo(
		"web/Chart.yaml", chartYAML,
		"web/templates/pw.yaml", "{{ if not (lookup \"v1\" \"Secret\" .Release.Namespace \"pw\") }}\napiVersion: v1\nkind: Secret\nmetadata: {name: pw}\ndata: {password: {{ randAlphaNum 24 | b64enc }}}\n{{ end }}",
		"web/templates/cm.yaml", cmOf("plain", "  found: {{ b64dec (lookup \"v1\" \"Secret\" .Release.Namespace \"foreign\").data.password }}\n  all: {{ len (lookup \"v1\" \"Secret\" .Release.Namespace \"\").items }}\n"),
	)
	foreign := `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"foreign"},"data":{"password":"dHJ1ZQ=="}}`
	there := map[render.Lookup]string{
		password("shop", "foreign"): foreign,
		password("shop", ""):        `{"apiVersion":"v1","kind":"SecretList","items":[` + foreign + `]}`,
	}
	first, err := render.Render(t.Context(), looking(files, &cluster{objects: maps.Clone(there)}))
	if err != nil {
		t.Fatal(err)
	}
	if pw := find(t, first, "pw"); pw.Kept || !pw.Varies {
		t.Errorf("what isn't there is kept %v, varies %v", pw.Kept, pw.Varies)
	}
	there[password("shop", "pw")] = kept(hunter)
	there[password("shop", "")] = `{"apiVersion":"v1","kind":"SecretList","items":[` + foreign + `,` + kept(hunter) + `]}`
	second, err := render.Render(t.Context(), looking(files, &cluster{objects: there}))
	if err != nil {
		t.Fatal(err)
	}
	if pw := find(t, second, "pw"); !pw.Kept || !pw.Varies {
		t.Errorf("what is there is kept %v, varies %v", pw.Kept, pw.Varies)
	}
	if plain := find(t, second, "plain"); len(second.Objects) != 2 || plain.Kept || !strings.Contains(string(plain.Raw), "found: true\n  all: 2\n") {
		t.Errorf("%d objects, plain is %s", len(second.Objects), plain.Raw)
	}
}

// The forms of lookup, and what templates get to see: as Helm's own function
// gives it.
func TestLookupsAnswers(t *testing.T) {
	t.Parallel()
	files := repo(
		"web/Chart.yaml", chartYAML,
		"web/templates/cm.yaml", cmOf("x", strings.Join([]string{
			"  one: {{ (lookup \"v1\" \"Node\" \"\" \"a\").spec.n }} {{ kindOf (lookup \"v1\" \"Node\" \"\" \"a\").spec.n }} {{ kindOf (lookup \"v1\" \"Node\" \"\" \"a\").spec.f }}",
			"  none: {{ lookup \"v1\" \"Node\" \"\" \"b\" | toJson | quote }}",
			"  all: {{ range (lookup \"v1\" \"Node\" \"\" \"\").items }}{{ .metadata.name }}{{ end }}",
			"  kube: {{ .Capabilities.KubeVersion.Version }} {{ .Capabilities.KubeVersion.Minor }} {{ .Capabilities.APIVersions.Has \"example.com/v1/Book\" }} {{ .Capabilities.APIVersions.Has \"apps/v1\" }}",
			"",
		}, "\n")),
	)
	c := &cluster{objects: map[render.Lookup]string{
		{APIVersion: "v1", Kind: "Node", Name: "a"}: `{"apiVersion":"v1","kind":"Node","metadata":{"name":"a"},"spec":{"n":12345678901,"f":1.5}}`,
		{APIVersion: "v1", Kind: "Node"}:            `{"apiVersion":"v1","kind":"NodeList","items":[{"metadata":{"name":"a"}},{"metadata":{"name":"c"}}]}`,
	}}
	result, err := render.Render(t.Context(), looking(files, c))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"one": "12345678901 int64 float64", "none": "{}", "all": "ac", "kube": "v1.36.2-x 36 true false",
	}
	data, _ := find(t, result, "x").Map["data"].(map[string]any)
	for key, value := range want {
		if key == "one" {
			value = fmt.Sprint(value)
		}
		if got := fmt.Sprint(data[key]); strings.ReplaceAll(got, `"`, "") != value {
			t.Errorf("%s is %q, want %q", key, got, value)
		}
	}
}

func TestALookupThatFailsIsNoAbsence(t *testing.T) {
	t.Parallel()
	gone := errors.New("the API server is away")
	_, err := render.Render(t.Context(), looking(keeps(), &cluster{fault: gone}))
	fault, ok := errors.AsType[*render.Error](err)
	if !ok || fault.Reason != render.ReasonLookup || !errors.Is(err, gone) || fault.File != "web/templates/pw.yaml" || fault.Line != 1 {
		t.Errorf("it is %#v", err)
	}
}

func TestLookupsAreBounded(t *testing.T) {
	t.Parallel()
	many := repo("web/Chart.yaml", chartYAML, "web/templates/cm.yaml", cmOf("x", "{{ range $i := until 200 }}{{ $x := lookup \"v1\" \"Secret\" \"shop\" (toString $i) }}{{ end }}  a: b\n"))
	large := &cluster{objects: map[render.Lookup]string{password("shop", "pw"): kept(strings.Repeat("x", 1000))}}
	for name, c := range map[string]struct {
		files  fstest.MapFS
		limits render.Limits
		on     render.Cluster
		reason render.Reason
		words  string
	}{
		"number": {many, render.Limits{}, &cluster{}, render.ReasonTooLarge, "more than the limit of 100 things"},
		"bytes":  {keeps(), render.Limits{LookupBytes: 1000}, large, render.ReasonTooLarge, "more than the limit of 1000 bytes"},
		"time":   {keeps(), render.Limits{Time: 2 * time.Second}, &hangs{}, render.ReasonLookup, "took longer than 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := looking(c.files, c.on)
			request.Limits = c.limits
			_, err := render.Render(t.Context(), request)
			fault, ok := errors.AsType[*render.Error](err)
			if !ok || fault.Reason != c.reason || !strings.Contains(err.Error(), c.words) {
				t.Errorf("it is %v", err)
			}
		})
	}
}

// hangs never answers.
type hangs struct{ cluster }

func (*hangs) Lookup(ctx context.Context, _ render.Lookup) (map[string]any, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// What was looked up in a Secret is in no error, whatever a template does with it.
func TestWhatIsLookedUpIsNotTold(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString([]byte(hunter))
	const get = "{{ $s := (lookup \"v1\" \"Secret\" \"shop\" \"pw\") }}"
	for name, template := range map[string]string{
		"fail":        get + "{{ fail (printf \"it is %s\" (b64dec $s.data.password)) }}",
		"encoded":     get + "{{ fail (toYaml $s) }}",
		"long":        get + "{{ fail (printf \"%s%s%s\" (repeat 995 \"x\") (b64dec $s.data.password) (repeat 2000 \"y\")) }}",
		"list":        "{{ fail (toJson (lookup \"v1\" \"Secret\" \"shop\" \"\")) }}",
		"wrong type":  get + "{{ index (list 1 2) $s.data.password }}",
		"no YAML":     get + "a: {{ b64dec $s.data.password }}: [",
		"another":     get + "{{ lookup \"v1\" \"Secret\" \"shop\" (b64dec $s.data.password) }}",
		"not a thing": get + "kind: ConfigMap\napiVersion: v1\nmetadata: {name: [{{ b64dec $s.data.password }}]}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &picky{cluster{objects: map[render.Lookup]string{
				password("shop", "pw"): kept(hunter),
				password("shop", ""):   `{"apiVersion":"v1","kind":"SecretList","items":[` + kept(hunter) + `]}`,
			}}}
			result, err := render.Render(t.Context(), looking(repo("web/Chart.yaml", chartYAML, "web/templates/x.yaml", template), c))
			if err == nil {
				t.Fatalf("it renders to %v", result.Objects)
			}
			for _, told := range []string{hunter, hunter[:8], encoded, encoded[:8]} {
				if strings.Contains(err.Error(), told) {
					t.Errorf("it tells %q: %v", told, err)
				}
			}
			if hidden := result.Masks.Hide("about " + hunter + " and " + encoded); strings.Contains(hidden, "hunter2") || strings.Contains(hidden, encoded) {
				t.Errorf("a refusal of the API server would say %q", hidden)
			}
		})
	}
}

// picky refuses what it doesn't have, and says of what.
type picky struct{ cluster }

func (c *picky) Lookup(ctx context.Context, q render.Lookup) (map[string]any, error) {
	if _, ok := c.objects[q]; !ok {
		return nil, fmt.Errorf("secrets %q is forbidden", q.Name)
	}
	return c.cluster.Lookup(ctx, q)
}
