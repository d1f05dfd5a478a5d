package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/api"
)

func document(rule string) string {
	return "apiVersion: slipway.dev/v1alpha1\nkind: DeploymentPolicy\nmetadata: {name: shop}\nspec:\n  rules:\n  - applications: [\"**\"]\n    images: [\"**\"]\n    track: {semver: \"*\"}\n" + rule
}

func TestARulesGatesAreRead(t *testing.T) {
	docs, err := api.Decode("shop.yaml", []byte(document(`    mode: manual
    approvals: {count: 2, from: ["group:leads", omar], deadline: 24h, allowAuthor: false}
    supersede: false
    after: {application: "staging/{namespace}/{name}", same: revision, healthyFor: 10m}
    freeze: [{cron: "0 17 * * FRI", duration: 63h, timezone: Europe/Berlin}]
`)))
	if err != nil {
		t.Fatal(err)
	}
	r := docs[0].Object.(*api.DeploymentPolicy).Spec.Rules[0]
	if r.Mode != api.Manual || r.Approvals.Needed() != 2 || r.Supersedes() || time.Duration(*r.After.HealthyFor) != 10*time.Minute || len(r.Freeze) != 1 {
		t.Errorf("%+v", r)
	}
	for who, may := range map[string]bool{"omar": true, "maria": false, "group:leads": false} {
		if r.Approvals.Allows(who, []string{"people"}) != may {
			t.Errorf("%s may vote: %t", who, !may)
		}
	}
	if !r.Approvals.Allows("maria", []string{"people", "leads"}) {
		t.Error("a lead may not vote")
	}
}

func TestWhatIsWrongInARulesGatesIsToldWithItsPlace(t *testing.T) {
	for rule, says := range map[string]string{
		"    mode: perhaps\n":                                                                           `mode "perhaps" is none of [automatic manual pullRequest never]`,
		"    mode: manual\n    approvals: {count: -1}\n":                                                "spec.rules[0]: approvals: count is negative",
		"    mode: manual\n    approvals: {count: 2, from: [m]}":                                        "nothing could be approved",
		"    mode: manual\n    approvals: {from: [\"group:\"]}":                                         "from[0] is empty",
		"    mode: manual\n    approvals: {deadline: soon}":                                             "deadline",
		"    mode: manual\n    approvals: {quorum: 2}":                                                  "unknown field",
		"    mode: automatic\n    freeze: [{cron: \"* * *\", duration: 1h}]":                            "freeze[0]: cron",
		"    mode: automatic\n    freeze: [{cron: \"* * * * *\"}]":                                      "duration is required",
		"    mode: automatic\n    freeze: [{cron: \"* * * * *\", duration: 1h, timezone: Mars/Valley}]": "timezone",
		"    mode: automatic\n    after: {application: staging}":                                        "after: invalid name: application \"staging\"",
		"    mode: automatic\n    after: {application: \"staging/{team}/{name}\"}":                      "placeholder",
		"    mode: automatic\n    after: {application: a/b/c, same: name}":                              `same "name" is neither digest nor revision`,
		"    mode: automatic\n    verify: {cosign: {}}":                                                 "cosign.keyless is required",
		"    mode: automatic\n    verify: {cosign: {key: k.pub, keyless: {}}}":                          "not both",
		"    mode: automatic\n    verify: {cosign: {keyless: {}}}":                                      "identities is empty",
		"    mode: automatic\n    verify: {cosign: {keyless: {roots: r.json}}}":                         "identities is empty",
		"    mode: automatic\n    verify: {cosign: {keyless: {roots: r.json, identities: [{}]}}}":       "exactly one of issuer and issuerRegExp",
		"    mode: automatic\n    verify: {cosign: {keyless: {roots: r.json, issuer: x}}}":              "issuer",
	} {
		_, err := api.Decode("shop.yaml", []byte(document(rule)))
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "shop.yaml:") {
			t.Errorf("%q gives %v, want one that says %q", rule, err, says)
		}
	}
}

func TestHoldsAreReadAndHaveTheirPlace(t *testing.T) {
	docs, err := api.Decode("h.yaml", []byte(`apiVersion: slipway.dev/v1alpha1
kind: Hold
metadata: {name: web-1-4-2}
spec:
  application: production/shop/web
  image: ghcr.io/acme/web
  digest: sha256:9f2c
  until: 2026-12-01T00:00:00Z
  reason: "5xx after 1.4.2"
  by: "maria@example.com"
`))
	if err != nil {
		t.Fatal(err)
	}
	h := docs[0].Object.(*api.Hold)
	end := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	if h.Stands(end) || !h.Stands(end.Add(-time.Second)) {
		t.Errorf("until is %v", h.Spec.Until)
	}
	file := api.HoldFile(h.Spec.Application)
	if app, ok := api.HoldApplication(file); file != ".slipway/holds/production/shop/web.yaml" || !ok || app != h.Spec.Application {
		t.Errorf("%s is of %q", file, app)
	}
	for _, other := range []string{".slipway/holds/web.yaml", ".slipway/holds/a/b/c/d.yaml", "holds/a/b/c.yaml", ".slipway/holds/a/b/c.txt", ".slipway/holds/../a/b/c.yaml"} {
		if app, ok := api.HoldApplication(other); ok {
			t.Errorf("%s is of %q", other, app)
		}
	}
	if _, err := api.Decode("h.yaml", []byte("apiVersion: slipway.dev/v1alpha1\nkind: Hold\nmetadata: {name: x}\nspec: {application: a/b/c, image: d}\n")); err == nil {
		t.Error("a hold of no version is taken")
	}
}
