package registry_test

import (
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/registry"
)

func serve(t *testing.T, password string) (host, digest string) {
	t.Helper()
	h := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, p, _ := r.BasicAuth(); r.Method != http.MethodPut && r.Method != http.MethodPost && r.Method != http.MethodPatch && p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	host = strings.TrimPrefix(s.URL, "http://")
	open := httptest.NewServer(h)
	t.Cleanup(open.Close)
	img, err := random.Image(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"1.0.0", "1.1.0"} {
		ref, err := name.ParseReference(strings.TrimPrefix(open.URL, "http://")+"/acme/web:"+tag, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, img); err != nil {
			t.Fatal(err)
		}
	}
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return host, d.String()
}

var web = events.ImageRepository{Host: "registry.example.com", Path: "acme/web"}

func TestATagIsResolvedAtTheEndpoint(t *testing.T) {
	host, digest := serve(t, "")
	c := registry.New([]registry.Host{{Name: web.Host, Endpoint: "http://" + host, Insecure: true}})
	found, err := c.Resolve(t.Context(), events.Image{Repository: web, Tag: "1.1.0"})
	if err != nil || found.Digest != digest || found.MediaType == "" {
		t.Fatalf("resolve: %+v, %v, want %s", found, err, digest)
	}
	if _, err := c.Resolve(t.Context(), events.Image{Repository: web, Tag: "9.9.9"}); !errors.Is(err, registry.ErrNotFound) {
		t.Fatalf("resolve of a missing tag: %v, want ErrNotFound", err)
	}
	tags, err := c.Tags(t.Context(), web)
	if slices.Sort(tags); err != nil || !slices.Equal(tags, []string{"1.0.0", "1.1.0"}) {
		t.Fatalf("tags: %v, %v", tags, err)
	}
}

func TestCredentialsAreSentAndNeverTold(t *testing.T) {
	host, digest := serve(t, "s3cret")
	config := filepath.Join(t.TempDir(), "config.json")
	auth := base64.StdEncoding.EncodeToString([]byte("maria:s3cret"))
	if err := os.WriteFile(config, []byte(`{"auths":{"`+host+`":{"auth":"`+auth+`"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		h    registry.Host
		want error
	}{
		"basic":         {registry.Host{User: "maria", Password: "s3cret"}, nil},
		"docker config": {registry.Host{DockerConfig: config}, nil},
		"wrong":         {registry.Host{User: "maria", Password: "wr0ng"}, registry.ErrUnauthorized},
		"none":          {registry.Host{}, registry.ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			c.h.Name, c.h.Endpoint, c.h.Insecure = web.Host, "http://"+host, true
			found, err := registry.New([]registry.Host{c.h}).Resolve(t.Context(), events.Image{Repository: web, Tag: "1.0.0"})
			if !errors.Is(err, c.want) || (err == nil && found.Digest != digest) {
				t.Fatalf("resolve: %+v, %v, want %v", found, err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "wr0ng") {
				t.Fatalf("the error tells the password: %v", err)
			}
		})
	}
}

func TestAnImageTellsWhenItWasMade(t *testing.T) {
	s := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	made := time.Date(2026, 11, 23, 20, 15, 4, 0, time.UTC)
	image := func(at time.Time) v1.Image {
		img, err := random.Image(10, 1)
		if err == nil && !at.IsZero() {
			img, err = mutate.CreatedAt(img, v1.Time{Time: at})
		}
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	attestation := mutate.IndexAddendum{Add: image(made.AddDate(-1, 0, 0)), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}}
	arm := mutate.IndexAddendum{Add: image(made), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}}
	chart, err := mutate.Append(mutate.ConfigMediaType(empty.Image, "application/vnd.cncf.helm.config.v1+json"))
	if err != nil {
		t.Fatal(err)
	}
	for tag, what := range map[string]remote.Taggable{
		"image": image(made), "none": image(time.Time{}), "index": mutate.AppendManifests(empty.Index, attestation, arm),
		"empty": empty.Index, "chart": chart,
	} {
		ref, err := name.NewTag(host+"/acme/web:"+tag, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		if index, ok := what.(v1.ImageIndex); ok {
			err = remote.WriteIndex(ref, index)
		} else {
			err = remote.Write(ref, what.(v1.Image))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c := registry.New([]registry.Host{{Name: web.Host, Endpoint: "http://" + host, Insecure: true}})
	for tag, want := range map[string]time.Time{"image": made, "index": made, "none": {}, "empty": {}, "chart": {}} {
		if got, err := c.Created(t.Context(), events.Image{Repository: web, Tag: tag}); err != nil || !got.Equal(want) {
			t.Errorf("%s was made %v, %v, want %v", tag, got, err, want)
		}
	}
	if _, err := c.Created(t.Context(), events.Image{Repository: web, Tag: "missing"}); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a missing tag: %v, want ErrNotFound", err)
	}
}
