package slipway_test

import (
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-cd/slipway/shared/bus/bustest"
	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
)

// shop is a machine with a registry and a Git host, which may be away, and two
// applications that follow their images.
type shop struct {
	*machine
	registry *httptest.Server
	work     *gitrepotest.Work
	away     atomic.Bool // the Git host
	told     int         // deliveries of webhooks
}

// registryHost is how the shop's images are named.
const registryHost = "registry.example.com"

// gitURL is the shop's config repo. It is reached through a proxy, so that it
// has one name on every machine.
const gitURL = "http://git.example.com/config.git"

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{registry: httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))}
	t.Cleanup(s.registry.Close)
	git := gitrepotest.Start(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.away.Load() {
				http.Error(w, "away", http.StatusServiceUnavailable)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	files := map[string]string{"policies/shop.yaml": `apiVersion: slipway.dev/v1alpha1
kind: DeploymentPolicy
metadata: {name: shop}
spec:
  rules:
  - {applications: ["**"], images: ["` + registryHost + `/shop/*"], track: {semver: ">=1.0 <2"}, mode: automatic}
`}
	for _, app := range []string{"web", "api"} {
		files["clusters/local/"+app+".yaml"] = fmt.Sprintf(`apiVersion: slipway.dev/v1alpha1
kind: Application
metadata: {name: %[1]s, namespace: shop}
spec:
  source: {repository: %[2]q, branch: main, path: apps/%[1]s}
`, app, gitURL)
		files["apps/"+app+"/deployment.yaml"] = fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {containers: [{name: main, image: "%[2]s/shop/%[1]s:1.0.0"}]}
`, app, registryHost)
	}
	s.work = git.Create("config.git", files)
	s.machine = newMachine(t, fmt.Sprintf(`registries:
- {host: %[1]s, endpoint: %[2]q, insecure: true}
repositories:
- url: %[3]s
  proxy: %[4]q
  roots: [{cluster: local, path: clusters/local}]
  policies: [{path: policies, applications: ["**"]}]
sweep: {interval: 1h}
`, registryHost, s.registry.URL, gitURL, git.URL))
	for _, app := range []string{"web", "api"} {
		s.push(t, app, "1.0.0")
	}
	return s
}

// push puts an image into the registry and gives its digest, which is the same
// on every machine.
func (s *shop) push(t *testing.T, app, tag string) string {
	t.Helper()
	h := fnv.New64a()
	_, _ = h.Write([]byte(app + ":" + tag)) // it never errs
	image, err := random.Image(64, 1, random.WithSource(rand.NewSource(int64(h.Sum64()))))
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(strings.TrimPrefix(s.registry.URL, "http://")+"/shop/"+app+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// release pushes an image, has the registry tell, and gives what it told, to be
// told again.
func (s *shop) release(t *testing.T, app, tag string) hook {
	t.Helper()
	digest := s.push(t, app, tag)
	s.told++
	h := registryHook("distribution", fmt.Sprintf(`{"events":[{"id":"shop-%d","timestamp":"2026-11-23T20:15:04Z","action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"repository":"shop/%s","tag":%q}}]}`,
		s.told, digest, app, tag))
	s.accepted(t, h)
	return h
}

// commits waits until an application has a tag, and counts the commits that
// have moved one to each image.
func (s *shop) commits(t *testing.T, app, tag string) map[string]int {
	t.Helper()
	var all map[string]int
	bustest.Until(t, app+" "+tag+" is committed", func() bool {
		s.work.Pull()
		all = map[string]int{}
		for line := range strings.Lines(s.work.Git("log", "--format=%B")) {
			if _, moved, ok := strings.Cut(line, "Slipway-Chain: "); ok {
				f := strings.Fields(moved) // chain, application, image@digest
				all[f[1]+" "+f[2]]++
			}
		}
		return strings.Contains(s.work.Git("show", "HEAD:apps/"+app+"/deployment.yaml"), ":"+tag)
	})
	return all
}
