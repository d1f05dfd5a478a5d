package render_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

const podCertificate = "-----BEGIN X-----\nabc: #d\n-----END X-----"

var variables = map[string]string{
	"REGION": "eu", "PORT": "8080", "DEBUG": "true", "EMPTY": "", "TRICKY": "a: b # c", "QUOTES": `it's "so" \n`, "LIST": "[a, b]", "COMMA": "a, b",
	"LINES": podCertificate, "FILE": "from-a-file\n", "ANCHOR": "&x", "TAG": "!!int 3", "NULL": "null", "YES": "yes", "OCTAL": "0755", "DASH": "- x", "URL": "https://h:1/p?q=%20",
	"SPACE": " x ", "UNICODE": "\u0085\u2028\ufeff…", "BRACE": "}", "TEXT": "${REGION}", "MERGE": "<<",
	"q": `"`, "s": "'", "STR": "!!str 8080", "QUOTED": `"x"`,
}

func renderOne(t *testing.T, raw string, vars map[string]string) (render.Object, error) {
	t.Helper()
	got, err := render.Render(t.Context(), render.Request{FS: repo("app/a.yaml", raw), Path: "app", Vars: vars})
	if err != nil {
		return render.Object{}, err
	}
	if len(got.Objects) != 1 {
		t.Fatalf("%d objects", len(got.Objects))
	}
	return got.Objects[0], nil
}

// TestSubstitute says what becomes of each form of a value: its bytes and its
// meaning.
func TestSubstitute(t *testing.T) {
	t.Parallel()
	const head = "# ${HEAD}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n"
	for text, tt := range map[string]struct {
		bytes string
		value any // of data.k
	}{
		"  k: ${REGION} # ${X}":    {"  k: eu # ${X}", "eu"},
		"  k: x-${REGION}-y":       {"  k: x-eu-y", "x-eu-y"},
		"  k:   ${PORT}":           {"  k:   8080", int64(8080)},
		"  k: \"${PORT}\"":         {`  k: "8080"`, "8080"},
		"  k: '${PORT}'":           {`  k: '8080'`, "8080"},
		"  k: ${PORT:=1}":          {"  k: 8080", int64(8080)},
		"  k: ${NONE:=1.5}":        {"  k: 1.5", 1.5},
		"  k: 1${EMPTY}":           {`  k: "1"`, "1"}, // only a lone variable takes another type
		"  k: ${EMPTY}${PORT}":     {`  k: "8080"`, "8080"},
		"  k: ${DEBUG}":            {"  k: true", true},
		"  k: ${YES}":              {"  k: yes", true},
		"  k: '${YES}'":            {"  k: 'yes'", "yes"},
		"  k: ${OCTAL}":            {"  k: 0755", int64(493)},
		"  k: ${NULL}":             {"  k: null", nil},
		"  k: ${EMPTY}":            {"  k: ", nil},
		"  k: \"${EMPTY}\"":        {`  k: ""`, ""},
		"  k: ${TRICKY}":           {`  k: "a: b # c"`, "a: b # c"},
		"  k: pre ${TRICKY}":       {`  k: "pre a: b # c"`, "pre a: b # c"},
		"  k: ${QUOTES}":           {`  k: it's "so" \n`, `it's "so" \n`},
		"  k: '${QUOTES}'":         {`  k: 'it''s "so" \n'`, `it's "so" \n`},
		"  k: \"${QUOTES}\"":       {`  k: "it's \"so\" \\n"`, `it's "so" \n`},
		"  k: ${LIST}":             {`  k: "[a, b]"`, "[a, b]"},
		"  k: ${COMMA}":            {"  k: a, b", "a, b"},
		"  k: [\"${COMMA}\", $$x]": {`  k: ["a, b", $x]`, []any{"a, b", "$x"}},
		"  k: ${BRACE}":            {`  k: "}"`, "}"},
		"  k: ${ANCHOR}":           {`  k: "&x"`, "&x"},
		"  k: ${TAG}":              {`  k: "!!int 3"`, "!!int 3"},
		"  k: ${DASH}":             {`  k: "- x"`, "- x"},
		"  k:\n  - ${DASH}":        {"  k:\n  - \"- x\"", []any{"- x"}},
		"  k: ${URL}":              {"  k: https://h:1/p?q=%20", "https://h:1/p?q=%20"},
		"  k: ${SPACE}":            {`  k: " x "`, " x "},
		"  k: ${FILE}.":            {"  k: from-a-file.", "from-a-file."}, // its line break is the file's
		"  k: ${LINES}":            {`  k: "-----BEGIN X-----\nabc: #d\n-----END X-----"`, podCertificate},
		"  k: '${LINES}'":          {`  k: "-----BEGIN X-----\nabc: #d\n-----END X-----"`, podCertificate},
		"  k: |\n    a ${REGION}\n\n    $${B} ${TRICKY}\n  l: x": {"  k: |\n    a eu\n\n    ${B} a: b # c\n  l: x", "a eu\n\n${B} a: b # c\n"},
		"  k: |-\n    ${LINES}\n  l: x":                          {"  k: |-\n    -----BEGIN X-----\n    abc: #d\n    -----END X-----\n  l: x", podCertificate},
		"  k: |+\n    ${REGION}\n\n  l: x":                       {"  k: |+\n    eu\n\n  l: x", "eu\n\n"},
		"  k: ${TEXT}":                                           {"  k: ${REGION}", "${REGION}"}, // a value isn't read again
		"  k: $${REGION} $REGION":                                {"  k: ${REGION} $REGION", "${REGION} $REGION"},
		"  k: \"a\\\n    ${REGION}\"":                            {`  k: "aeu"`, "aeu"},
		"  k: ü ${REGION}":                                       {"  k: ü eu", "ü eu"},
		"  {k: '${REGION}', ü: \"${PORT}\", \"z\": \"${PORT}\"}": {`  {k: 'eu', ü: "8080", "z": "8080"}`, "eu"},
		"  ${REGION}/x: y\n  k: z":                               {"  eu/x: y\n  k: z", "z"},
		"  ${PORT}: y\n  k: z":                                   {"  \"8080\": y\n  k: z", "z"},
		"  k: &a ${REGION}\n  l: *a":                             {"", "eu"}, // written anew
		"  k: !!str ${PORT}":                                     {"", "8080"},
		"  k: >\n    a ${REGION}\n    b":                         {"", "a eu b\n"},
		"  k: a\n    ${REGION}":                                  {"", "a eu"},
		"  k: ${q}${PORT}${q}":                                   {`  k: "8080"`, "8080"}, // as Flux's documents have it
		"  k: ${s}${DEBUG}${s}":                                  {`  k: "true"`, "true"},
		"  k: ${q}${REGION}${q}":                                 {"  k: eu", "eu"},
		"  k: ${q}${TRICKY}${q}":                                 {`  k: "a: b # c"`, "a: b # c"},
		"  k: '${q}${PORT}${q}'":                                 {`  k: '"8080"'`, `"8080"`},
		"  k: ${q}${PORT}${q} x":                                 {`  k: "\"8080\" x"`, `"8080" x`},
		"  k: ${q}${QUOTES}${q}":                                 {`  k: "\"it's \"so\" \\n\""`, `"it's "so" \n"`},
		"  k: x${q}${PORT}${q}":                                  {`  k: x"8080"`, `x"8080"`},
		"  k: ${QUOTED}":                                         {`  k: "\"x\""`, `"x"`}, // a value's own quotes are a part of it
		"  k: ${STR}":                                            {`  k: "8080"`, "8080"},
		"  k: \"${STR}\"":                                        {`  k: "!!str 8080"`, "!!str 8080"},
		"  k: ${UNICODE}":                                        {"", "\u0085\u2028\ufeff…"},
	} {
		o, err := renderOne(t, head+text+"\n", variables)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if want := head + tt.bytes + "\n"; tt.bytes != "" && string(o.Raw) != want {
			t.Errorf("%s: bytes\n%s", text, o.Raw)
		}
		data, _ := o.Map["data"].(map[string]any)
		if got := data["k"]; fmt.Sprintf("%T %v", got, got) != fmt.Sprintf("%T %v", tt.value, tt.value) {
			t.Errorf("%s: value %T %v", text, got, got)
		}
	}
}

func TestSubstituteLeavesAlone(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"without a variable":    "# ${A}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name:   a, labels: {'x': \"y\"}}\ndata: {a: $A, b: a$}\n",
		"disabled":              "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {slipway.dev/substitute: disabled}}\ndata: {a: \"${A:?} $${\"}\n",
		"disabled by a label":   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {slipway.dev/substitute: disabled}}\ndata: {a: \"${A}\"}\n",
		"disabled as with Flux": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {kustomize.toolkit.fluxcd.io/substitute: disabled}}\ndata: {a: \"${A}\"}\n",
	} {
		o, err := renderOne(t, text, variables)
		if err != nil || string(o.Raw) != text {
			t.Errorf("%s: %v\n%s", name, err, o.Raw)
		}
	}
	const text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: \"${A} $${B}\"}\n"
	if o, err := renderOne(t, text, nil); err != nil || string(o.Raw) != text {
		t.Errorf("without substitution: %v\n%s", err, o.Raw)
	}
}

func TestSubstituteFaults(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	vars := map[string]string{"SECRET": secret, "NAME": "b", "EMPTY": "", "NUMBER": "5", "OFF": secret}
	for name, tt := range map[string]struct{ files, faults []string }{
		"no value": {
			[]string{"app/a.yaml", "# first\n\n" + cm("a") + "---\n# second\n\n" + cm("c") + "extra:\n  deep:\n  - |\n    x\n    y ${NONE}\n  - ${NONE2^^}\n"},
			[]string{
				"app/a.yaml:20: ConfigMap c: extra.deep[0]: variable NONE has no value: set it in spec.substitute, or write a default: ${NONE:=text}",
				"app/a.yaml:21: ConfigMap c: extra.deep[1]: variable NONE2 has no value",
			},
		},
		"no expression":           {[]string{"app/a.yaml", cm("a") + "x: '${}'\n"}, []string{"app/a.yaml:6: ConfigMap a: x: ${} is not a variable"}},
		"a value that is no part": {[]string{"app/a.yaml", cm("a") + "x: '${OFF:${SECRET}}'\n"}, []string{"app/a.yaml:6: ConfigMap a: x: ${OFF:${SECRET}}: offset and length are whole numbers"}},
		"names that meet": {
			[]string{"app/a.yaml", cm("b") + "---\n" + strings.Replace(cm("x"), "name: x", "name: ${NAME}", 1)},
			[]string{"app/a.yaml:7: ConfigMap b is also in app/a.yaml:1"},
		},
		"keys that meet":   {[]string{"app/a.yaml", cm("a") + "x: {b: 1, '${NAME}': 2}\n"}, []string{"app/a.yaml:1: ", "becomes one that is there already"}},
		"an empty name":    {[]string{"app/a.yaml", strings.Replace(cm("x"), "name: x", "name: ${EMPTY}", 1)}, []string{"app/a.yaml:1: ConfigMap ${EMPTY}: after its variables are replaced it has no apiVersion, kind or name"}},
		"a number as name": {[]string{"app/a.yaml", strings.Replace(cm("x"), "name: x", "name: ${NUMBER}", 1)}, []string{"put it in quotes"}},
		"an item of a List": {
			[]string{"app/a.yaml", "\napiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(cm("a")), "\n", "\n  ") + "\n  x: ${NONE}\n"},
			[]string{"app/a.yaml:2: ConfigMap a: x: variable NONE"},
		},
		"a kustomization": {
			[]string{"app/kustomization.yaml", "resources: [a.yaml]\n", "app/a.yaml", cm("a") + "x: ${NONE}\n"},
			[]string{"app/a.yaml:6: ConfigMap a: x: variable NONE has no value"},
		},
		"a kustomization with several": {
			[]string{
				"app/kustomization.yaml", "resources: [a.yaml, ../base]\n", "app/a.yaml", cm("a") + "x: $${NONE} ${NONE:=x} ${NONE2:=y}\n",
				"base/kustomization.yaml", "resources: [b.yaml, c.yaml]\n", "base/b.yaml", cm("b") + "x: ${NONE:=}\ny: ${NONE^^}\n", "base/c.yaml", cm("c") + "\nz: ${NONE}\n",
			},
			[]string{"base/b.yaml:7: ConfigMap b: y: variable NONE has no value", "base/c.yaml:7: ConfigMap c: z: variable NONE has no value"},
		},
		"a chart": {
			[]string{"app/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n", "app/templates/a.yaml", cm("a") + "x: ${NONE}\n"},
			[]string{"app/templates/a.yaml:6: ConfigMap a: x: variable NONE has no value"},
		},
	} {
		result, err := render.Render(t.Context(), render.Request{FS: repo(tt.files...), Path: "app", Vars: vars})
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range tt.faults {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got\n%v\nwant %s", name, err, want)
			}
		}
		if strings.Contains(err.Error(), secret) || result.Objects != nil {
			t.Errorf("%s: tells a value, or gives objects: %v", name, err)
		}
		if _, ok := errors.AsType[*render.Error](err); !ok {
			t.Errorf("%s: %T", name, err)
		}
	}
}

func TestSubstituteIdentityAndOrder(t *testing.T) {
	t.Parallel()
	files := repo("app/a.yaml", cm("${A}")+"---\napiVersion: v1\nkind: ${K}\nmetadata: {name: nn}\n---\napiVersion: slipway.dev/v1alpha1\nkind: ${H}\nmetadata: {name: nn}\n")
	got, err := render.Render(t.Context(), render.Request{FS: files, Path: "app", Vars: map[string]string{"A": "x", "K": "Namespace", "H": "Hold"}})
	if want := []string{"Namespace nn", "ConfigMap x"}; err != nil || fmt.Sprint(names(got.Objects)) != fmt.Sprint(want) {
		t.Errorf("%v: %q", err, names(got.Objects))
	}
}

func TestSubstituteLenient(t *testing.T) {
	t.Parallel()
	got, err := render.Render(t.Context(), render.Request{
		FS: repo("app/a.yaml", cm("a")+"x: ${A}/${B}\n"), Path: "app", Vars: map[string]string{"A": "x"}, Lenient: true,
	})
	if err != nil || got.Objects[0].Map["x"] != "x/${B}" {
		t.Errorf("%v: %v", err, got.Objects)
	}
}

func TestApplicationVars(t *testing.T) {
	t.Parallel()
	app := &api.Application{}
	if r := render.Application(repo(), app); r.Vars != nil || strings.Contains(r.Key(), "\x00") {
		t.Errorf("%+v", r)
	}
	app.Spec.Substitute = &api.Substitute{}
	empty := render.Application(repo(), app)
	app.Spec.Substitute.Vars = map[string]string{"A": "x"}
	one := render.Application(repo(), app)
	if empty.Vars == nil || one.Vars["A"] != "x" || empty.Key() == one.Key() {
		t.Errorf("%+v %+v", empty, one)
	}
}

// FuzzSubstitute: no panic; what comes out is YAML of the same structure, whose
// Raw is what Map is; without a $ nothing changes.
func FuzzSubstitute(f *testing.F) {
	for _, text := range []string{
		"a: ${V}", "a: [${V}, '${V}', \"${V}\"]", "a: |\n  ${V}\n  b\nc: {d: ${V}}", "a: >-\n  ${V}\n\n  b", "a: &x ${V}\nb: *x", "${V}: a", "a:\n- ${V}\n- b: ${V}", "a: |2\n   ${V}", "a: ${V} b\n  c", "a: !!str ${V}", "? ${V}\n: b", "a: \"\\u0024{V}\"", "a: b\r\nc: ${V}\r\n", "a: {<<: {b: ${V}}}",
	} {
		for _, value := range []string{"x", "true", "a: b", "a\nb", "#", "- a", "}", "'", "\u2028", "", "<<", " ", "|", "\t"} {
			f.Add(text, value)
		}
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		const head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
		request := render.Request{FS: repo("app/a.yaml", head+text), Path: "app"}
		before, err := render.Render(t.Context(), request)
		if err != nil {
			return
		}
		request.Vars = map[string]string{"V": value}
		after, err := render.Render(t.Context(), request)
		if err != nil {
			if len(value) > 8 && strings.Contains(err.Error(), value) && !strings.Contains(head+text, value) {
				t.Fatalf("the error tells the value: %v", err)
			}
			return
		}
		if len(before.Objects) != len(after.Objects) {
			return // it may have become, or ceased to be, one that is left out
		}
		for i, o := range after.Objects {
			if !strings.Contains(text, "$") && !bytes.Equal(o.Raw, before.Objects[i].Raw) {
				t.Fatalf("without a variable it became\n%s", o.Raw)
			}
			var parsed map[string]any
			if err := yaml.Unmarshal(o.Raw, &parsed); err != nil {
				t.Fatalf("%v\n%s", err, o.Raw)
			}
			if a, b := shape(before.Objects[i].Map), shape(o.Map); a != b {
				t.Fatalf("%q in\n%s\nmakes\n%s\n%s became %s", value, text, o.Raw, a, b)
			}
		}
	})
}

// shape is the structure without scalars and keys.
func shape(v any) string {
	switch v := v.(type) {
	case map[string]any:
		counts := map[string]int{}
		for _, value := range v {
			counts[shape(value)]++
		}
		return fmt.Sprint("map", counts)
	case []any:
		text := "["
		for _, item := range v {
			text += shape(item) + " "
		}
		return text + "]"
	}
	return "."
}
