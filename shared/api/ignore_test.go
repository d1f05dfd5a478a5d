package api_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

func TestWhatAnApplicationWaitsForAndIgnoresIsChecked(t *testing.T) {
	document := func(spec string) []byte {
		return []byte("apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: web, namespace: shop}\nspec:\n  source: {repository: \"https://git.example.com/a/b\", branch: main, path: apps}\n" + spec)
	}
	for spec, says := range map[string]string{
		"  ignore: [{kind: Deployment, paths: [/spec/replicas]}]\n":                        "",
		"  ignore: [{kind: X, group: example.com, name: y, paths: [/spec/a~1b, /data]}]\n": "",
		"  dependsOn: [{name: database}]\n":                                                "",
		"  sync: {maxPrune: 50%}\n":                                                        "",
		"  sync: {maxPrune: 3}\n":                                                          "",
		"  sync: {maxPrune: some}\n":                                                       "maxPrune",
		"  ignore: [{paths: [/spec]}]\n":                                                   "spec.ignore[0]: kind and paths, or managers, are required",
		"  ignore: [{kind: X}]\n":                                                          "kind and paths, or managers, are required",
		"  ignore: [{kind: X, managers: [kube-controller-manager]}]\n":                     "",
		"  ignore: [{kind: X, managers: [\"\"]}]\n":                                        "spec.ignore[0]: managers: a name is empty",
		"  ignore: [{kind: X, paths: [spec]}]\n":                                           "is not a JSON pointer",
		"  ignore: [{kind: X, paths: [/spec//a]}]\n":                                       "is not a JSON pointer",
		"  ignore: [{kind: X, paths: [/metadata/name]}]\n":                                 "names what the object is known by",
		"  ignore: [{kind: X, paths: [/metadata/labels/a]}]\n":                             "",
		"  ignore: [{kind: X, paths: [/spec/template/spec/containers/0/image]}]\n":         "",
		"  ignore: [{kind: X, paths: [/webhooks/*/clientConfig, \"/a/[name=b=c]/d\"]}]\n":  "",
		"  ignore: [{kind: X, paths: [/spec/args/-]}]\n":                                   "names what isn't there yet",
		"  ignore: [{kind: X, paths: [\"/spec/[name]/a\"]}]\n":                             "[name] is none of [key=value]",
		"  ignore: [{kind: X, paths: [\"/spec/[name=a/b]/c\"]}]\n":                         "[name=a is none of [key=value]",
		"  ignore: [{kind: X, paths: [/spec], fields: []}]\n":                              "unknown field",
		"  dependsOn: [{name: web}]\n":                                                     "is the application itself",
		"  dependsOn: [{name: \"\"}]\n":                                                    "spec.dependsOn[0].name is empty",
		"  dependsOn: [{name: web, namespace: other}]\n":                                   "",
		"  dependsOn: [{name: web, namespace: shop}]\n":                                    "spec.dependsOn[0] is the application itself",
		"  dependsOn: [{name: a, namespace: a/b}]\n":                                       "spec.dependsOn[0].namespace: \"a/b\" is not the name of a namespace",
		"  dependsOn: [{name: a, kind: Other}]\n":                                          "unknown field",
	} {
		_, err := api.Decode("web.yaml", document(spec))
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "web.yaml:")) {
			t.Errorf("%q gives %v, want %q", spec, err, says)
		}
	}
}
