package service_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/service"
)

func write(t *testing.T, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "slipway.yaml")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

const good = `
cluster: production
bus: {url: "nats://nats:4222"}
repositories:
- url: https://git.example.com/acme/config.git
  roots: [{cluster: production, path: clusters/production}]
  policies: [{path: policies, applications: ["**"]}]
`

func TestDefaultsStandWhereNothingIsSaid(t *testing.T) {
	c, err := service.Load(write(t, good))
	if err != nil {
		t.Fatal(err)
	}
	if c.Repositories[0].Branch != "main" || c.Sweep.Interval != 5*time.Minute || c.Synchronizer.Concurrency != 8 {
		t.Fatalf("defaults are missing: %+v", c)
	}
}

func TestTheEnvironmentOverridesAnyField(t *testing.T) {
	t.Setenv("SLIPWAY_AUTOMATOR_DEBOUNCE", "{quiet: 5ms, longest: 2s}")
	t.Setenv("SLIPWAY_AUTOMATOR_DEBOUNCE_QUIET", "7ms")
	t.Setenv("SLIPWAY_CLUSTER", "staging")
	t.Setenv("SLIPWAY_SYNCHRONIZER_TRUSTED", "[a, b]")
	t.Setenv("SLIPWAY_CORPUS", "/not/a/field")
	c, err := service.Load(write(t, good))
	if err != nil {
		t.Fatal(err)
	}
	if d := c.Automator.Debounce; d.Quiet != 7*time.Millisecond || d.Longest != 2*time.Second {
		t.Errorf("debounce is %+v", d)
	}
	if c.Cluster != "staging" || strings.Join(c.Synchronizer.Trusted, ",") != "a,b" {
		t.Errorf("cluster %q, trusted %v", c.Cluster, c.Synchronizer.Trusted)
	}
}

func TestEveryFaultIsToldAtOnce(t *testing.T) {
	t.Setenv("SLIPWAY_AUTOMATOR_NONE", "1")
	t.Setenv("EMPTY", "")
	_, err := service.Load(write(t, `
cluster: Production
busses: {}
sweep: {interval: soon}
registries: [{host: "a b", endpoint: "http://registry:5000"}, {host: registry}]
repositories:
- url: https://user:pa55@git.example.com/acme/config.git
  roots: [{cluster: production, path: /clusters}]
  policies: [{path: ../policies}]
receivers:
  sources:
  - {name: one, provider: github}
  - {name: one, provider: github, secrets: [{file: /none}]}
  - {name: two, provider: github, secrets: [{env: EMPTY}]}
`))
	if !errors.Is(err, service.ErrConfig) {
		t.Fatalf("load: %v, want ErrConfig", err)
	}
	for _, want := range []string{
		"line 3: field busses is not known", "line 4", "SLIPWAY_AUTOMATOR_NONE",
		`cluster: "Production"`, "bus: give either", "registries[0].host", "plain http", "registries[1].host",
		"repositories[0].url: credentials", "roots[0].path", "policies[0].path", "policies[0].applications",
		"sources[0].secrets", "sources[1].name", "sources[1].secrets[0]", "EMPTY is empty",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error doesn't tell %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "pa55") {
		t.Errorf("the error holds a password:\n%v", err)
	}
}

func TestPeopleAndTheirIssuersAreToldApart(t *testing.T) {
	t.Setenv("TOKEN", "0123456789abcdef")
	t.Setenv("EMPTY", "")
	for text, want := range map[string]string{
		`people: [{name: maria, token: {env: TOKEN}}]`:                                                                                                             "",
		`people: [{name: maria, token: {env: TOKEN}}, {name: Maria, token: {env: TOKEN}}]`:                                                                         `people[1].name: "Maria" is there twice`,
		`people: [{name: "group:leads", token: {env: TOKEN}}]`:                                                                                                     "would be a group",
		`people: [{name: "a b", token: {env: TOKEN}}]`:                                                                                                             "without blanks",
		`oidc: [{issuer: "https://a.example.com", audience: slipway}]`:                                                                                             "",
		`oidc: [{issuer: "http://a.example.com", audience: slipway}]`:                                                                                              "oidc[0].issuer",
		`oidc: [{issuer: "https://a.example.com"}]`:                                                                                                                "oidc[0].audience",
		`oidc: [{issuer: "https://a.example.com", audience: slipway, ca: {env: EMPTY}}]`:                                                                           "oidc[0].ca",
		`oidc: [{issuer: "https://a.example.com", audience: slipway, ca: {env: TOKEN}}]`:                                                                           "no certificate",
		`oidc: [{issuer: "https://a.example.com", audience: slipway, nameclaim: sub}]`:                                                                             "nameclaim is not known",
		`oidc: [{issuer: "https://a.example.com", audience: a}, {issuer: "https://b.example.com", audience: a}]`:                                                   "oidc[1].namePrefix",
		`oidc: [{issuer: "https://a.example.com", audience: a, namePrefix: "", groupsPrefix: ""}, {issuer: "https://b.example.com", audience: a, nameClaim: sub}]`: "oidc[1].groupsPrefix",
		`oidc: [{issuer: "https://a.example.com", audience: a, namePrefix: "", groupsPrefix: ""}, {issuer: "https://b.example.com", audience: a, nameClaim: sub, groupsPrefix: "b:"}]`: "",
		`oidc: [{issuer: "https://a.example.com", audience: a, namePrefix: "", groupsPrefix: ""}, {issuer: "https://a.example.com", audience: b, namePrefix: "", groupsPrefix: ""}]`:   "is there twice",
	} {
		_, err := service.Load(write(t, good+"automator:\n  "+text+"\n"))
		if (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestWhoseSignaturesCountIsSaidWhole(t *testing.T) {
	for text, want := range map[string]string{
		`{roots: trusted_root.json}`:                                   "",
		`{tuf: "https://tuf.example.com/repository", root: root.json}`: "",
		`{roots: trusted_root.json, tuf: "https://tuf.example.com"}`:   "sigstore: give either roots, or tuf and root",
		`{tuf: "https://tuf.example.com"}`:                             "sigstore: give tuf and root together",
		`{root: root.json}`:                                            "sigstore: give tuf and root together",
		`{tuf: tuf.example.com, root: root.json}`:                      "sigstore.tuf: it is no plain http or https address",
		`{tuf: "https://u:hidden@tuf.example.com", root: root.json}`:   "sigstore.tuf: it is no plain http or https address",
		`{trustedRoot: root.json}`:                                     "trustedRoot is not known",
	} {
		_, err := service.Load(write(t, good+"sigstore: "+text+"\n"))
		if (want == "") != (err == nil) || (err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden"))) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestTracingIsSaidWhole(t *testing.T) {
	t.Setenv("TOKEN", "Bearer 0123456789abcdef")
	for text, want := range map[string]string{
		`{endpoint: "http://collector:4318"}`:                                                     "",
		`{endpoint: "https://collector/otlp", sample: 0, headers: {Authorization: {env: TOKEN}}}`: "",
		`{sample: 0.5}`:                                                                 "tracing.endpoint: without it nothing is traced",
		`{endpoint: "collector:4318"}`:                                                  "tracing.endpoint: it is no URL",
		`{endpoint: "http://u:hidden@collector:4318"}`:                                  "tracing.endpoint: it is no URL",
		`{endpoint: "http://collector:4318/v1/traces"}`:                                 "leave out /v1/traces",
		`{endpoint: "http://collector:4318", sample: 1.5}`:                              "tracing.sample: 1.5",
		`{endpoint: "http://collector:4318", headers: {Authorization: {env: NO_SUCH}}}`: "tracing.headers.Authorization",
	} {
		_, err := service.Load(write(t, good+"tracing: "+text+"\n"))
		if (want == "") != (err == nil) || (err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden"))) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestRepositoriesAreReadWhereSecretsAreNot(t *testing.T) {
	const secrets = "receivers: {sources: [{name: git, provider: gitea, secrets: [{file: /none}]}]}\nautomator: {people: [{name: maria, token: {file: /none}}]}\n"
	if _, err := service.Load(write(t, good+secrets)); err == nil {
		t.Error("secrets that aren't there are taken")
	}
	c, err := service.LoadRepositories(write(t, good+secrets))
	if err != nil || c.Repositories[0].Branch != "main" || c.File == "" {
		t.Errorf("%+v, %v", c, err)
	}
	_, err = service.LoadRepositories(write(t, strings.ReplaceAll(good, "path: policies", "path: /policies")+"none: 1\n"))
	if !errors.Is(err, service.ErrConfig) || !strings.Contains(err.Error(), "policies[0].path") || !strings.Contains(err.Error(), "none is not known") {
		t.Errorf("%v", err)
	}
}
