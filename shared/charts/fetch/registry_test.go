package fetch_test

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/charts/fetch"
)

// push builds what `helm push` makes.
func push(t *testing.T, host, path, tag, config string, data []byte) {
	t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.MediaType(config))
	img, err := mutate.Append(img, mutate.Addendum{Layer: static.NewLayer(data, "application/vnd.cncf.helm.chart.content.v1.tar+gzip")})
	must(t, err)
	ref, err := name.ParseReference(host+"/"+path+":"+tag, name.Insecure)
	must(t, err)
	must(t, remote.Write(ref, img))
}

const helmConfig = "application/vnd.cncf.helm.config.v1+json"

func TestAChartIsAnArtifactOfARegistry(t *testing.T) {
	h := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	var mu sync.Mutex
	var asked []string
	password := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method+" "+r.URL.Path)
		if _, p, _ := r.BasicAuth(); p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	one, two := pack(t, "1.0.0", "one"), pack(t, "1.1.0", "two")
	push(t, host, "acme/charts/redis", "1.0.0", helmConfig, one)
	push(t, host, "acme/charts/redis", "1.1.0_build.5", helmConfig, two)
	push(t, host, "acme/charts/redis", "9.0.0", "application/vnd.oci.image.config.v1+json", one)
	push(t, host, "acme/charts/redis", "8.0.0", helmConfig, []byte("no chart"))
	ref := func(version string) api.ChartRef {
		return api.ChartRef{Repository: "oci://" + host + "/acme/charts", Name: "redis", Version: version}
	}
	c := newClient(t)
	is(t, c, fetch.Question{ChartRef: ref("1.0.0")}, "1.0.0", one)
	is(t, c, fetch.Question{ChartRef: ref("1.1.0+build.5")}, "1.1.0+build.5", two)
	is(t, c, fetch.Question{ChartRef: ref("1.x")}, "1.1.0+build.5", two)
	mu.Lock()
	asked = nil
	mu.Unlock()
	is(t, c, fetch.Question{ChartRef: ref("1.0.0")}, "1.0.0", one)
	is(t, c, fetch.Question{ChartRef: ref("1.x")}, "1.1.0+build.5", two)
	mu.Lock()
	if len(asked) > 0 {
		t.Errorf("asked for %q", asked)
	}
	mu.Unlock()
	fails(t, c, fetch.Question{ChartRef: ref("7.0.0")}, charts.ErrMissing, "")
	fails(t, c, fetch.Question{ChartRef: ref("7.x")}, charts.ErrMissing, "none is in the range 7.x")
	fails(t, c, fetch.Question{ChartRef: ref("9.0.0")}, charts.ErrBad, "none with a config of "+helmConfig)
	fails(t, c, fetch.Question{ChartRef: ref("8.0.0")}, charts.ErrBad, "not packed by gzip")
	// An index may name it, too.
	index := newSite(t, false)
	index.put("1.0.0", nil, "oci://"+host+"/acme/charts/redis:1.0.0", digest(one))
	is(t, c, fetch.Question{ChartRef: index.ref("1.0.0")}, "1.0.0", one)

	mu.Lock()
	password = "secret"
	mu.Unlock()
	fails(t, newClient(t), fetch.Question{ChartRef: ref("1.0.0")}, charts.ErrUnauthorized, "401")
	access, err := fetch.SecretAccess("shop/x 1", ref("1.0.0"), map[string][]byte{"username": []byte("maria"), "password": []byte("secret")})
	must(t, err)
	is(t, newClient(t), fetch.Question{ChartRef: ref("1.0.0"), Access: access}, "1.0.0", one)
	is(t, newClient(t), fetch.Question{ChartRef: ref("1.x"), Access: access}, "1.1.0+build.5", two)
	s.Close()
	fails(t, c, fetch.Question{ChartRef: ref("1.0.1")}, charts.ErrAway, "refused")
	is(t, c, fetch.Question{ChartRef: ref("1.0.0")}, "1.0.0", one)
}

func TestWhoHasOtherWorkWaitsALittle(t *testing.T) {
	one := pack(t, "1.0.0", "one")
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-hang
		if r.URL.Path == "/index.yaml" {
			_, _ = io.WriteString(w, "entries:\n  redis:\n  - {version: 1.0.0, urls: [a.tgz]}\n")
			return
		}
		_, _ = w.Write(one)
	}))
	t.Cleanup(s.Close)
	ref := api.ChartRef{Repository: s.URL, Name: "redis", Version: "1.x"}
	since := time.Now()
	source := newClient(t).Patient(time.Millisecond, func(ref api.ChartRef) fetch.Question { return fetch.Question{ChartRef: ref, Since: since} })
	if _, err := source.Chart(t.Context(), ref); !errors.Is(err, charts.ErrAway) {
		t.Fatal(err)
	}
	close(hang)
	for {
		a, err := source.Chart(t.Context(), ref)
		if err == nil {
			if !bytes.Equal(a.Data, one) {
				t.Error("it is another")
			}
			return
		}
		if !errors.Is(err, charts.ErrAway) || t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}
