package local

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-cd/slipway/e2e/parts"
	"github.com/slipway-cd/slipway/events"
)

// The shop's images.
const (
	WebImage = "shop/web"
	APIImage = "shop/api"
)

// Policy is the shop's deployment policy.
const policyText = `apiVersion: slipway.dev/v1alpha1
kind: DeploymentPolicy
metadata: {name: shop}
spec:
  rules:
  - applications: ["local/**"]
    images: ["%s/shop/*"]
    track: {semver: ">=1.0 <2"}
    mode: automatic
`

// clusterText is the shop's namespace, its Project, which lets it use the
// config's credentials for the config repo, and the account that deploys into it.
func (w *World) clusterText() string {
	var names []string
	for _, url := range append([]string{w.RepoURL}, slices.Sorted(maps.Values(w.RepoURLs))...) {
		name, err := events.ParseGitRepository(url, nil)
		if err != nil {
			panic("local: the world's own repository: " + err.Error())
		}
		names = append(names, strconv.Quote(string(name)))
	}
	return fmt.Sprintf(clusterFormat, strings.Join(names, ", "))
}

const clusterFormat = `apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: slipway.dev/v1alpha1
kind: Project
metadata: {name: shop}
spec:
  namespaces: [shop]
  repositories: [%s]
  destinations: [{cluster: "*", namespaces: [shop]}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: deployer, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{kind: ServiceAccount, name: deployer, namespace: shop}]
`

// Application is an Application document of the shop's namespace.
func (w *World) Application(name, path string) string {
	return applicationOf(w.RepoURL, name, path)
}

func applicationOf(repo, name, path string) string {
	return fmt.Sprintf(`apiVersion: slipway.dev/v1alpha1
kind: Application
metadata: {name: %s, namespace: shop}
spec:
  source: {repository: %q, branch: main, path: %s}
  destination: {namespace: shop, serviceAccount: deployer}
`, name, repo, path)
}

// Deployment is a plain Deployment of one image.
func Deployment(name, image string, replicas int) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
  labels: {app: %[1]s}
spec:
  replicas: %[3]d
  selector:
    matchLabels: {app: %[1]s}
  template:
    metadata:
      labels: {app: %[1]s}
    spec:
      containers:
      - name: main
        image: %[2]s # Slipway moves this
`, name, image, replicas)
}

func plainService(name string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: %[1]s}
spec:
  selector: {app: %[1]s}
  ports: [{port: 80, targetPort: 8080}]
`, name)
}

// Image writes a reference to an image of the world's registry.
func (w *World) Image(repo, tag string) string { return w.Registry.Addr + "/" + repo + ":" + tag }

// Base is what every world's clusters/local needs: the shop's namespace and
// the account that deploys into it.
func (w *World) Base() map[string]string {
	return map[string]string{
		"clusters/local/shop.yaml": w.clusterText(),
		"policies/shop.yaml":       w.policy(),
	}
}

func (w *World) policy() string { return fmt.Sprintf(policyText, w.Registry.Addr) }

// shop is the config repo: a plain application, and one kustomize base with
// overlays for staging and production.
func (w *World) shop() map[string]string {
	overlay := func(name string, replicas int) string {
		return fmt.Sprintf(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../base]
nameSuffix: -%s
labels:
- pairs: {stage: %s}
  includeSelectors: true
replicas: [{name: api, count: %d}]
`, name, name, replicas)
	}
	return map[string]string{
		"README.md":                                       "# The shop's config repo\n",
		"clusters/local/shop.yaml":                        w.clusterText(),
		"clusters/local/web.yaml":                         w.Application("web", "apps/web"),
		"clusters/local/api-staging.yaml":                 w.Application("api-staging", "apps/api/overlays/staging"),
		"clusters/local/api-production.yaml":              w.Application("api-production", "apps/api/overlays/production"),
		"apps/web/deployment.yaml":                        Deployment("web", w.Image(WebImage, "1.0.0"), 2),
		"apps/web/service.yaml":                           plainService("web"),
		"apps/api/base/kustomization.yaml":                "resources: [deployment.yaml, service.yaml]\n",
		"apps/api/base/deployment.yaml":                   Deployment("api", w.Image(APIImage, "1.0.0"), 1),
		"apps/api/base/service.yaml":                      plainService("api"),
		"apps/api/overlays/staging/kustomization.yaml":    overlay("staging", 1),
		"apps/api/overlays/production/kustomization.yaml": overlay("production", 2),
		"policies/shop.yaml":                              w.policy(),
	}
}

// seed pushes the shop and its first images.
func (w *World) seed(ctx context.Context) error {
	w.opts.Progress("seeding the config repo and the registry")
	for _, repo := range w.opts.Images {
		if _, err := w.Push(ctx, repo, "1.0.0"); err != nil {
			return err
		}
	}
	c, err := w.Clone(ctx, "seed")
	if err != nil {
		return err
	}
	if err := c.Commit(ctx, "Begin", w.opts.Files(w)); err != nil {
		return err
	}
	if err := c.Push(ctx); err != nil {
		return err
	}
	for name, files := range w.opts.Repos {
		c, err := w.CloneOf(ctx, name, "seed")
		if err != nil {
			return err
		}
		if err := c.Commit(ctx, "Begin", files(w)); err != nil {
			return err
		}
		if err := c.Push(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Push pushes a new image of random content and gives its digest.
func (w *World) Push(ctx context.Context, repo, tag string) (digest string, err error) {
	return parts.PushImage(ctx, w.Registry.Addr, repo, tag, parts.ImageOptions{})
}

// RootApplication is what a person applies to the cluster by hand: everything
// else comes from Git.
func (w *World) RootApplication() string {
	return fmt.Sprintf(`apiVersion: v1
kind: Namespace
metadata: {name: slipway-system}
---
%s`, rootOf(w.RepoURL, "root"))
}

// rootOf is an Application that brings those of a config repo.
func rootOf(repo, name string) string {
	return fmt.Sprintf(`apiVersion: slipway.dev/v1alpha1
kind: Application
metadata: {name: %s, namespace: slipway-system}
spec:
  source: {repository: %q, branch: main, path: clusters/local}
`, name, repo)
}
