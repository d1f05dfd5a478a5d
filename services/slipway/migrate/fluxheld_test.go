package migrate_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-cd/slipway/services/slipway/migrate"
)

// What a Kustomization patches into those that it makes is theirs, in each cluster
// its own, and what Flux replaces in a HelmRelease is told.
func TestKustomizationsAreReadAsOthersMakeThem(t *testing.T) {
	t.Parallel()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	root := func(cluster string) *fstest.MapFile {
		return file(`apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: tenants, namespace: flux-system}
spec:
  interval: 1h
  path: ./tenants/` + cluster + `
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
  patches:
  - target: {kind: Kustomization}
    patch: |
      apiVersion: kustomize.toolkit.fluxcd.io/v1
      kind: Kustomization
      metadata: {name: all}
      spec:
        decryption: {provider: sops, secretRef: {name: age}}
        postBuild: {substituteFrom: [{kind: Secret, name: ` + cluster + `}]}
`)
	}
	overlay := file("resources: [../base]\npatches: [{path: path.yaml}]\n")
	r, err := migrate.Flux(t.Context(), migrate.Options{Repository: "https://git.example.com/acme/fleet", FS: fstest.MapFS{
		"clusters/eu/tenants.yaml":        root("eu"),
		"clusters/us/tenants.yaml":        root("us"),
		"tenants/eu/kustomization.yaml":   overlay,
		"tenants/us/kustomization.yaml":   overlay,
		"tenants/eu/path.yaml":            file("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: blue, namespace: blue}\nspec: {path: ./apps/eu}\n"),
		"tenants/us/path.yaml":            file("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: blue, namespace: blue}\nspec: {path: ./apps/us}\n"),
		"tenants/base/kustomization.yaml": file("resources: [blue.yaml]\n"),
		"tenants/base/blue.yaml": file(`apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: blue, namespace: blue}
spec:
  interval: 1h
  prune: true
  serviceAccountName: deployer
  sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}
`),
		"apps/eu/a.yaml": file("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"),
		"apps/us/a.yaml": file("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"),
		"apps/us/release.yaml": file(`apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: web, namespace: blue}
spec:
  interval: 1h
  serviceAccountName: deployer
  chart: {spec: {chart: ./charts/web, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}
  values: {host: "www.${DOMAIN}", zone: "${ZONE:=a}"}
`),
		"apps/none/alone.yaml": file(`apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: alone, namespace: blue}
spec:
  interval: 1h
  serviceAccountName: deployer
  chart: {spec: {chart: ./charts/web, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}
  values: {host: "$${HOME} ${HOME}"}
`),
		"charts/web/Chart.yaml": file("apiVersion: v2\nname: web\nversion: 1.0.0\n"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range r.Files {
		files[f.Path] = f.Data
	}
	for _, cluster := range []string{"eu", "us"} {
		blue := files["clusters/"+cluster+"/tenants-blue.yaml"]
		for _, want := range []string{"path: apps/" + cluster, "decryption:\n    secret: age", "from:\n    - secret: " + cluster, "serviceAccount: deployer"} {
			if !strings.Contains(blue, want) {
				t.Errorf("%s: no %q in\n%s", cluster, want, blue)
			}
		}
	}
	told := print(r)
	for _, want := range []string{"it holds Kustomization blue", "variables stand in it, which Kustomization blue/blue replaces: DOMAIN, ZONE", "variables stand in it, which a Kustomization above it replaces if it has postBuild: HOME"} {
		if !strings.Contains(told, want) {
			t.Errorf("no %q in\n%s", want, told)
		}
	}
	if strings.Contains(told, "wrong:") || strings.Contains(told, "missing:") {
		t.Errorf("all of it has a counterpart:\n%s", told)
	}
}
