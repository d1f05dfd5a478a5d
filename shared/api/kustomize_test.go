package api_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

const kustomizeApplication = `apiVersion: slipway.dev/v1alpha1
kind: Application
metadata: {name: web, namespace: shop}
spec:
  decryption: {secret: sops-age}
  source:
    repository: https://git.example.com/acme/config.git
    branch: main
    path: apps/web
    kustomize:
`

func TestWhatAnApplicationAddsToItsKustomizationIsRead(t *testing.T) {
	t.Parallel()
	docs, err := api.Decode("app.yaml", []byte(kustomizeApplication+`      patches:
      - target: {kind: Deployment, name: web}
        patch: |-
          - {op: replace, path: /spec/replicas, value: 2}
      - {path: patch.yaml, options: {allowNameChange: true}}
      components: [../../components/monitored]
      images: [{name: nginx, newTag: "1.2"}]
      namePrefix: a-
      replicas: [{name: web, count: 0}]
      loadRestrictor: LoadRestrictionsNone
`))
	if err != nil || len(docs) != 1 {
		t.Fatalf("%d documents: %v", len(docs), err)
	}
	app := docs[0].Object.(*api.Application)
	want := &api.KustomizeSource{
		Patches: []api.KustomizePatch{
			{Patch: "- {op: replace, path: /spec/replicas, value: 2}", Target: &api.KustomizeTarget{Kind: "Deployment", Name: "web"}},
			{Path: "patch.yaml", Options: map[string]bool{"allowNameChange": true}},
		},
		Components: []string{"../../components/monitored"}, Images: []api.KustomizeImage{{Name: "nginx", NewTag: "1.2"}},
		NamePrefix: "a-", Replicas: []api.KustomizeReplica{{Name: "web"}}, LoadRestrictor: api.LoadRestrictionsNone,
	}
	if got := app.Spec.Source.Kustomize; !reflect.DeepEqual(got, want) {
		t.Errorf("read\n%+v, want\n%+v", got, want)
	}
	if app.Spec.Decryption == nil || app.Spec.Decryption.Secret != "sops-age" {
		t.Errorf("decryption %+v", app.Spec.Decryption)
	}
}

func TestAWrongAdditionIsToldWhereAndWhy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"patches: [{target: {kind: A}}]":              "patches[0] has neither or both of patch and path",
		"patches: [{path: \"https://h/x\"}]":          "patches[0].path is an address",
		"patches: [{path: ../../../x}]":               "patches[0].path \"../../../x\" leaves the repository",
		"patches: [{path: a, targets: {}}]":           "app.yaml:11: spec.source.kustomize.patches[0].targets: unknown field",
		"components: [\"https://github.com/acme/a\"]": "components[0] is an address",
		"components: [/a]":                            "components[0] \"/a\" is not a directory of the repository",
		"images: [{newTag: a}]":                       "images[0].name is empty",
		"images: [{name: a}]":                         "images[0] of a sets nothing",
		"images: [\"nginx:1.2\"]":                     "app.yaml:11:",
		"replicas: [{name: a, count: -1}]":            "replicas[0] needs a name and a count",
		"labels: [{includeSelectors: true}]":          "labels[0].pairs is empty",
		"loadRestrictor: none":                        "loadRestrictor \"none\" is neither LoadRestrictionsRootOnly nor LoadRestrictionsNone",
		"resources: [a.yaml]":                         "kustomize.resources: unknown field",
		"images: [{name: a, newTag: b, newTga: c}]":   "images[0].newTga: unknown field",
	} {
		_, err := api.Decode("app.yaml", []byte(kustomizeApplication+"      "+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for _, secret := range []string{"\"\"", "Keys", "other/keys"} {
		text := strings.Replace(kustomizeApplication, "sops-age", secret, 1)
		if _, err := api.Decode("app.yaml", []byte(text+"      namePrefix: a-\n")); err == nil || !strings.Contains(err.Error(), "spec.decryption.secret") {
			t.Errorf("%s: %v", secret, err)
		}
	}
}
