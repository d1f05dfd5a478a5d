package api_test

import (
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/shared/api"
)

const projectText = `apiVersion: slipway.dev/v1alpha1
kind: Project
metadata: {name: shop}
spec:
  namespaces: [shop, "shop-*"]
  repositories: ["git.example.com/acme/**"]
  destinations: [{cluster: "prod-*", namespaces: [shop, "shop-*"]}, {cluster: staging, namespaces: ["*"]}]
  kinds: {allow: ["*"], deny: [ClusterRole, Role.rbac.authorization.k8s.io, "*.slipway.dev"]}
`

func TestAProjectAllows(t *testing.T) {
	t.Parallel()
	docs, err := api.Decode("p.yaml", []byte(projectText))
	if err != nil {
		t.Fatal(err)
	}
	r, err := docs[0].Object.(*api.Project).Rules()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"shop": true, "shop-eu": true, "shopping": false, "Shop": false, "": false} {
		if r.Governs(name) != want {
			t.Errorf("governs %q: %v", name, !want)
		}
	}
	for name, want := range map[string]bool{"git.example.com/acme/config": true, "git.example.com/acme/a/b": true, "git.example.com/acmeevil/x": false, "git.example.com.evil.com/acme/x": false} {
		if r.Repository(name) != want {
			t.Errorf("repository %q: %v", name, !want)
		}
	}
	for at, want := range map[[2]string]bool{
		{"prod-1", "shop"}: true, {"prod-1", "kube-system"}: false, {"staging", "kube-system"}: true, {"prod-1", ""}: true, {"other", ""}: false, {"other", "shop"}: false,
	} {
		if r.Destination(at[0], at[1]) != want {
			t.Errorf("destination %q: %v", at, !want)
		}
	}
	for at, want := range map[[2]string]bool{
		{"", "ConfigMap"}: true, {"rbac.authorization.k8s.io", "ClusterRole"}: false, {"any.example.com", "ClusterRole"}: false,
		{"rbac.authorization.k8s.io", "Role"}: false, {"iam.example.com", "Role"}: true, {"slipway.dev", "Application"}: false, {"argoproj.io", "Application"}: true,
	} {
		if _, ok := r.KindAllowed(at[0], at[1]); ok != want {
			t.Errorf("kind %q: %v", at, ok)
		}
	}
}

func TestAnAllowListAllowsNothingElse(t *testing.T) {
	t.Parallel()
	p := &api.Project{Spec: api.ProjectSpec{
		Namespaces: []string{"a"}, Repositories: []string{"**"}, Destinations: []api.ProjectDestination{{Cluster: "*", Namespaces: []string{"a"}}},
		Kinds: api.ProjectKinds{Allow: []string{"Deployment.apps", "Service"}},
	}}
	r, err := p.Rules()
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[[2]string]string{{"apps", "Deployment"}: "", {"", "Service"}: "", {"extensions", "Deployment"}: "spec.kinds.allow", {"", "Secret"}: "spec.kinds.allow"} {
		if why, ok := r.KindAllowed(at[0], at[1]); why != want || ok != (want == "") {
			t.Errorf("%v: %q, %v", at, why, ok)
		}
	}
}

func TestAProjectThatCantBeMeant(t *testing.T) {
	t.Parallel()
	for change, says := range map[[2]string]string{
		{"namespaces: [shop,", "namespaces: [\"a**\","}:                               "spec.namespaces: pattern \"a**\"",
		{`["git.example.com/acme/**"]`, `["https://git.example.com/acme/x"]`}:         "without scheme and .git",
		{`["git.example.com/acme/**"]`, `[]`}:                                         "spec.repositories is empty",
		{`deny: [ClusterRole,`, `deny: [clusterroles,`}:                               "spec.kinds.deny[0]",
		{`deny: [ClusterRole,`, `deny: [rbac.authorization.k8s.io/ClusterRole,`}:      "spec.kinds.deny[0]",
		{`deny: [ClusterRole,`, `deny: ["Cluster*",`}:                                 "* stands for a whole kind only",
		{`  kinds:`, `  kind:`}:                                                       "p.yaml:8: spec.kind: unknown field",
		{`{cluster: staging, namespaces: ["*"]}`, `{cluster: staging}`}:               "spec.destinations[1].namespaces is empty",
		{`{cluster: staging, namespaces: ["*"]}`, `{clusters: x, namespaces: ["*"]}`}: "p.yaml:7: spec.destinations[1].clusters: unknown field",
		{`metadata: {name: shop}`, `metadata: {name: shop, namespace: shop}`}:         "of the whole cluster",
	} {
		text := strings.Replace(projectText, change[0], change[1], 1)
		if text == projectText {
			t.Fatalf("%q is not there", change[0])
		}
		if _, err := api.Decode("p.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", change[1], err, says)
		}
	}
}
