package deploy_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/slipway-cd/slipway/e2e/deploy"
	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/shared/kube"
)

// rights asks a real API server as somebody.
type rights struct {
	t      *testing.T
	config *rest.Config
}

const accounts = "system:serviceaccount:"

// as gives a client that acts as a user, by the administrator's right.
func (r rights) as(user string) dynamic.Interface {
	r.t.Helper()
	config := rest.CopyConfig(r.config)
	config.Impersonate.UserName = user
	client, err := dynamic.NewForConfig(config)
	must(r.t, err)
	return client
}

// withToken gives a client that is a ServiceAccount of slipway-system, and acts as
// another user where that isn't empty.
func (r rights) withToken(c *parts.Cluster, account, user string) dynamic.Interface {
	r.t.Helper()
	token, err := c.Kubectl(r.t.Context(), "create", "token", account, "-n", "slipway-system")
	must(r.t, err)
	config := rest.AnonymousClientConfig(r.config)
	config.BearerToken, config.Impersonate.UserName = token, user
	client, err := dynamic.NewForConfig(config)
	must(r.t, err)
	return client
}

func resource(group, version, name string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: name}
}

var (
	secrets      = resource("", "v1", "secrets")
	configMaps   = resource("", "v1", "configmaps")
	pods         = resource("", "v1", "pods")
	namespaces   = resource("", "v1", "namespaces")
	deployments  = resource("apps", "v1", "deployments")
	bindings     = resource("rbac.authorization.k8s.io", "v1", "rolebindings")
	allBindings  = resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings")
	clusterRoles = resource("rbac.authorization.k8s.io", "v1", "clusterroles")
	definitions  = resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
	applications = resource("slipway.dev", "v1alpha1", "applications")
)

func object(t *testing.T, kind schema.GroupVersionResource, name, namespace, fields string) *unstructured.Unstructured {
	t.Helper()
	kinds := map[string]string{
		"secrets": "Secret", "configmaps": "ConfigMap", "pods": "Pod", "namespaces": "Namespace", "deployments": "Deployment",
		"rolebindings": "RoleBinding", "clusterrolebindings": "ClusterRoleBinding", "clusterroles": "ClusterRole", "customresourcedefinitions": "CustomResourceDefinition",
	}
	u := &unstructured.Unstructured{}
	text := `{"apiVersion":"` + kind.GroupVersion().String() + `","kind":"` + kinds[kind.Resource] + `","metadata":{"name":"` + name + `","namespace":"` + namespace + `"}` + fields + `}`
	must(t, u.UnmarshalJSON([]byte(text)))
	return u
}

// binding gives a role of that name to an account of a tenant.
func binding(role string) string {
	return `,"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"` + role + `"},"subjects":[{"kind":"ServiceAccount","name":"deployer","namespace":"shop"}]`
}

func TestTheClusterGivesTheLeastRights(t *testing.T) {
	ctx, c := t.Context(), cluster(t)
	objects, err := deploy.Overlay(ctx, root(t), "production", "slipway-system")
	must(t, err)
	apply(t, c, objects, "slipway-system")
	must(t, c.Apply(ctx, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}`))
	config, err := kube.Load(kube.Options{Kubeconfig: c.Kubeconfig})
	must(t, err)
	r := rights{t, config}

	t.Run("services without a part in the cluster have none", func(t *testing.T) {
		for _, account := range []string{"registry-receiver", "git-receiver", "automator", "nats"} {
			client := r.as(accounts + "slipway-system:" + account)
			for what, try := range map[string]func() error{
				"read its Secrets":   func() error { return list(ctx, client, secrets, "slipway-system") },
				"read its config":    func() error { return list(ctx, client, configMaps, "slipway-system") },
				"see pods":           func() error { return list(ctx, client, pods, "slipway-system") },
				"read Applications":  func() error { return list(ctx, client, applications, "shop") },
				"change Deployments": func() error { return create(ctx, client, object(t, deployments, "x", "shop", ""), deployments) },
			} {
				forbidden(t, account+" may "+what, try())
			}
		}
	})
	// A policy is in force some moments after it is there.
	must(t, parts.Eventually(ctx, 30*time.Second, func() error {
		u := object(t, bindings, "early", "kube-system", binding("view"))
		if err := create(ctx, r.as(accounts+"slipway-system:synchronizer"), u, bindings); !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
			_ = r.as("").Resource(bindings).Namespace("kube-system").Delete(ctx, "early", metav1.DeleteOptions{})
			return errors.Join(errors.New("the policy is not in force"), err)
		}
		return nil
	}))
	t.Run("the synchronizer", func(t *testing.T) { synchronizerRights(ctx, t, r, c) })
}

func synchronizerRights(ctx context.Context, t *testing.T, r rights, c *parts.Cluster) {
	t.Helper()
	own := r.withToken(c, "synchronizer", "")
	for what, try := range map[string]func() error{
		"watch what applications hold": func() error { return list(ctx, own, deployments, "") },
		"read Applications":            func() error { return list(ctx, own, applications, "") },
		"make a namespace":             func() error { return create(ctx, own, object(t, namespaces, "team", "", ""), namespaces) },
		"bind an account of a tenant":  func() error { return create(ctx, own, object(t, bindings, "b", "shop", binding("admin")), bindings) },
		"bring its definitions up to date": func() error {
			_, err := own.Resource(definitions).Patch(ctx, "applications.slipway.dev", "application/merge-patch+json", []byte(`{"metadata":{"labels":{"x":"y"}}}`), metav1.PatchOptions{})
			return err
		},
		"act as an account of applications": func() error {
			_, err := r.withToken(c, "synchronizer", accounts+"shop:default").Resource(deployments).Namespace("shop").List(ctx, metav1.ListOptions{})
			if apierrors.IsForbidden(err) && strings.Contains(err.Error(), accounts+"shop:default") {
				return nil // it is that account, which has no rights of its own
			}
			return err
		},
	} {
		if err := try(); err != nil {
			t.Errorf("the synchronizer may not %s: %v", what, err)
		}
	}
	shopping := func(user string) error { return list(ctx, r.withToken(c, "synchronizer", user), deployments, "shop") }
	for what, try := range map[string]func() error{
		"change what tenants have": func() error { return create(ctx, own, object(t, configMaps, "x", "shop", ""), configMaps) },
		"make a pod beside itself": func() error {
			return create(ctx, own, object(t, pods, "x", "slipway-system", `,"spec":{"containers":[{"name":"x","image":"x"}]}`), pods)
		},
		"write Secrets": func() error { return create(ctx, own, object(t, secrets, "x", "slipway-system", ""), secrets) },
		"make itself administrator": func() error {
			return create(ctx, own, object(t, allBindings, "x", "", binding("cluster-admin")), allBindings)
		},
		"bind cluster-admin in a tenant": func() error {
			return create(ctx, own, object(t, bindings, "c", "shop", binding("cluster-admin")), bindings)
		},
		"bind admin in kube-system": func() error {
			return create(ctx, own, object(t, bindings, "a", "kube-system", binding("admin")), bindings)
		},
		"bind admin beside itself": func() error {
			return create(ctx, own, object(t, bindings, "a", "slipway-system", binding("admin")), bindings)
		},
		"widen its own role": func() error {
			_, err := own.Resource(clusterRoles).Patch(ctx, "slipway-synchronizer", "application/merge-patch+json", []byte(`{"rules":[]}`), metav1.PatchOptions{})
			return err
		},
		"define other kinds": func() error { return create(ctx, own, object(t, definitions, "x.example.com", "", ""), definitions) },
		"change others' definitions": func() error {
			_, err := own.Resource(definitions).Patch(ctx, "certificates.cert-manager.io", "application/merge-patch+json", []byte(`{}`), metav1.PatchOptions{})
			return err
		},
		"act as a controller of Kubernetes":   func() error { return shopping(accounts + "kube-system:clusterrole-aggregation-controller") },
		"act as an account of no application": func() error { return shopping(accounts + "slipway-system:automator") },
		"act as a person":                     func() error { return shopping("maria") },
		"act as administrators": func() error {
			config := rest.CopyConfig(r.config)
			config.Impersonate = rest.ImpersonationConfig{UserName: accounts + "shop:default", Groups: []string{"system:masters"}}
			return refusedGroup(ctx, t, r, c, config)
		},
	} {
		forbidden(t, "the synchronizer may "+what, try())
	}
}

// refusedGroup tries what r.withToken can't say.
func refusedGroup(ctx context.Context, t *testing.T, r rights, c *parts.Cluster, config *rest.Config) error {
	t.Helper()
	token, err := c.Kubectl(ctx, "create", "token", "synchronizer", "-n", "slipway-system")
	must(t, err)
	anonymous := rest.AnonymousClientConfig(r.config)
	anonymous.BearerToken, anonymous.Impersonate = token, config.Impersonate
	client, err := dynamic.NewForConfig(anonymous)
	must(t, err)
	return list(ctx, client, deployments, "shop")
}

func list(ctx context.Context, client dynamic.Interface, kind schema.GroupVersionResource, namespace string) error {
	_, err := client.Resource(kind).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	return err
}

func create(ctx context.Context, client dynamic.Interface, u *unstructured.Unstructured, kind schema.GroupVersionResource) error {
	_, err := client.Resource(kind).Namespace(u.GetNamespace()).Create(ctx, u, metav1.CreateOptions{})
	return err
}

func forbidden(t *testing.T, what string, err error) {
	t.Helper()
	// A policy's no is an invalid request, with its own words.
	if !apierrors.IsForbidden(err) && (err == nil || !strings.Contains(err.Error(), "gives nobody rights")) {
		t.Errorf("%s: %v", what, err)
	}
}
