package registry_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/registry"
)

// guarded is a registry that takes one password at a time: by itself, or in
// exchange for a token that it knows only as long.
type guarded struct {
	url      string
	mu       sync.Mutex
	password string
	tokens   bool
	refusal  int // the status for what is refused
	refused  atomic.Int64
}

func (g *guarded) set(password string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.password = password
}

func guard(t *testing.T, password string, tokens bool, refusal int) *guarded {
	t.Helper()
	g := &guarded{password: password, tokens: tokens, refusal: refusal}
	h := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	open := httptest.NewServer(h)
	t.Cleanup(open.Close)
	push(t, open.URL, "1.0.0")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		_, password, basic := r.BasicAuth()
		switch {
		case r.URL.Path == "/token" && basic && password == g.password:
			fmt.Fprintf(w, `{"token":%q}`, "for "+password)
		case r.URL.Path != "/token" && !g.tokens && basic && password == g.password, r.Header.Get("Authorization") == "Bearer for "+g.password && g.tokens:
			h.ServeHTTP(w, r)
		default:
			g.refused.Add(1)
			status := http.StatusUnauthorized
			if r.URL.Path != "/v2/" && r.Header.Get("Authorization") != "" {
				status = g.refusal
			}
			if r.URL.Path != "/token" {
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				if g.tokens {
					w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="x"`, r.Host))
				}
			}
			w.WriteHeader(status)
		}
	}))
	t.Cleanup(s.Close)
	g.url = s.URL
	return g
}

// push stores a new image and gives its digest.
func push(t *testing.T, url, tag string) string {
	t.Helper()
	img, err := random.Image(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(strings.TrimPrefix(url, "http://")+"/acme/web:"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func TestCredentialsThatWereTakenBackAreRenewed(t *testing.T) {
	for kind, tokens := range map[string]bool{"basic": false, "tokens": true} {
		t.Run(kind, func(t *testing.T) {
			g := guard(t, "first", tokens, http.StatusUnauthorized)
			var asked atomic.Int64
			source := func(context.Context) (authn.AuthConfig, time.Time, error) {
				asked.Add(1)
				g.mu.Lock()
				defer g.mu.Unlock()
				return authn.AuthConfig{Username: "AWS", Password: g.password}, time.Now().Add(12 * time.Hour), nil
			}
			c := registry.New([]registry.Host{{Name: web.Host, Endpoint: g.url, Insecure: true, Source: source}})
			tag := events.Image{Repository: web, Tag: "1.0.0"}
			for _, password := range []string{"first", "second", "third"} {
				g.set(password)
				for range 3 {
					if _, err := c.Resolve(t.Context(), tag); err != nil {
						t.Fatalf("with the %s: %v", password, err)
					}
				}
			}
			if asked.Load() != 3 {
				t.Errorf("the source was asked %d times, want 3", asked.Load())
			}
		})
	}
}

func TestCredentialsThatEndAreAskedForAnew(t *testing.T) {
	g := guard(t, "first", false, http.StatusUnauthorized)
	var asked atomic.Int64
	source := func(context.Context) (authn.AuthConfig, time.Time, error) {
		asked.Add(1)
		return authn.AuthConfig{Username: "AWS", Password: "first"}, time.Now().Add(-time.Second), nil
	}
	c := registry.New([]registry.Host{{Name: web.Host, Endpoint: g.url, Insecure: true, Source: source}})
	for range 3 {
		if _, err := c.Resolve(t.Context(), events.Image{Repository: web, Tag: "1.0.0"}); err != nil {
			t.Fatal(err)
		}
	}
	if asked.Load() < 3 {
		t.Errorf("asked %d times", asked.Load())
	}
}

// Who has no right to a repository isn't helped by new credentials: neither the
// cloud nor the registry is asked again and again.
func TestARefusalIsNotAskedAgainAndAgain(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		g := guard(t, "right", false, status)
		var asked atomic.Int64
		source := func(context.Context) (authn.AuthConfig, time.Time, error) {
			return authn.AuthConfig{Username: "x", Password: fmt.Sprint("wr0ng", asked.Add(1))}, time.Time{}, nil
		}
		c := registry.New([]registry.Host{{Name: web.Host, Endpoint: g.url, Insecure: true, Source: source}})
		for range 5 {
			_, err := c.Resolve(t.Context(), events.Image{Repository: web, Tag: "1.0.0"})
			if !errors.Is(err, registry.ErrUnauthorized) || strings.Contains(err.Error(), "wr0ng") {
				t.Fatalf("%d: %v", status, err)
			}
		}
		if asked.Load() != 1 {
			t.Errorf("%d: the source was asked %d times", status, asked.Load())
		}
	}
}

func TestASourceThatFailsIsTold(t *testing.T) {
	g := guard(t, "right", false, http.StatusUnauthorized)
	source := func(context.Context) (authn.AuthConfig, time.Time, error) {
		return authn.AuthConfig{}, time.Time{}, errors.New("no role is bound")
	}
	c := registry.New([]registry.Host{{Name: web.Host, Endpoint: g.url, Insecure: true, Source: source, Mirrors: []registry.Host{{Endpoint: g.url, Insecure: true}}}})
	if _, err := c.Resolve(t.Context(), events.Image{Repository: web, Tag: "1.0.0"}); err == nil || !strings.Contains(err.Error(), "get credentials: no role is bound") {
		t.Fatalf("%v", err)
	}
}

// A pull secret of Kubernetes is rotated by replacing the link to its folder.
func TestADockerConfigThatChangesCountsWithoutARestart(t *testing.T) {
	g := guard(t, "first", true, http.StatusUnauthorized)
	dir := t.TempDir()
	rotate := func(password, into string) {
		text := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, web.Host, base64.StdEncoding.EncodeToString([]byte("maria:"+password)))
		must(t, os.Mkdir(filepath.Join(dir, into), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, into, "config.json"), []byte(text), 0o600))
		must(t, os.Symlink(into, filepath.Join(dir, "new")))
		must(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "data")))
	}
	rotate("first", "1")
	// By the public host's name, though it is called elsewhere.
	c := registry.New([]registry.Host{{Name: web.Host, Endpoint: g.url, Insecure: true, DockerConfig: filepath.Join(dir, "data", "config.json")}})
	resolve := func() error {
		_, err := c.Resolve(t.Context(), events.Image{Repository: web, Tag: "1.0.0"})
		return err
	}
	must(t, resolve())
	g.set("second")
	if err := resolve(); !errors.Is(err, registry.ErrUnauthorized) {
		t.Fatalf("before the file changes: %v", err)
	}
	rotate("second", "2")
	must(t, resolve())
}

// A docker config may name a program that knows the credentials.
func TestADockerConfigsHelperIsAsked(t *testing.T) {
	for _, field := range []string{`"credHelpers":{%q:"slipwaytest"}`, `"credsStore":"slipwaytest","auths":{%q:{}}`} {
		g := guard(t, "first", false, http.StatusUnauthorized)
		host := strings.TrimPrefix(g.url, "http://")
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "password"), []byte("first"), 0o600))
		script := "#!/bin/sh\nserver=$(cat)\n[ \"$1\" = get ] && [ \"$server\" = " + host + " ] || exit 1\n" +
			"printf '{\"ServerURL\":\"%s\",\"Username\":\"maria\",\"Secret\":\"%s\"}' \"$server\" \"$(cat " + dir + "/password)\"\necho >> " + dir + "/asked\n"
		must(t, os.WriteFile(filepath.Join(dir, "docker-credential-slipwaytest"), []byte(script), 0o700)) //nolint:gosec // it is run
		t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
		file := filepath.Join(dir, "config.json")
		must(t, os.WriteFile(file, fmt.Appendf(nil, "{"+field+"}", host), 0o600))
		c := registry.New([]registry.Host{{Name: web.Host, Endpoint: g.url, Insecure: true, DockerConfig: file}})
		for _, password := range []string{"first", "second"} {
			g.set(password)
			must(t, os.WriteFile(filepath.Join(dir, "password"), []byte(password), 0o600))
			for range 3 {
				if _, err := c.Resolve(t.Context(), events.Image{Repository: web, Tag: "1.0.0"}); err != nil {
					t.Fatalf("%s with the %s: %v", field, password, err)
				}
			}
		}
		asked, err := os.ReadFile(filepath.Join(dir, "asked"))
		if err != nil || len(asked) != 2 {
			t.Errorf("%s: the helper was asked %d times, %v; want 2", field, len(asked), err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
