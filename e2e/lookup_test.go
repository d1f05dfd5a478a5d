package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/services/synchronizer/lookup"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/kube"
	"github.com/slipway-cd/slipway/shared/render"
)

const lookedUp = `apiVersion: v1
kind: ConfigMap
metadata: {name: found}
data:
  secret: {{ (lookup "v1" "Secret" "default" "there").data | toJson | quote }}
  whole: {{ omit (lookup "v1" "Secret" "default" "there") "metadata" | toJson | quote }}
  types: {{ range $k, $v := (lookup "apps/v1" "Deployment" "default" "there").spec }}{{ $k }}={{ kindOf $v }} {{ end }}
  replicas: {{ (lookup "apps/v1" "Deployment" "default" "there").spec.replicas | quote }}
  none: {{ lookup "v1" "Secret" "default" "none" | toJson | quote }}
  elsewhere: {{ lookup "v1" "Secret" "none" "there" | toJson | quote }}
  nowhere: {{ lookup "v1" "Secret" "" "there" | toJson | quote }}
  namespace: {{ (lookup "v1" "Namespace" "" "default").metadata.name }} {{ (lookup "v1" "Namespace" "x" "default").metadata.name }}
  list: {{ range (lookup "v1" "ConfigMap" "default" "").items }}{{ .metadata.name }} {{ .kind }} {{ end }}
  listed: {{ omit (lookup "v1" "ConfigMap" "default" "") "items" "metadata" | toJson | quote }}
  meta: {{ keys (lookup "v1" "ConfigMap" "default" "").metadata | sortAlpha | join "," }}
  empty: {{ (lookup "v1" "ConfigMap" "none" "").items | toJson | quote }}
  everywhere: {{ gt (len (lookup "v1" "ConfigMap" "" "").items) 3 }}
  unknown: {{ lookup "v1" "Boat" "default" "there" | toJson | quote }}
  kube: {{ .Capabilities.KubeVersion.Version }} {{ .Capabilities.KubeVersion.Major }} {{ .Capabilities.KubeVersion.Minor }}
  apis: {{ .Capabilities.APIVersions | sortAlpha | join "," | sha256sum }} {{ len .Capabilities.APIVersions }}
  has: {{ .Capabilities.APIVersions.Has "apps/v1/Deployment" }} {{ .Capabilities.APIVersions.Has "example.com/v1" }}
  numbers: {{ $m := (lookup "v1" "ConfigMap" "default" "there").metadata }}{{ kindOf $m.creationTimestamp }} {{ kindOf (lookup "apps/v1" "Deployment" "default" "there").metadata.generation }}
---
{{- if lookup "v1" "Secret" "default" "there" }}
apiVersion: v1
kind: ConfigMap
metadata: {name: only-if-there}
{{- end }}
`

// TestLookupEqualsHelm renders with a real API server what helm template
// --dry-run=server renders with it.
func TestLookupEqualsHelm(t *testing.T) {
	t.Parallel()
	helm := filepath.Join(t.TempDir(), "helm")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", helm, "helm.sh/helm/v4/cmd/helm")
	build.Dir = filepath.Join("..", "shared", "render", "testdata", "helm")
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build helm: %v: %s", err, out)
	}
	cluster, err := parts.StartCluster(t.Context(), parts.ClusterOptions{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(cluster.Kill)
	must(t, cluster.Apply(t.Context(), secretText("default", "there", map[string]string{"a": "b", "c": "d"})+
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: there, namespace: default}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: there, namespace: default}\nspec: {replicas: 0, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: none}]}}}\n"))
	root := t.TempDir()
	for name, text := range map[string]string{
		"web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\nkubeVersion: \">=1.20.0-0\"\n", "web/templates/found.yaml": lookedUp,
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
	}
	var complaint bytes.Buffer
	cmd := exec.CommandContext(t.Context(), helm, "template", "release-name", "./web", "--dry-run=server", "--kubeconfig", cluster.Kubeconfig)
	cmd.Dir, cmd.Stderr, cmd.Env = root, &complaint, []string{"HOME=" + t.TempDir()}
	want, err := cmd.Output()
	if err != nil {
		t.Fatalf("helm template: %v: %s", err, complaint.String())
	}
	config, err := kube.Load(kube.Options{Kubeconfig: cluster.Kubeconfig})
	must(t, err)
	clients, err := kube.New(config)
	must(t, err)
	result, err := render.Render(t.Context(), render.Request{FS: os.DirFS(root), Path: "web", Cluster: lookup.Cluster{Mapper: clients.Mapper, Client: clients.Dynamic}})
	must(t, err)
	var documents []string
	for _, o := range result.Objects {
		documents = append(documents, string(o.Raw))
	}
	separator := regexp.MustCompile(`(?m)^---\n`)
	theirs := separator.Split(strings.TrimPrefix(string(want), "---\n"), -1)
	if ours := strings.Join(documents, "---\n"); ours != strings.Join(theirs, "---\n") || len(documents) != 2 {
		t.Errorf("rendered\n%s\nhelm gives\n%s", ours, want)
	}
}

const spying = "{{ $there := lookup \"v1\" \"Secret\" .Values.namespace .Values.name }}apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata:\n  value: {{ if $there }}{{ if .Values.name }}{{ b64dec $there.data.word }}{{ else }}{{ len $there.items | quote }}{{ end }}{{ else }}none{{ end }}\n"

// TestTenantsLookUpTheirOwn has a tenant's chart look for a Secret of another
// namespace: without rights it may not, and with rights a Project holds it.
func TestTenantsLookUpTheirOwn(t *testing.T) {
	t.Parallel()
	b := newTenants(t)
	b.push(t, "all", map[string]string{"charts/spy/Chart.yaml": "apiVersion: v2\nname: spy\nversion: 0.1.0\n", "charts/spy/templates/cm.yaml": spying})
	b.start(t)
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		_, err := b.cluster.Kubectl(t.Context(), "get", "applications.slipway.dev,projects.slipway.dev", "-A")
		return err
	}))
	openName := strings.TrimSuffix(strings.TrimPrefix(b.url, "http://"), ".git")
	must(t, b.cluster.Apply(t.Context(), fmt.Sprintf(tenantsText, "red")+fmt.Sprintf(tenantsText, "blue")+fmt.Sprintf(tenantsText, "platform")+redRights+
		project("red", fmt.Sprintf("%q", openName), "  kinds: {deny: [ConfigMap.example.com]}\n")+
		secretText("blue", "own", map[string]string{"word": "blues"})+secretText("red", "own", map[string]string{"word": "reds"})))
	spy := func(namespace, name, lookup, of, secret, more string) string {
		return sourced(namespace, name, fmt.Sprintf("repository: %q, path: charts/spy, helm: {lookup: %s, values: {namespace: %q, name: %q}}", b.url, lookup, of, secret), more)
	}
	must(t, b.cluster.Apply(t.Context(), spy("blue", "own", "true", "blue", "own", deployer)+spy("red", "own", "true", "red", "own", deployer)+
		spy("blue", "without", "false", "blue", "own", deployer)+spy("platform", "trusted", "true", "red", "own", "")+
		spy("blue", "theft", "true", "red", "own", deployer)+spy("blue", "all", "true", "", "", deployer)+
		spy("blue", "powerless", "true", "blue", "own", "  destination: {serviceAccount: powerless}\n")+
		spy("red", "theft", "true", "blue", "own", deployer)+spy("red", "all", "true", "", "", deployer)+spy("red", "mine", "true", "red", "", deployer)))
	b.is(t, "blue", "own", "blues")
	b.is(t, "red", "own", "reds")
	b.is(t, "blue", "without", "none")
	b.is(t, "platform", "trusted", "reds") // whose namespace acts with our own rights
	b.is(t, "red", "mine", "1")
	b.says(t, "blue", "theft", api.ConditionReconciling, "LookupFailed", "charts/spy/templates/cm.yaml:1: look up Secret red/own", "system:serviceaccount:blue:deployer", "cannot get resource")
	b.says(t, "blue", "all", api.ConditionReconciling, "LookupFailed", "look up every Secret there is", "cannot list resource")
	b.says(t, "blue", "powerless", api.ConditionReconciling, "LookupFailed", "system:serviceaccount:blue:powerless")
	b.says(t, "red", "theft", api.ConditionStalled, "ProjectForbids", "the chart looks up Secret blue/own", "Project red doesn't allow the namespace blue (spec.destinations)")
	b.says(t, "red", "all", api.ConditionStalled, "ProjectForbids", "every Secret there is", "Project red doesn't allow the namespace *")
	for _, name := range []string{"theft", "all", "powerless"} {
		if b.exists(t, "blue", "configmap", name) || b.exists(t, "red", "configmap", name) {
			t.Errorf("%s has what it looked for", name)
		}
	}
	// What was forbidden, and no longer is, goes on by itself.
	must(t, b.cluster.Apply(t.Context(), strings.Replace(project("red", fmt.Sprintf("%q", openName), ""), "namespaces: [red]}]", "namespaces: [red, blue]}]", 1)))
	b.is(t, "red", "theft", "blues")

	// Once it runs, a refusal takes nothing away.
	_, err := b.cluster.Kubectl(t.Context(), "delete", "rolebinding", "-n", "blue", "deployer")
	must(t, err)
	_, err = b.cluster.Kubectl(t.Context(), "annotate", "applications.slipway.dev", "-n", "blue", "own", "slipway.dev/sync=now")
	must(t, err)
	b.says(t, "blue", "own", api.ConditionReconciling, "LookupFailed", "system:serviceaccount:blue:deployer")
	b.is(t, "blue", "own", "blues")
	b.says(t, "blue", "own", api.ConditionReady, "Healthy")
}

const keeping = "apiVersion: v1\nkind: Secret\nmetadata: {name: kept}\ndata:\n  password: {{ with lookup \"v1\" \"Secret\" .Release.Namespace \"kept\" }}{{ .data.password }}{{ else }}{{ randAlphaNum 24 | b64enc }}{{ end }}\n"

// TestAnOutageIsNoAbsence has a commit come while the API server is away in which
// a chart looks up its password: it waits, and keeps it.
func TestAnOutageIsNoAbsence(t *testing.T) {
	t.Parallel()
	b := newSyncBed(t)
	dir := t.TempDir()
	other, err := parts.StartCluster(t.Context(), parts.ClusterOptions{Dir: dir})
	must(t, err)
	t.Cleanup(func() { other.Kill() })
	kubeconfig, err := os.ReadFile(other.Kubeconfig)
	must(t, err)
	const shop = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n"
	must(t, other.Apply(t.Context(), shop))
	first := b.push(t, "first", map[string]string{
		"charts/kept/Chart.yaml": "apiVersion: v2\nname: kept\nversion: 0.1.0\n", "charts/kept/templates/secret.yaml": keeping, "charts/kept/templates/cm.yaml": settings("beside", "1"),
	})
	b.start(t)
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		return b.cluster.Apply(t.Context(), shop+secretText("shop", "other", map[string]string{"value": string(kubeconfig)})+
			sourced("shop", "kept", fmt.Sprintf("repository: %q, path: charts/kept, helm: {lookup: true}", b.url), "  destination: {kubeconfigSecret: other}\n"))
	}))
	b.becomes(t, "shop", "kept", "True", first)
	password := func() string {
		t.Helper()
		out, err := other.Kubectl(t.Context(), "get", "secret", "-n", "shop", "kept", "-o", "jsonpath={.metadata.uid} {.data.password}")
		must(t, err)
		return out
	}
	before := password()
	other.Kill()
	second := b.push(t, "second", map[string]string{"charts/kept/templates/cm.yaml": settings("beside", "2")})
	b.tell(t, second)
	b.says(t, "shop", "kept", api.ConditionReconciling, "LookupFailed", "charts/kept/templates/secret.yaml:5: look up Secret shop/kept")
	b.says(t, "shop", "kept", api.ConditionReady, "Healthy")
	other, err = parts.StartCluster(t.Context(), parts.ClusterOptions{Dir: dir})
	must(t, err)
	b.becomes(t, "shop", "kept", "True", second)
	if now := password(); now != before {
		t.Errorf("the outage has changed the password: %q, and before %q", now, before)
	}
}
