package manifest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/manifest"
)

const other = "sha256:11aa000000000000000000000000000000000000000000000000000000000000"

// edit holds what an edit of a file gives; want empty says that it stays.
func edit(t *testing.T, file, to, before, want string) {
	t.Helper()
	got, changed, err := manifest.Edit(file, []byte(before), []events.Image{image(t, to)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want == "" {
		want = before
	}
	if string(got) != want || (len(changed) > 0) != (want != before) {
		t.Fatalf("got (%d changed):\n%s\nwant:\n%s", len(changed), got, want)
	}
	again, changed, err := manifest.Edit(file, got, []events.Image{image(t, to)}, nil)
	if err != nil || len(changed) > 0 || string(again) != want {
		t.Fatalf("editing twice is not editing once: %v, %v:\n%s", changed, err, again)
	}
}

func TestHelmValues(t *testing.T) {
	for name, c := range map[string]struct{ to, before, after string }{
		"repository and tag":      {"ghcr.io/acme/web:2.0.1", "image:\n  repository: ghcr.io/acme/web # c\n  tag: v1 # t\n", "image:\n  repository: ghcr.io/acme/web # c\n  tag: 2.0.1 # t\n"},
		"tag first":               {"ghcr.io/acme/web:2.0.1", "image: {tag: 'v1', repository: ghcr.io/acme/web}\n", "image: {tag: '2.0.1', repository: ghcr.io/acme/web}\n"},
		"registry":                {"ghcr.io/acme/web:2.0.1", "a:\n  b:\n    image:\n      registry: ghcr.io\n      repository: acme/web\n      tag: \"1\"\n", "a:\n  b:\n    image:\n      registry: ghcr.io\n      repository: acme/web\n      tag: \"2.0.1\"\n"},
		"registry with a path":    {"ghcr.io/acme/web:v2", "image: {registry: ghcr.io/acme, repository: web, tag: v1}\n", "image: {registry: ghcr.io/acme, repository: web, tag: v2}\n"},
		"another registry":        {"ghcr.io/acme/web:2", "image:\n  registry: quay.io\n  repository: acme/web\n  tag: \"1\"\n", ""},
		"the usual registry":      {"ghcr.io/acme/web:v2", "image:\n  registry: ~\n  defaultRegistry: ghcr.io\n  repository: acme/web\n  tag: v1\n", "image:\n  registry: ~\n  defaultRegistry: ghcr.io\n  repository: acme/web\n  tag: v2\n"},
		"empty registry":          {"nginx:v2", "image:\n  registry: \"\"\n  repository: nginx\n  tag: v1\n", "image:\n  registry: \"\"\n  repository: nginx\n  tag: v2\n"},
		"the global registry":     {"ghcr.io/acme/web:v2", "global: {imageRegistry: ghcr.io}\nimage:\n  repository: acme/web\n  tag: v1\n", "global: {imageRegistry: ghcr.io}\nimage:\n  repository: acme/web\n  tag: v2\n"},
		"digest into the tag":     {"ghcr.io/acme/web:1.2@" + digest, "image:\n  repository: ghcr.io/acme/web\n  tag: \"1.1\"\n", "image:\n  repository: ghcr.io/acme/web\n  tag: \"1.2@" + digest + "\"\n"},
		"digest out of the tag":   {"ghcr.io/acme/web:1.2", "image:\n  repository: ghcr.io/acme/web\n  tag: v1.1@" + other + "\n", "image:\n  repository: ghcr.io/acme/web\n  tag: \"1.2\"\n"},
		"digest field":            {"ghcr.io/acme/web:1.2@" + digest, "image:\n  repository: ghcr.io/acme/web\n  tag: \"1.1\"\n  digest: " + other + "\n", "image:\n  repository: ghcr.io/acme/web\n  tag: \"1.2\"\n  digest: " + digest + "\n"},
		"empty digest field":      {"ghcr.io/acme/web:1.2@" + digest, "image:\n  repository: ghcr.io/acme/web\n  tag: \"1.1\"\n  digest: \"\"\n", "image:\n  repository: ghcr.io/acme/web\n  tag: \"1.2\"\n  digest: \"" + digest + "\"\n"},
		"null digest field":       {"ghcr.io/acme/web:1.2@" + digest, "image:\n  repository: ghcr.io/acme/web\n  tag: \"1.1\"\n  digest: # none\n", "image:\n  repository: ghcr.io/acme/web\n  tag: \"1.2\"\n  digest: " + digest + " # none\n"},
		"tilde digest field":      {"ghcr.io/acme/web:1.2@" + digest, "image: {repository: ghcr.io/acme/web, tag: \"1.1\", digest: ~}\n", "image: {repository: ghcr.io/acme/web, tag: \"1.2\", digest: " + digest + "}\n"},
		"digest goes":             {"ghcr.io/acme/web:1.2", "image:\n  repository: ghcr.io/acme/web\n  tag: \"1.1\"\n  digest: \"" + other + "\"\n", "image:\n  repository: ghcr.io/acme/web\n  tag: \"1.2\"\n  digest: \"\"\n"},
		"plain digest goes":       {"ghcr.io/acme/web:1.2", "image:\n  repository: ghcr.io/acme/web\n  tag: \"1.1\"\n  digest: " + other + "\n", "image:\n  repository: ghcr.io/acme/web\n  tag: \"1.2\"\n  digest: ''\n"},
		"digest alone":            {"ghcr.io/acme/web@" + digest, "image:\n  repository: ghcr.io/acme/web\n  tag: \"1.1\"\n  digest: \"\"\n", "image:\n  repository: ghcr.io/acme/web\n  tag: \"\"\n  digest: \"" + digest + "\"\n"},
		"a digest and no tag":     {"ghcr.io/acme/web:2@" + digest, "image:\n  repository: ghcr.io/acme/web\n  digest: " + other + "\n", "image:\n  repository: ghcr.io/acme/web\n  digest: " + digest + "\n"},
		"number to number":        {"ghcr.io/acme/web:1.20", "image: {repository: ghcr.io/acme/web, tag: 1.10}\n", "image: {repository: ghcr.io/acme/web, tag: \"1.20\"}\n"},
		"a number that is right":  {"ghcr.io/acme/web:1.10", "image: {repository: ghcr.io/acme/web, tag: 1.10}\n", "image: {repository: ghcr.io/acme/web, tag: \"1.10\"}\n"},
		"a boolean":               {"ghcr.io/acme/web:on", "image: {repository: ghcr.io/acme/web, tag: v1}\n", "image: {repository: ghcr.io/acme/web, tag: \"on\"}\n"},
		"a commit as a number":    {"ghcr.io/acme/web:12345e7", "image: {repository: ghcr.io/acme/web, tag: abcdef0}\n", "image: {repository: ghcr.io/acme/web, tag: \"12345e7\"}\n"},
		"a date":                  {"ghcr.io/acme/web:2026-11-25", "image: {repository: ghcr.io/acme/web, tag: abc}\n", "image: {repository: ghcr.io/acme/web, tag: \"2026-11-25\"}\n"},
		"null":                    {"ghcr.io/acme/web:null", "image: {repository: ghcr.io/acme/web, tag: abc}\n", "image: {repository: ghcr.io/acme/web, tag: \"null\"}\n"},
		"a tag with a tag":        {"ghcr.io/acme/web:1.2", "image: {repository: ghcr.io/acme/web, tag: !!str 1.1}\n", "image: {repository: ghcr.io/acme/web, tag: !!str 1.2}\n"},
		"block scalars":           {"ghcr.io/acme/web:2.0", "image:\n  repository: |-\n    ghcr.io/acme/web\n  tag: >-\n    1.0\n", "image:\n  repository: |-\n    ghcr.io/acme/web\n  tag: >-\n    2.0\n"},
		"image as a whole":        {"ghcr.io/acme/web:2", "web:\n  image: ghcr.io/acme/web:1\n", "web:\n  image: ghcr.io/acme/web:2\n"},
		"an image's tag beside":   {"ghcr.io/acme/web:v2", "image: ghcr.io/acme/web\ntag: v1\n", "image: ghcr.io/acme/web\ntag: v2\n"},
		"imageTag":                {"ghcr.io/acme/web:v2", "image: ghcr.io/acme/web\nimageTag: v1\n", "image: ghcr.io/acme/web\nimageTag: v2\n"},
		"registry, image and tag": {"registry.k8s.io/ingress-nginx/controller:v2", "controller:\n  image:\n    registry: registry.k8s.io\n    image: ingress-nginx/controller\n    tag: \"v1\"\n", "controller:\n  image:\n    registry: registry.k8s.io\n    image: ingress-nginx/controller\n    tag: \"v2\"\n"},
		"name and tag":            {"ghcr.io/acme/web:v2", "image:\n  name: ghcr.io/acme/web\n  tag: v1\n", "image:\n  name: ghcr.io/acme/web\n  tag: v2\n"},
		"a prefix":                {"ghcr.io/acme/web:v2", "imageRepository: ghcr.io/acme/web\nimageTag: v1\n", "imageRepository: ghcr.io/acme/web\nimageTag: v2\n"},
		"the repository as whole": {"ghcr.io/acme/web:v2", "image:\n  repository: ghcr.io/acme/web:v1\n", "image:\n  repository: ghcr.io/acme/web:v2\n"},
		"other fields for images": {"ghcr.io/acme/web:v2", "runnerImage: ghcr.io/acme/web:v1\nimages:\n  web: ghcr.io/acme/web:v1\n", "runnerImage: ghcr.io/acme/web:v2\nimages:\n  web: ghcr.io/acme/web:v2\n"},
		"a list of images":        {"ghcr.io/acme/web:v2", "images: [ghcr.io/acme/web:v1, b]\n", "images: [ghcr.io/acme/web:v2, b]\n"},
		"an anchor":               {"ghcr.io/acme/web:v2", "image: &i\n  repository: ghcr.io/acme/web\n  tag: v1\nweb:\n  image: *i\n", "image: &i\n  repository: ghcr.io/acme/web\n  tag: v2\nweb:\n  image: *i\n"},
		"anchored scalars":        {"ghcr.io/acme/web:v2", "x: &r ghcr.io/acme/web\ny: &t v1\na: {repository: *r, tag: *t}\nb: {repository: *r, tag: *t}\n", "x: &r ghcr.io/acme/web\ny: &t v2\na: {repository: *r, tag: *t}\nb: {repository: *r, tag: *t}\n"},
		"merge keys":              {"ghcr.io/acme/web:v2", "base: &b {repository: ghcr.io/acme/web, tag: v0}\nimage:\n  <<: *b\n  tag: v1\nsame: {image: {<<: *b, pullPolicy: Always}}\n", "base: &b {repository: ghcr.io/acme/web, tag: v2}\nimage:\n  <<: *b\n  tag: v2\nsame: {image: {<<: *b, pullPolicy: Always}}\n"},
		"a base without a tag":    {"ghcr.io/acme/web:v2", "base: &b {repository: ghcr.io/acme/web}\nimage:\n  <<: [*b]\n  tag: v1\n", "base: &b {repository: ghcr.io/acme/web}\nimage:\n  <<: [*b]\n  tag: v2\n"},
		"JSON":                    {"ghcr.io/acme/web:2@" + digest, "{\n\t\"image\": {\"repository\":\"ghcr.io/acme/web\",\"tag\":1,\"digest\":null, \"x\":\"\\ud83d\\ude00\"}\n}", "{\n\t\"image\": {\"repository\":\"ghcr.io/acme/web\",\"tag\":\"2\",\"digest\":\"" + digest + "\", \"x\":\"\\ud83d\\ude00\"}\n}"},
		"a complex key":           {"ghcr.io/acme/web:v2", "? a\n: image:\n    repository: ghcr.io/acme/web\n    ? tag\n    : v1\n", "? a\n: image:\n    repository: ghcr.io/acme/web\n    ? tag\n    : v2\n"},
		"a kind without a group":  {"ghcr.io/acme/web:v2", "kind: DaemonSet\nimage: {repository: ghcr.io/acme/web, tag: v1}\n", "kind: DaemonSet\nimage: {repository: ghcr.io/acme/web, tag: v2}\n"},
		"a chart's repository":    {"redis:v2", "dependencies:\n- {name: redis, repository: \"https://charts.example.com/redis\", version: 1.0.0}\n", ""},
		"a repository of another": {"acme/web:v2", "git: {repository: acme/web, branch: main}\n", ""},
		"no string":               {"ghcr.io/acme/web:v2", "image: [ghcr.io/acme/web]\ntag: 1\nrepository: {a: ghcr.io/acme/web}\n", ""},
		"long form for short":     {"index.docker.io/library/nginx:v2", "a: {repository: nginx, tag: v1}\nb: {repository: docker.io/library/nginx, tag: v1}\nc: {image: docker.io/nginx:v1}\n", "a: {repository: nginx, tag: v2}\nb: {repository: docker.io/library/nginx, tag: v2}\nc: {image: docker.io/nginx:v2}\n"},
	} {
		t.Run(name, func(t *testing.T) { edit(t, "values.yaml", c.to, c.before, c.after) })
	}
}

// Each text is edited where "OLD" stands, and nowhere else; those without it
// stay.
func TestTextWithinObjects(t *testing.T) {
	const release = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web}\nspec:\n"
	const argo = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web}\nspec:\n  source:\n"
	for name, c := range map[string]string{
		"HelmRelease":             release + "  values:\n    image:\n      repository: ghcr.io/acme/web\n      tag: OLD # x\n",
		"its post renderers":      release + "  postRenderers:\n  - kustomize:\n      images:\n      - name: ghcr.io/acme/web\n        newTag: OLD\n",
		"Flux Kustomization":      "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec:\n  images:\n  - {name: a, newName: ghcr.io/acme/web, newTag: OLD}\n",
		"Argo values":             argo + "    helm:\n      values: |\n        # c\n\n        image:\n          repository: ghcr.io/acme/web\n          tag: OLD   # ü\n        b: \"OLD\"\n      releaseName: x\n",
		"Argo values, strip":      argo + "    helm:\n      values: |- # c\n          image:\n            repository: ghcr.io/acme/web\n            tag: \"OLD\"",
		"Argo values, indented":   argo + "    helm:\n      values: |2\n          a: b\n          image: ghcr.io/acme/web:OLD\n",
		"Argo valuesObject":       argo + "    helm:\n      valuesObject: {image: {repository: ghcr.io/acme/web, tag: OLD}}\n",
		"Argo parameters":         argo + "    helm:\n      parameters:\n      - name: web.image.repository\n        value: ghcr.io/acme/web\n      - {name: web.image.tag, value: OLD}\n      - {name: other.tag, value: \"1\"}\n",
		"Argo whole parameter":    argo + "    helm: {parameters: [{name: image, value: \"ghcr.io/acme/web:OLD\"}]}\n",
		"Argo parameter, values":  argo + "    helm:\n      values: |\n        image: {repository: ghcr.io/acme/web}\n      parameters: [{name: image.tag, value: OLD}]\n",
		"Argo kustomize":          argo + "    kustomize:\n      images: [\"ghcr.io/acme/web:OLD\", \"x=ghcr.io/acme/web:OLD\"]\n",
		"Argo sources":            strings.Replace(argo, "  source:\n", "  sources:\n", 1) + "  - helm:\n      values: |\n        image: ghcr.io/acme/web:OLD\n",
		"ApplicationSet":          "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nspec:\n  template:\n    spec:\n      source:\n        helm:\n          values: |\n            image: ghcr.io/acme/web:OLD\n",
		"k3s HelmChart":           "apiVersion: helm.cattle.io/v1\nkind: HelmChart\nspec:\n  valuesContent: |-\n    image:\n      repository: ghcr.io/acme/web\n      tag: OLD\n",
		"a custom kind":           "apiVersion: example.com/v1\nkind: Web\nspec:\n  image: ghcr.io/acme/web:OLD\n  sidecar: {image: {repository: ghcr.io/acme/web, tag: OLD}}\n",
		"its image and tag":       "apiVersion: example.com/v1\nkind: Web\nspec: {image: ghcr.io/acme/web, tag: OLD}\n",
		"a list":                  "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  data: {image: ghcr.io/acme/web:1}\n- apiVersion: v1\n  kind: Pod\n  spec: {containers: [{image: ghcr.io/acme/web:OLD}]}\n",
		"a typed list":            "apiVersion: v1\nkind: PodList\nitems:\n- spec:\n    ephemeralContainers:\n    - image: ghcr.io/acme/web:OLD\n",
		"a cron job":              "apiVersion: batch/v1\nkind: CronJob\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          initContainers:\n          - image: ghcr.io/acme/web:OLD\n          volumes:\n          - image: {reference: \"ghcr.io/acme/web:OLD\"}\n",
		"Flux's image repository": "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {name: web}\nspec:\n  image: ghcr.io/acme/web\n",
		"a rollout of Argo":       "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec: {template: {spec: {containers: [{image: \"ghcr.io/acme/web\"}]}}}\n",
		"a hold":                  "apiVersion: slipway.dev/v1alpha1\nkind: Hold\nmetadata: {name: web}\nspec:\n  image: ghcr.io/acme/web\n  tag: v1\n",
		"a policy about images":   "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nspec: {rules: [{verifyImages: [{image: \"ghcr.io/acme/web:*\"}]}]}\n",
	} {
		for _, eol := range []string{"\n", "\r\n"} {
			t.Run(name, func(t *testing.T) {
				c := strings.ReplaceAll(c, "\n", eol)
				was, now := strings.ReplaceAll(c, "OLD", "v1"), strings.ReplaceAll(c, "OLD", "v2")
				if strings.Contains(c, "kind: Rollout") {
					now = strings.ReplaceAll(now, "acme/web", "acme/web:v2")
				}
				now = strings.ReplaceAll(now, `b: "v2"`, `b: "v1"`)
				edit(t, "a.yaml", "ghcr.io/acme/web:v2", was, now)
			})
		}
	}
}

func TestFluxMarkers(t *testing.T) {
	const data = "apiVersion: v1\nkind: ConfigMap\ndata:\n"
	for name, c := range map[string]string{
		"whole":        data + "  web: ghcr.io/acme/web:OLD # {\"$imagepolicy\": \"flux-system:web\"}\n",
		"tag by name":  data + "  name: ghcr.io/acme/web # {\"$imagepolicy\": \"flux-system:web:name\"}\n  tag: OLD # {\"$imagepolicy\": \"flux-system:web:tag\"}\n",
		"tag by whole": data + "  web: \"ghcr.io/acme/web:OLD\" # {\"$imagepolicy\": \"flux-system:web\"}\n  tag: 'OLD'   #  {\"$imagepolicy\": \"flux-system:web:tag\"} \n---\n" + data + "  tag: OLD # {\"$imagepolicy\": \"flux-system:web:tag\"}\n",
		"tag by group": "image:\n  repository: ghcr.io/acme/web\n  tag: OLD # {\"$imagepolicy\": \"flux-system:web:tag\"}\nversion: OLD # {\"$imagepolicy\": \"flux-system:web:tag\"}\n",
		"tag by Flux's objects": data + "  tag: OLD # {\"$imagepolicy\": \"flux-system:web:tag\"}\n---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {name: repo, namespace: flux-system}\nspec: {image: ghcr.io/acme/web}\n" +
			"---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {name: web, namespace: flux-system}\nspec: {imageRepositoryRef: {name: repo}}\n",
		"another policy":   data + "  web: ghcr.io/acme/api:v1 # {\"$imagepolicy\": \"flux-system:api\"} web\n  tag: v1 # {\"$imagepolicy\": \"flux-system:api:tag\"}\n",
		"no marker at all": data + "  web: ghcr.io/acme/web:v1 # $imagepolicy flux-system:web\n",
		"a list of a kind": "apiVersion: example.com/v1\nkind: Web\nspec:\n  run:\n  - ghcr.io/acme/web:OLD # {\"$imagepolicy\": \"flux-system:web\"}\n",
		"kustomization":    "images:\n- name: web\n  newName: ghcr.io/acme/web # {\"$imagepolicy\": \"flux-system:web:name\"}\n  newTag: OLD # {\"$imagepolicy\": \"flux-system:web:tag\"}\n",
	} {
		t.Run(name, func(t *testing.T) {
			file := "a.yaml"
			if name == "kustomization" {
				file = "kustomization.yaml"
			}
			edit(t, file, "ghcr.io/acme/web:v2", strings.ReplaceAll(c, "OLD", "v1"), strings.ReplaceAll(c, "OLD", "v2"))
		})
	}
}

func TestWhatIsNotKnownIsRefusedWithItsLine(t *testing.T) {
	for name, c := range map[string]struct {
		line   string
		before string
	}{
		"no tag field":            {":2:", "image:\n  repository: ghcr.io/acme/web\n"},
		"an empty tag":            {":3:", "image:\n  repository: ghcr.io/acme/web\n  tag: \"\"\n"},
		"a null tag":              {":3:", "image:\n  repository: ghcr.io/acme/web\n  tag:\n"},
		"no tag in the image":     {":1:", "image: ghcr.io/acme/web\n"},
		"no tag in another kind":  {":3:", "apiVersion: example.com/v1\nkind: Build\nspec: {image: ghcr.io/acme/web}\n"},
		"a variable":              {":3:", "a: b\n\nimage: ghcr.io/acme/web:${TAG}\n"},
		"a variable for registry": {":1:", "image: ${REGISTRY}/acme/web:1\n"},
		"a variable in a group":   {":3:", "image:\n  repository: ghcr.io/acme/web\n  tag: ${TAG}\n"},
		"a registry in a group":   {":3:", "image:\n  registry: ${REGISTRY}\n  repository: acme/web\n  tag: v1\n"},
		"a template":              {":1:", "image: \"ghcr.io/acme/web:{{ .Chart.AppVersion }}\"\n"},
		"a Helm template":         {":4:", "{{- if .Values.a }}\nspec:\n  containers:\n  - image: ghcr.io/acme/web:v1\n{{- end }}\n"},
		"the second document":     {":5:", "a: b\n---\n{{ x }}\nimage:\n  - image: ghcr.io/acme/web:v1\n"},
		"escapes":                 {":3:", "image:\n  repository: ghcr.io/acme/web\n  tag: \"\\x31\"\n"},
		"folded":                  {":1:", "image: >-\n  ghcr.io/acme/web:\n  v1\n"},
		"continued":               {":1:", "image: \"ghcr.io/acme/\\\n  web:v1\"\n"},
		"a shared tag":            {":2:", "a: {repository: ghcr.io/acme/api,\n  tag: &t v1}\nb: {repository: ghcr.io/acme/web, tag: *t}\n"},
		"another repository":      {":1:", "a: &a {repository: ghcr.io/acme/web, tag: v1}\nb: {<<: *a, repository: ghcr.io/acme/api}\n"},
		"sealed by SOPS":          {":1:", "image: ghcr.io/acme/web:v1\nsops:\n  mac: ENC[AES256_GCM,data:x]\n"},
		"a digest that counts":    {":1:", "image: {repository: ghcr.io/acme/web, tag: v1, digest: " + other + ", useDigest: true}\n"},
		"a sha":                   {":1:", "image: {repository: ghcr.io/acme/web, tag: v1, sha: abc}\n"},
		"a tag twice":             {":1:", "image: {repository: \"ghcr.io/acme/web:v1\", tag: v1}\n"},
		"a split digest":          {":1:", "image: {repository: ghcr.io/acme/web@sha256, tag: 9f2c}\n"},
		"Argo values in quotes":   {":5:", "apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n  source:\n    helm: {values: \"image: ghcr.io/acme/web:v1\"}\n"},
		"broken Argo values":      {":8:", "apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n  source:\n    helm:\n      values: |\n        {{ x }}: {\n        image: ghcr.io/acme/web:v1\n"},
		"a policy of several":     {":4:", "apiVersion: v1\nkind: ConfigMap\ndata:\n  t: v1 # {\"$imagepolicy\": \"a:b:tag\"}\n  n: ghcr.io/acme/web # {\"$imagepolicy\": \"a:b:name\"}\n  m: ghcr.io/acme/api # {\"$imagepolicy\": \"a:b:name\"}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, changed, err := manifest.Edit("apps/values.yaml", []byte(c.before), []events.Image{image(t, "ghcr.io/acme/web:v2")}, nil)
			if !errors.Is(err, manifest.ErrUnsafe) || !strings.Contains(err.Error(), "apps/values.yaml"+c.line) || string(got) != c.before || len(changed) > 0 {
				t.Fatalf("edit: %v, want a refusal at %s", err, c.line)
			}
			if _, _, err := manifest.Edit("apps/values.yaml", []byte(c.before), []events.Image{image(t, "ghcr.io/acme/we:v2")}, nil); err != nil {
				t.Fatalf("edit of another image: %v", err)
			}
			if _, _, err := manifest.Edit("apps/values.yaml", []byte(c.before), []events.Image{image(t, "quay.io/acme/web:v2")}, nil); err != nil && !strings.Contains(name, "regist") {
				t.Fatalf("edit of another host's image: %v", err)
			}
		})
	}
}

func TestADigestAloneHasNoPlaceInATag(t *testing.T) {
	before := "image: {repository: ghcr.io/acme/web, tag: v1}\n"
	if _, _, err := manifest.Edit("values.yaml", []byte(before), []events.Image{image(t, "ghcr.io/acme/web@"+digest)}, nil); !errors.Is(err, manifest.ErrUnsafe) {
		t.Fatalf("edit: %v, want ErrUnsafe", err)
	}
}

func TestAMirrorIsItsOrigin(t *testing.T) {
	before := "image: {registry: mirror.example.com, repository: acme/web, tag: v1}\n"
	got, _, err := manifest.Edit("values.yaml", []byte(before), []events.Image{image(t, "ghcr.io/acme/web:v2")}, events.Aliases{"mirror.example.com": "ghcr.io"})
	if want := strings.Replace(before, "v1", "v2", 1); err != nil || string(got) != want {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}
