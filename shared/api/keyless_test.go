package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

const (
	actions  = "https://token.actions.githubusercontent.com"
	workflow = "https://github.com/acme/web/.github/workflows/release.yml@refs/heads/main"
)

func TestAnIdentityMatchesTheWholeOfWhatItIsHeldAgainst(t *testing.T) {
	for _, c := range []struct {
		identity        api.Identity
		issuer, subject string
		want            bool
	}{
		{api.Identity{Issuer: actions, Subject: workflow}, actions, workflow, true},
		{api.Identity{Issuer: actions, Subject: workflow}, actions, workflow + "x", false},
		{api.Identity{Issuer: actions, Subject: workflow}, actions + "/", workflow, false},
		{api.Identity{Issuer: actions, Subject: workflow}, "", "", false},
		{api.Identity{}, "", "", false},
		{api.Identity{Issuer: actions, SubjectRegExp: "https://github.com/acme/.*"}, actions, workflow, true},
		{api.Identity{Issuer: actions, SubjectRegExp: "https://github.com/acme/.*"}, actions, "https://evil.example/?https://github.com/acme/web", false},
		{api.Identity{Issuer: actions, SubjectRegExp: `https://github\.com/acme`}, actions, "https://github.com/acme-evil/web", false},
		{api.Identity{Issuer: actions, SubjectRegExp: "a|" + workflow}, actions, workflow + ".evil", false},
		{api.Identity{Issuer: actions, SubjectRegExp: "a|b"}, actions, "ab", false},
		{api.Identity{Issuer: actions, SubjectRegExp: "^a$"}, actions, "a\nb", false},
		{api.Identity{Issuer: actions, SubjectRegExp: "(?m)^a$"}, actions, "a\nb", false},
		{api.Identity{Issuer: actions, SubjectRegExp: "(?i)MARIA@example\\.com"}, actions, "maria@example.com", true},
		{api.Identity{Issuer: actions, SubjectRegExp: "("}, actions, "(", false},
		{api.Identity{IssuerRegExp: `https://.*\.example\.com`, Subject: "maria"}, "https://login.example.com", "maria", true},
		{api.Identity{IssuerRegExp: `https://.*\.example\.com`, Subject: "maria"}, "https://login.example.com.evil", "maria", false},
	} {
		if got := c.identity.Matches(c.issuer, c.subject); got != c.want {
			t.Errorf("%s matches %q by %q: %v", c.identity, c.subject, c.issuer, got)
		}
	}
}

func TestIdentitiesThatAnybodyHasAreRefused(t *testing.T) {
	const policy = `apiVersion: slipway.dev/v1alpha1
kind: DeploymentPolicy
metadata: {name: shop}
spec:
  rules:
  - applications: ["**"]
    images: ["**"]
    track: {numeric: {}}
    mode: automatic
    verify: {cosign: {keyless: {roots: r.json, identities: [{%s}]}}}
`
	for identity, says := range map[string]string{
		`issuer: "https://accounts.example.com", subject: "maria@example.com"`: "",
		`issuer: "https://accounts.example.com", subjectRegExp: ".*"`:          "", // an issuer of one's own
		`issuerRegExp: ".*", subject: "maria@example.com"`:                     "",
		`issuerRegExp: ".*", subjectRegExp: ".*@example\\.com"`:                "",
		`issuerRegExp: ".*", subjectRegExp: ".*"`:                              "match anything",
		`issuerRegExp: ".+", subjectRegExp: "^.*$"`:                            "match anything",
		`issuerRegExp: "(?s).{3,}", subjectRegExp: "[^\\n]*|x"`:                "match anything",
		`issuerRegExp: "", subjectRegExp: ""`:                                  "exactly one of issuer",
		`issuer: a, issuerRegExp: b, subject: c`:                               "exactly one of issuer",
		`issuer: a`:                                                            "exactly one of subject",
		`issuer: a, subjectRegExp: "a)|(b"`:                                    "subjectRegExp: error parsing",
		`issuer: a, subjectRegexp: "b"`:                                        "subjectRegexp",
		`issuer: a, subject: b, subjectRegExp: b`:                              "exactly one of subject",
	} {
		_, err := api.Decode("shop.yaml", fmt.Appendf(nil, policy, identity))
		if (err == nil) != (says == "") || (err != nil && (!strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "shop.yaml:"))) {
			t.Errorf("%s gives %v, want %q", identity, err, says)
		}
	}
}

func FuzzIdentity(f *testing.F) {
	f.Add("https://github.com/acme/.*", workflow)
	f.Add("a|b", "ab")
	f.Add("(?m)^a$", "a\nb")
	f.Fuzz(func(t *testing.T, expression, subject string) {
		i := api.Identity{Issuer: actions, SubjectRegExp: expression}
		if i.Matches("", subject) || i.Matches(actions, "") || (expression == "" && i.Matches(actions, subject)) {
			t.Fatalf("%s takes nobody", i)
		}
	})
}
