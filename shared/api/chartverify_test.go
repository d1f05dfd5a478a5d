package api_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

const ociChart = "      repository: oci://ghcr.io/acme\n      chart: web\n      version: 1.x\n      verify: "

func TestWhoMustHaveSignedAChartIsRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]api.ChartCosign{
		"{cosign: {keys: [ours, theirs]}}": {Keys: []string{"ours", "theirs"}},
		"{cosign: {keyless: {roots: roots, identities: [{issuer: a, subjectRegExp: b.*}]}}}": {
			Keyless: &api.ChartKeyless{Roots: "roots", Identities: []api.Identity{{Issuer: "a", SubjectRegExp: "b.*"}}},
		},
	} {
		docs, err := api.Decode("app.yaml", []byte(chartApplication+ociChart+text+"\n"))
		if err != nil || len(docs) != 1 {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := docs[0].Object.(*api.Application).Spec.Source.Helm.Verify.Cosign; !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestAWrongSignerIsToldWhereAndWhy(t *testing.T) {
	t.Parallel()
	const exactly = "spec.source.helm.verify.cosign: give exactly one of keys (names of Secrets with public keys) and keyless"
	for text, want := range map[string]string{
		"{}":                                      exactly,
		"{cosign: {}}":                            exactly,
		"{cosign: {keys: []}}":                    exactly,
		"{cosign: {keys: [a], keyless: {}}}":      exactly,
		"{cosign: {keys: [shop/a]}}":              "spec.source.helm.verify.cosign.keys[0]: \"shop/a\" is not the name of a Secret",
		"{cosign: {key: a}}":                      "spec.source.helm.verify.cosign.key: unknown field",
		"{cosign: {keyless: {}}}":                 "spec.source.helm.verify.cosign.keyless: identities is empty",
		"{cosign: {keyless: {roots: a/b}}}":       "spec.source.helm.verify.cosign.keyless.roots: \"a/b\" is not the name of a Secret",
		"{cosign: {keyless: {identities: [{}]}}}": "spec.source.helm.verify.cosign.keyless: identities[0]: give exactly one of issuer and issuerRegExp",
		"{cosign: {keyless: {identities: [{issuerRegExp: .*, subjectRegExp: .+}]}}}": "match anything: anybody could sign",
		"{notation: {}}": "spec.source.helm.verify.notation: unknown field",
	} {
		_, err := api.Decode("app.yaml", []byte(chartApplication+ociChart+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\ndoes not say %q", text, err, want)
		}
	}
	for _, chart := range []string{"chart: web", "{chart: web, repository: \"https://h.example\", version: 1.2.3}"} {
		text := strings.Replace("      "+chart+"\n      verify: {cosign: {keys: [a]}}\n", "}\n      verify", ", verify", 1)
		text = strings.Replace(text, "[a]}}\n", "[a]}}"+strings.Repeat("}", strings.Count(chart, "{"))+"\n", 1)
		_, err := api.Decode("app.yaml", []byte(chartApplication+text))
		if err == nil || !strings.Contains(err.Error(), "spec.source.helm.verify is for a chart of a registry: give its oci:// address") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
