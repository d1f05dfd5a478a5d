package promote_test

import (
	"strings"
	"testing"
)

// substituted is the application of the tests, with variables.
func substituted(substitute string) string {
	return `apiVersion: slipway.dev/v1alpha1
kind: Application
metadata: {name: web, namespace: shop}
spec:
  source: {repository: REPO, branch: main, path: apps/web}
  substitute: ` + substitute + "\n"
}

const openPod = `apiVersion: v1
kind: Pod
metadata: {name: "web-${REGION}"}
spec:
  containers:
  - {name: web, image: WEB} # kept
  - name: tool
    image: ${REGISTRY}/acme/tool:${TOOL}
    ports: [{containerPort: "${PORT}"}]
`

// What comes from the cluster isn't known here: an image without such a
// variable is moved all the same.
func TestVariables(t *testing.T) {
	for name, tt := range map[string]struct {
		substitute, image string
		file, decision    string
	}{
		"from the cluster":      {"{vars: {REGION: eu}, from: [{configMap: cluster-vars}]}", "ghcr.io/acme/web:1.0.0", "1.1.0@" + digestA, ""},
		"a tag of vars":         {"{vars: {REGION: eu, TAG: 1.0.0}, from: [{configMap: cluster-vars}]}", "'ghcr.io/acme/web:${TAG}'", "${TAG}", "blocked: "},
		"a name of vars":        {"{vars: {REGION: eu, HOST: ghcr.io}, from: [{configMap: cluster-vars}]}", "'${HOST}/acme/web:1.0.0'", "1.0.0", "blocked: "},
		"a tag of the cluster":  {"{vars: {REGION: eu}, from: [{configMap: cluster-vars}]}", "'ghcr.io/acme/web:${TAG}'", "${TAG}", ""},
		"one without any value": {"{vars: {REGION: eu, REGISTRY: r.io, TOOL: x}}", "ghcr.io/acme/web:1.0.0", "1.0.0", "blocked: apps/web/pod.yaml:9: Pod web"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, map[string]string{
				"cluster/web.yaml": substituted(tt.substitute), "apps/web/pod.yaml": strings.Replace(openPod, "WEB", tt.image, 1),
			})
			b.pushed("1.1.0", digestA)
			must(t, b.work("ghcr.io/acme/web:1.1.0"))
			b.git.Pull()
			want := strings.Replace(openPod, "WEB", strings.Replace(tt.image, "1.0.0", tt.file, 1), 1)
			if got := b.git.Git("show", "HEAD:apps/web/pod.yaml"); got+"\n" != want {
				t.Errorf("the file is\n%s", got)
			}
			if got := strings.Join(b.decisions(), "\n"); tt.decision != "" && !strings.Contains(got, tt.decision) {
				t.Errorf("decided %s", got)
			}
		})
	}
}
