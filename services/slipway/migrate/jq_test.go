package migrate

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

func TestAnExpressionThatNamesFieldsIsAPointer(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		".spec.replicas":                         "/spec/replicas",
		" .spec.paused ":                         "/spec/paused",
		".webhooks[]?.clientConfig.caBundle":     "/webhooks/*/clientConfig/caBundle",
		".webhooks[].clientConfig.caBundle":      "/webhooks/*/clientConfig/caBundle",
		".spec.template.spec.containers[0].args": "/spec/template/spec/containers/0/args",
		`.spec.template.spec.containers[] | select(.name == "web") | .image`:                 "/spec/template/spec/containers/[name=web]/image",
		`.spec.containers[] | select(.name=="web").resources.limits`:                         "/spec/containers/[name=web]/resources/limits",
		`.spec.containers[]? | select(.name == "web") | .env[] | select(.name == "A").value`: "/spec/containers/[name=web]/env/[name=A]/value",
		`.spec.ports[] | select(.port == 80) | .nodePort`:                                    "/spec/ports/[port=80]/nodePort",
		`.metadata.annotations["example.com/a~b"]`:                                           "/metadata/annotations/example.com~1a~0b",
		`.metadata.annotations."example.com/a"`:                                              "/metadata/annotations/example.com~1a",
		`.["spec"]["replicas"]`:                                                              "/spec/replicas",
		".spec.template.spec.initContainers":                                                 "/spec/template/spec/initContainers",
		".spec.rules[].http.paths[].backend":                                                 "/spec/rules/*/http/paths/*/backend",
		".metadata.labels?":                                                                  "/metadata/labels",
		".spec | .replicas":                                                                  "/spec/replicas",

		"":                                    "",
		".":                                   "",
		"..":                                  "",
		"spec.replicas":                       "",
		".spec.replicas // 1":                 "",
		".spec.a, .spec.b":                    "",
		".data[\"a.yaml\"] | fromjson | .b":   "",
		`.spec | select(.a == "b") | .c`:      "",
		`.a[] | select(.name | test("x")).b`:  "",
		`.a[] | select(.n == "x" or .m).b`:    "",
		".a[1:2]":                             "",
		`.a["x\ty"]`:                          "",
		".spec.host-name":                     "",
		`.a[] | select(.url == "http://x").b`: "",
	} {
		got, ok := pointer(expression)
		if !ok {
			got = ""
		}
		if got != want {
			t.Errorf("%s: %q, not %q", expression, got, want)
		}
	}
}

func FuzzPointer(f *testing.F) {
	for _, s := range []string{".spec.replicas", `.a[] | select(.name == "x") | .b`, `.a["b/c"][0]?`, ".. | .a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		path, ok := pointer(expression)
		if !ok {
			return
		}
		for _, key := range (api.Ignore{Kind: "X", Paths: []string{path}}).Fields()[0] {
			if key == "" {
				t.Errorf("%q gives %q, of an empty key", expression, path)
			}
		}
		if !strings.HasPrefix(strings.TrimSpace(expression), ".") {
			t.Errorf("%q is no expression", expression)
		}
	})
}
