package e2e_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/service"
)

// What the door of the tenants' repositories asks for.
const (
	configPassword = "c0nfig-pass"
	redPassword    = "r3d-pass"
	wrongPassword  = "wr0ng-pass"
)

// tenants are a platform and two teams, red and blue, of which neither trusts
// the other. Each has an account that may do everything in its namespace; red's
// may do everything everywhere, so that only its Project holds it.
type tenants struct {
	*syncBed
	door string // where repositories ask for a password
}

func newTenants(t *testing.T) *tenants {
	t.Helper()
	b := &tenants{syncBed: newSyncBed(t)}
	to, err := url.Parse(b.host.URL)
	must(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Header.Del("Authorization") }}
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := map[bool]string{true: redPassword, false: configPassword}[strings.HasPrefix(r.URL.Path, "/red/")]
		if _, password, _ := r.BasicAuth(); password != want {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(door.Close)
	b.door = door.URL
	for _, repo := range []string{"acme/private", "red/app"} {
		_, err := b.host.CreateRepo(t.Context(), repo)
		must(t, err)
	}
	token := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(token, []byte(configPassword), 0o600))
	b.repos = []service.Repository{
		{URL: b.url, Branch: "main"},
		{URL: b.door + "/acme/private.git", Branch: "main", Credentials: service.Credentials{Token: &service.Secret{File: token}}},
	}
	b.trusted = []string{"platform"}
	return b
}

const tenantsText = `apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: %[1]s}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: powerless, namespace: %[1]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: deployer, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: deployer, namespace: %[1]s}]
---
`

const redRights = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: red}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: deployer, namespace: red}]
---
`

func project(name, repositories, more string) string {
	return fmt.Sprintf("apiVersion: slipway.dev/v1alpha1\nkind: Project\nmetadata: {name: %[1]s}\nspec:\n  namespaces: [%[1]s]\n  repositories: [%[2]s]\n  destinations: [{cluster: \"*\", namespaces: [%[1]s]}]\n%[3]s---\n",
		name, repositories, more)
}

func secretText(namespace, name string, data map[string]string) string {
	text := fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s}\ndata:\n", name, namespace)
	for key, value := range data {
		text += fmt.Sprintf("  %s: %s\n", key, base64.StdEncoding.EncodeToString([]byte(value)))
	}
	return text + "---\n"
}

// sourced is an Application with a source of any form.
func sourced(namespace, name, source, more string) string {
	return fmt.Sprintf("apiVersion: slipway.dev/v1alpha1\nkind: Application\nmetadata: {name: %s, namespace: %s}\nspec:\n  source: {%s}\n%s---\n", name, namespace, source, more)
}

const deployer = "  destination: {serviceAccount: deployer}\n"

// says waits for a condition of an Application with a reason and all parts in
// its message, and that no password is in it.
func (b *syncBed) says(t *testing.T, namespace, name, condition, reason string, words ...string) {
	t.Helper()
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		s, err := b.status(t, namespace, name)
		if err != nil {
			return err
		}
		c := s.Condition(condition)
		if c == nil || c.Reason != reason {
			return fmt.Errorf("%s/%s: conditions are %+v, want %s %s", namespace, name, s.Conditions, condition, reason)
		}
		for _, word := range words {
			if !strings.Contains(c.Message, word) {
				return fmt.Errorf("%s/%s: message %q does not say %q", namespace, name, c.Message, word)
			}
		}
		return nil
	}))
	out, err := b.cluster.Kubectl(t.Context(), "get", "applications.slipway.dev,events", "-A", "-o", "yaml")
	must(t, err)
	for _, secret := range []string{configPassword, redPassword, wrongPassword} {
		if strings.Contains(out, secret) || strings.Contains(out, base64.StdEncoding.EncodeToString([]byte("slipway:"+secret))) {
			t.Errorf("the cluster is told %q", secret)
		}
	}
}

func (b *syncBed) exists(t *testing.T, namespace, kind, name string) bool {
	t.Helper()
	out, err := b.cluster.Kubectl(t.Context(), "get", kind, "-n", namespace, name, "--ignore-not-found", "-o", "name")
	must(t, err)
	return strings.TrimSpace(out) != ""
}

// is waits until a ConfigMap has a value.
func (b *syncBed) is(t *testing.T, namespace, name, want string) {
	t.Helper()
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		got, err := b.cluster.Kubectl(t.Context(), "get", "configmap", "-n", namespace, name, "-o", "jsonpath={.data.value}")
		if err == nil && got != want {
			err = fmt.Errorf("%s is %q, want %q", name, got, want)
		}
		return err
	}))
}

// refused says that the API server doesn't take a document.
func (b *syncBed) refused(t *testing.T, document string, words ...string) {
	t.Helper()
	err := b.cluster.Apply(t.Context(), document)
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s\nis taken with %v, want %q", document, err, word)
			return
		}
	}
}

func TestTenantsKeepApart(t *testing.T) {
	t.Parallel()
	b := newTenants(t)
	b.push(t, "all", map[string]string{
		"apps/web/cm.yaml":    settings("web", "1"),
		"apps/theft/cm.yaml":  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: red, annotations: {slipway.dev/owner: test/red/web}}\ndata: {value: stolen}\n",
		"apps/forged/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: forged, annotations: {slipway.dev/owner: test/red/web}}\ndata: {value: '1'}\n",
		"apps/roles/a.yaml":   settings("beside", "1"),
		"apps/roles/b.yaml":   "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: red-everything}\nrules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]\n",
		"apps/out/a.yaml":     settings("beside", "1"),
		"apps/out/b.yaml":     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: out, namespace: blue}\ndata: {value: '1'}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: red-too}\n",
	})
	for _, repo := range []string{"acme/private", "red/app"} {
		b.git(t, "push", "--quiet", b.host.URL+"/"+repo+".git", "main")
	}
	b.start(t)
	must(t, parts.Eventually(t.Context(), syncPatience, func() error {
		_, err := b.cluster.Kubectl(t.Context(), "get", "applications.slipway.dev,projects.slipway.dev", "-A")
		return err
	}))
	must(t, b.cluster.Apply(t.Context(), fmt.Sprintf(tenantsText, "red")+fmt.Sprintf(tenantsText, "blue")+fmt.Sprintf(tenantsText, "platform")+redRights))
	doorName := strings.TrimPrefix(b.door, "http://")
	openName := strings.TrimSuffix(strings.TrimPrefix(b.url, "http://"), ".git")
	redProject := project("red", fmt.Sprintf("%q, %q", doorName+"/red/**", openName), "  kinds: {deny: [ClusterRole, ClusterRoleBinding]}\n")
	must(t, b.cluster.Apply(t.Context(), redProject))
	private := fmt.Sprintf("repository: %q, path: apps/web", b.door+"/acme/private.git")
	redApp := fmt.Sprintf("repository: %q, path: apps/web", b.door+"/red/app.git")
	open := func(path string) string { return fmt.Sprintf("repository: %q, path: %s", b.url, path) }

	t.Run("the config's credentials are for trusted namespaces and those whose Project lists the repository", func(t *testing.T) {
		must(t, b.cluster.Apply(t.Context(), sourced("blue", "shared", private, deployer)+sourced("platform", "shared", private, "")+
			sourced("red", "shared", private, deployer)))
		b.is(t, "platform", "web", "1")
		b.says(t, "blue", "shared", api.ConditionStalled, "ProjectForbids", "config's credentials", "namespace blue has no Project", doorName+"/acme/private")
		b.says(t, "red", "shared", api.ConditionStalled, "ProjectForbids", "Project red", "doesn't allow the repository "+doorName+"/acme/private")
		if b.exists(t, "blue", "configmap", "web") || b.exists(t, "red", "configmap", "web") {
			t.Fatal("a tenant has what the config's credentials brought")
		}
		must(t, b.cluster.Apply(t.Context(), project("blue", fmt.Sprintf("%q", doorName+"/acme/*"), "")))
		b.is(t, "blue", "web", "1") // woken by the Project
		_, err := b.cluster.Kubectl(t.Context(), "delete", "projects.slipway.dev", "blue")
		must(t, err)
		b.says(t, "blue", "shared", api.ConditionStalled, "ProjectForbids", "has no Project")
		if !b.exists(t, "blue", "configmap", "web") {
			t.Error("a refusal has deleted something")
		}
		must(t, b.cluster.Apply(t.Context(), sourced("blue", "shared", open("apps/web"), deployer))) // without credentials it's open to all
		b.says(t, "blue", "shared", api.ConditionReady, "Healthy")
	})

	t.Run("a repository is read with credentials of the own namespace alone", func(t *testing.T) {
		must(t, b.cluster.Apply(t.Context(), secretText("red", "git", map[string]string{"username": "red", "password": redPassword})+
			sourced("red", "web", redApp+", secret: git", deployer)))
		b.is(t, "red", "web", "1")
		must(t, b.cluster.Apply(t.Context(), secretText("blue", "git", map[string]string{"username": "red", "password": wrongPassword})+
			sourced("blue", "theirs", redApp+", secret: git", deployer)+sourced("blue", "none", redApp, deployer)+
			sourced("blue", "absent", redApp+", secret: absent", deployer)+sourced("blue", "broken", redApp+", secret: broken", deployer)+
			secretText("blue", "broken", map[string]string{"password": wrongPassword})+
			sourced("blue", "powerless", redApp+", secret: git", "  destination: {serviceAccount: powerless}\n")))
		b.says(t, "blue", "theirs", api.ConditionReconciling, "SourceUnavailable", "refused the credentials")
		b.says(t, "blue", "none", api.ConditionStalled, "UnknownRepository", "spec.source.secret")
		b.says(t, "blue", "absent", api.ConditionReconciling, "CredentialsMissing", "Secret blue/absent, which is not there")
		b.says(t, "blue", "broken", api.ConditionReconciling, "CredentialsMissing", "no key username")
		b.says(t, "blue", "powerless", api.ConditionReconciling, "CredentialsMissing", "may not get it")
		s, err := b.status(t, "blue", "theirs")
		must(t, err)
		if s.Attempted != "" || s.Revision != "" {
			t.Errorf("without credentials it got %+v", s)
		}
		must(t, b.cluster.Apply(t.Context(), secretText("blue", "git", map[string]string{"token": redPassword}))) // now it is told
		b.says(t, "blue", "theirs", api.ConditionReady, "ApplyFailed", "another application owns it")
	})

	t.Run("nothing of another namespace can be named", func(t *testing.T) {
		for _, account := range []string{"red:deployer", "red/deployer", "system:serviceaccount:red:deployer"} {
			b.refused(t, sourced("blue", "account", open("apps/web"), fmt.Sprintf("  destination: {serviceAccount: %q}\n", account)), "serviceAccount")
		}
		b.refused(t, sourced("blue", "secret", redApp+", secret: red/git", deployer), "spec.source.secret")
		b.refused(t, sourced("blue", "keys", open("apps/web")+", verify: {keys: [red/keys]}", deployer), "spec.source.verify.keys")
		b.refused(t, sourced("blue", "vars", open("apps/web"), deployer+"  substitute: {from: [{secret: red/git}]}\n"), "spec.substitute.from")
		b.refused(t, sourced("blue", "depends", open("apps/web"), deployer+"  dependsOn: [{name: red/web}]\n"), "spec.dependsOn")
		b.refused(t, sourced("blue", "two", open("apps/web")+", branch: main, tag: v1", deployer), "write one of branch, tag, semver and commit")
		b.refused(t, project("bad", `"https://h/a"`, ""), "without scheme and .git")
	})

	t.Run("another's objects are neither taken over nor pruned", func(t *testing.T) {
		// Even with rights in red's namespace, which an admin may have given.
		must(t, b.cluster.Apply(t.Context(), "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: guest, namespace: red}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\nsubjects: [{kind: ServiceAccount, name: deployer, namespace: blue}]\n"))
		must(t, b.cluster.Apply(t.Context(), sourced("blue", "theft", open("apps/theft"), deployer)+sourced("blue", "forged", open("apps/forged"), deployer)))
		b.says(t, "blue", "theft", api.ConditionReady, "ApplyFailed", "another application owns it: test/red/web")
		b.says(t, "blue", "forged", api.ConditionReady, "Healthy")
		owner, err := b.cluster.Kubectl(t.Context(), "get", "configmap", "-n", "blue", "forged", "-o", "jsonpath={.metadata.annotations.slipway\\.dev/owner}")
		if err != nil || owner != "test/blue/forged" {
			t.Errorf("the owner of what forges one is %q, %v", owner, err)
		}
		_, err = b.cluster.Kubectl(t.Context(), "delete", "applications.slipway.dev", "-n", "blue", "theft", "--timeout=20s")
		must(t, err)
		b.is(t, "red", "web", "1")
	})

	t.Run("what a Project denies refuses the whole sync", func(t *testing.T) {
		must(t, b.cluster.Apply(t.Context(), sourced("red", "roles", open("apps/roles"), deployer)+sourced("red", "out", open("apps/out"), deployer)))
		b.says(t, "red", "roles", api.ConditionStalled, "ProjectForbids", "apps/roles/b.yaml:1: ClusterRole red-everything", "Project red doesn't allow the kind ClusterRole (spec.kinds.deny)")
		b.says(t, "red", "out", api.ConditionStalled, "ProjectForbids", "apps/out/b.yaml:1: ConfigMap blue/out", "the namespace blue (spec.destinations)", "apps/out/b.yaml:6: Namespace red-too")
		if b.exists(t, "red", "configmap", "beside") || b.exists(t, "red", "clusterrole", "red-everything") || b.exists(t, "blue", "configmap", "out") || b.exists(t, "", "namespace", "red-too") {
			t.Fatal("a part of what is refused was applied")
		}
		must(t, b.cluster.Apply(t.Context(), strings.Replace(redProject, "deny: [ClusterRole,", "deny: [Role,", 1)))
		b.says(t, "red", "roles", api.ConditionReady, "Healthy")
		must(t, b.cluster.Apply(t.Context(), redProject))
		b.says(t, "red", "roles", api.ConditionStalled, "ProjectForbids", "ClusterRole red-everything")
		if !b.exists(t, "red", "configmap", "beside") || !b.exists(t, "red", "clusterrole", "red-everything") {
			t.Error("a refusal has deleted something")
		}
	})
}
