package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/registry"
)

// paged lists tags by pages of 100, as registries do.
func paged(tags int, link func(r *http.Request, last int) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		last, _ := strconv.Atoi(r.URL.Query().Get("last"))
		var page []string
		for i := last; i < min(last+100, tags); i++ {
			page = append(page, fmt.Sprintf("1.0.%d", i))
		}
		if next := last + 100; next < tags {
			w.Header().Set("Link", link(r, next))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"name": web.Path, "tags": page})
	})
}

func TestTagsAreListedPageByPage(t *testing.T) {
	for name, link := range map[string]func(r *http.Request, last int) string{
		"relative": func(r *http.Request, last int) string {
			return fmt.Sprintf(`<%s?last=%d&n=100>; rel="next"`, r.URL.Path, last)
		},
		"absolute": func(r *http.Request, last int) string {
			return fmt.Sprintf(`<http://%s%s?last=%d>; rel="next"`, r.Host, r.URL.Path, last)
		},
	} {
		s := httptest.NewServer(paged(1234, link))
		t.Cleanup(s.Close)
		c := registry.New([]registry.Host{{Name: web.Host, Endpoint: s.URL, Insecure: true}})
		tags, err := c.Tags(t.Context(), web)
		if slices.Sort(tags); err != nil || len(slices.Compact(tags)) != 1234 {
			t.Errorf("%s: %d tags, %v, want 1,234", name, len(tags), err)
		}
	}
	var asked bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(other.Close)
	s := httptest.NewServer(paged(1234, func(r *http.Request, last int) string {
		return fmt.Sprintf(`<%s%s?last=%d>; rel="next"`, other.URL, r.URL.Path, last)
	}))
	t.Cleanup(s.Close)
	c := registry.New([]registry.Host{{Name: web.Host, Endpoint: s.URL, Insecure: true, User: "maria", Password: "s3cret"}})
	if _, err := c.Tags(t.Context(), web); err == nil || asked || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a next page elsewhere: %v, asked %t", err, asked)
	}
}

// The whole client waits: what is asked after a refusal isn't sent.
func TestASweepWaitsForALimitedRegistry(t *testing.T) {
	requests := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	t.Cleanup(s.Close)
	c := registry.New([]registry.Host{{Name: web.Host, Endpoint: s.URL, Insecure: true}})
	begin := time.Now()
	for i := range 5 {
		_, err := c.Resolve(t.Context(), events.Image{Repository: web, Tag: strconv.Itoa(i)})
		limit, ok := errors.AsType[*registry.LimitError](err)
		if !ok || limit.Until.Sub(begin) < 110*time.Second || errors.Is(err, registry.ErrUnauthorized) {
			t.Fatalf("resolve: %v, want a limit for two minutes", err)
		}
	}
	if _, err := c.Tags(t.Context(), events.ImageRepository{Host: web.Host, Path: "acme/api"}); err == nil {
		t.Fatal("another repository of the host is asked")
	}
	if requests != 1 {
		t.Fatalf("the registry was asked %d times, want once", requests)
	}
}

// A docker config may name a program that has the credentials.
func TestCredentialsOfAHelperProgramAreSent(t *testing.T) {
	host, digest := serve(t, "s3cret")
	bin := t.TempDir()
	helper := "#!/bin/sh\nread host\n[ \"$1\" = get ] && [ \"$host\" = \"" + host + "\" ] || { echo 'credentials not found in native keychain'; exit 1; }\necho '{\"ServerURL\":\"'$host'\",\"Username\":\"maria\",\"Secret\":\"s3cret\"}'\n"
	if err := os.WriteFile(filepath.Join(bin, "docker-credential-test"), []byte(helper), 0o755); err != nil {
		t.Fatal(err)
	}
	path := os.Getenv("PATH")
	for name, c := range map[string]struct {
		config, path string
		want         error
	}{
		"for the host":     {`{"credHelpers":{"` + host + `":"test"}}`, bin + ":" + path, nil},
		"for all":          {`{"credsStore":"test"}`, bin + ":" + path, nil},
		"for another host": {`{"credHelpers":{"other.example.com":"test"}}`, bin + ":" + path, registry.ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", c.path)
			config := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(config, []byte(c.config), 0o600); err != nil {
				t.Fatal(err)
			}
			client := registry.New([]registry.Host{{Name: web.Host, Endpoint: "http://" + host, Insecure: true, DockerConfig: config}})
			found, err := client.Resolve(t.Context(), events.Image{Repository: web, Tag: "1.0.0"})
			if !errors.Is(err, c.want) || (err == nil && found.Digest != digest) {
				t.Fatalf("resolve: %+v, %v, want %v", found, err, c.want)
			}
		})
	}
	t.Run("not installed", func(t *testing.T) {
		config := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(config, []byte(`{"credsStore":"none-such"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		client := registry.New([]registry.Host{{Name: web.Host, Endpoint: "http://" + host, Insecure: true, DockerConfig: config}})
		_, err := client.Resolve(t.Context(), events.Image{Repository: web, Tag: "1.0.0"})
		if err == nil || !strings.Contains(err.Error(), "docker-credential-none-such") {
			t.Fatalf("resolve: %v, want that the program is missing", err)
		}
	})
}
