package sync

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/render"
)

func object(kind, name string, data map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name, "namespace": "shop", "uid": "u-" + name, "resourceVersion": "7"}, "data": data,
	}}
}

func TestValuesOfAChartAreRead(t *testing.T) {
	t.Parallel()
	encoded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{configMaps: "ConfigMapList", secrets: "SecretList"},
		object("ConfigMap", "site", map[string]any{"values.yaml": "a: b\n", "list": "[hunter2]"}),
		object("Secret", "keys", map[string]any{"token": encoded("hunter2"), "broken": encoded("a: hunter2: b"), "store": encoded("\xff\xfe")}))
	site := func(key string) api.ValuesSource {
		return api.ValuesSource{VariableSource: api.VariableSource{ConfigMap: "site"}, Key: key}
	}
	keys := func(key, path string) api.ValuesSource {
		return api.ValuesSource{VariableSource: api.VariableSource{Secret: "keys"}, Key: key, TargetPath: path}
	}
	optional := func(v api.ValuesSource) api.ValuesSource {
		v.Optional = true
		return v
	}
	none := api.ValuesSource{VariableSource: api.VariableSource{Secret: "none"}}
	token := render.ClusterValues{Name: `spec.source.helm.valuesFrom[1] (key "token" of Secret shop/keys)`, Text: "hunter2", TargetPath: "a.b", Secret: true}
	for name, tt := range map[string]struct {
		from  []api.ValuesSource
		want  []render.ClusterValues
		fault string
	}{
		"in order": {[]api.ValuesSource{site(""), keys("token", "a.b")}, []render.ClusterValues{
			{Name: `spec.source.helm.valuesFrom[0] (key "values.yaml" of ConfigMap shop/site)`, Text: "a: b\n"}, token,
		}, ""},
		"one that may be absent":   {[]api.ValuesSource{optional(none), keys("token", "a.b")}, []render.ClusterValues{token}, ""},
		"a key that may be absent": {[]api.ValuesSource{optional(site("none")), keys("token", "a.b")}, []render.ClusterValues{token}, ""},
		"one that is absent":       {[]api.ValuesSource{none}, nil, "spec.source.helm.valuesFrom[0] needs Secret shop/none, which is not there: make it, or set optional: true"},
		"a key that is absent":     {[]api.ValuesSource{site("none")}, nil, `spec.source.helm.valuesFrom[0] needs key "none" of ConfigMap shop/site`},
		"what is no mapping":       {[]api.ValuesSource{optional(site("list"))}, nil, `spec.source.helm.valuesFrom[0] (key "list" of ConfigMap shop/site): is not a YAML mapping`},
		"a value without a path":   {[]api.ValuesSource{keys("token", "")}, nil, `(key "token" of Secret shop/keys): is not a YAML mapping (one value needs a targetPath)`},
		"what is no YAML":          {[]api.ValuesSource{keys("broken", "")}, nil, `(key "broken" of Secret shop/keys): is not YAML`},
		"what is no text":          {[]api.ValuesSource{keys("store", "a")}, nil, `(key "store" of Secret shop/keys): is not text`},
		"what is no path":          {[]api.ValuesSource{keys("token", "a=b,c")}, nil, `(key "token" of Secret shop/keys): targetPath "a=b,c" is not a path`},
		"the key that none names":  {[]api.ValuesSource{keys("", "a")}, nil, `needs key "values.yaml" of Secret shop/keys`},
	} {
		got, err := LookUpValues(t.Context(), client, "shop", tt.from)
		if tt.fault == "" && (err != nil || !slices.Equal(got, tt.want)) {
			t.Errorf("%s: %v\n%+v", name, err, got)
			continue
		}
		reason, is := missing(err)
		if tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault) || strings.Contains(err.Error(), "hunter2") || !is || reason != reasonValues) {
			t.Errorf("%s: %s %v, want %q", name, reason, err, tt.fault)
		}
	}
}

func TestWhatAnApplicationNeeds(t *testing.T) {
	t.Parallel()
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{configMaps: "ConfigMapList", secrets: "SecretList"},
		object("ConfigMap", "site", map[string]any{"values.yaml": "a: b\n", "NAME": "x"}))
	application := &api.Application{}
	application.Spec.Substitute = &api.Substitute{From: []api.VariableSource{{ConfigMap: "site"}}}
	application.Spec.Source.Helm = &api.HelmSource{ValuesFrom: []api.ValuesSource{{VariableSource: api.VariableSource{ConfigMap: "site"}}, {VariableSource: api.VariableSource{Secret: "none", Optional: true}}}}
	v := variables{secret: map[string]string{}}
	var versions []string
	for _, n := range v.needs("shop", application, false) {
		version, err := n.read(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, version)
	}
	if want := []string{"ConfigMap shop/site=u-site@7", "ConfigMap shop/site=u-site@7", "Secret shop/none=absent"}; !slices.Equal(versions, want) {
		t.Errorf("versions %q", versions)
	}
	if v.values["NAME"] != "x" || len(v.chartValues) != 1 || v.chartValues[0].Text != "a: b\n" {
		t.Errorf("read %+v", v)
	}
}
