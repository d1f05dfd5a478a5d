package migrate_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/services/slipway/migrate"
)

// verified migrates a HelmRelease whose chart must be signed.
func verified(t *testing.T, verify string, artifact bool) (all string, files int) {
	t.Helper()
	source := "apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\nmetadata: {name: charts, namespace: flux-system}\nspec: {type: oci, url: oci://registry.example.com/charts}\n"
	release := "chart: {spec: {chart: hull, version: 1.x, sourceRef: {kind: HelmRepository, name: charts, namespace: flux-system}, verify: " + verify + "}}"
	if artifact {
		source = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: hull, namespace: media}\nspec: {url: oci://registry.example.com/charts/hull, ref: {semver: 1.x}, verify: " + verify + "}\n"
		release = "chartRef: {kind: OCIRepository, name: hull}"
	}
	r, err := migrate.Flux(t.Context(), migrate.Options{Repository: "https://git.example.com/acme/home", FS: tree(map[string]string{
		"apps/source.yaml":  source,
		"apps/release.yaml": "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: hull, namespace: media}\nspec: {interval: 1h, serviceAccountName: x, " + release + "}\n",
	})})
	if err != nil {
		t.Fatal(err)
	}
	lint(t, r)
	return strings.Join(strings.Fields(print(r)), " "), len(r.Files)
}

func TestWhoMustHaveSignedAChartIsTakenOver(t *testing.T) {
	t.Parallel()
	const foreign = "a Secret of another namespace can't be named: copy it from namespace flux-system to media"
	for verify, want := range map[string]struct{ has, artifact, release string }{
		`{provider: cosign, secretRef: {name: pub}}`: {"verify: cosign: keys: - pub version", "", foreign},
		`{secretRef: {name: pub}}`:                   {"verify: cosign: keys: - pub version", "", foreign},
		`{provider: cosign, matchOIDCIdentity: [{issuer: "^https://token.actions.githubusercontent.com$", subject: "^https://github.com/acme/"}]}`: {
			"verify: cosign: keyless: identities: - issuerRegExp: https://token.actions.githubusercontent.com subjectRegExp: https://github.com/acme/.* version", "", "",
		},
		`{provider: cosign, trustedRootSecretRef: {name: roots}, matchOIDCIdentity: [{issuer: gitlab, subject: acme}]}`: {
			"verify: cosign: keyless: identities: - issuerRegExp: .*gitlab.* subjectRegExp: .*acme.* roots: roots", "", foreign,
		},
		`{provider: cosign}`: {"", "anybody has signed it", "anybody has signed it"},
		`{provider: cosign, matchOIDCIdentity: [{issuer: ".*", subject: ".*"}]}`: {"", "it names nobody: issuerRegExp", "it names nobody: issuerRegExp"},
		`{provider: notation, secretRef: {name: x}}`:                             {"", "not those of notation", "not those of notation"},
	} {
		for _, artifact := range []bool{true, false} {
			told := want.release
			if artifact {
				told = want.artifact
			}
			all, files := verified(t, verify, artifact)
			if files == 0 || !strings.Contains(all, want.has) || !strings.Contains(all, told) || told == "" && strings.Contains(all, "spec.verify: ") {
				t.Errorf("%s, artifact %v:\n%s\nwant %s, and that it tells %q", verify, artifact, all, want.has, told)
			}
			if (want.has == "") == strings.Contains(all, " verify: cosign: ") {
				t.Errorf("%s, artifact %v:\n%s\nverify is there or not", verify, artifact, all)
			}
		}
	}
}
