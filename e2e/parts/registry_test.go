package parts_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/slipway-cd/slipway/e2e/parts"
)

func TestRegistryTellsOfPushes(t *testing.T) {
	t.Parallel()
	url, requests := ear(t)
	registry, err := parts.StartRegistry(t.Context(), parts.RegistryOptions{
		Dir: t.TempDir(), NotifyURL: url, NotifyHeaders: map[string]string{"Authorization": "Bearer secret"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ends(t, registry.Stop)
	digest, err := parts.PushImage(t.Context(), registry.Addr, "shop/cart", "1.2.3", parts.ImageOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		request := next(t, requests)
		if got := request.header.Get("Authorization"); got != "Bearer secret" {
			t.Fatalf("Authorization is %q", got)
		}
		var envelope struct {
			Events []struct {
				Action string
				Target struct{ Repository, Digest, Tag string }
			}
		}
		if err := json.Unmarshal(request.body, &envelope); err != nil {
			t.Fatal(err)
		}
		for _, event := range envelope.Events {
			if event.Action != "push" || event.Target.Tag == "" {
				continue // a blob
			}
			if event.Target.Repository != "shop/cart" || event.Target.Tag != "1.2.3" || event.Target.Digest != digest {
				t.Fatalf("told of %+v, pushed %s", event.Target, digest)
			}
			return
		}
	}
}

func TestRegistryKeepsImagesOverARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	registry, err := parts.StartRegistry(t.Context(), parts.RegistryOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := parts.PushImage(t.Context(), registry.Addr, "shop/cart", "many", parts.ImageOptions{
		Labels: map[string]string{"org.opencontainers.image.revision": "abc"}, Platforms: []string{"linux/amd64", "linux/arm64"},
	})
	if err != nil {
		t.Fatal(err)
	}
	registry.Kill()
	again, err := parts.StartRegistry(t.Context(), parts.RegistryOptions{Dir: dir, Addr: registry.Addr})
	if err != nil {
		t.Fatal(err)
	}
	ends(t, again.Stop)
	if again.Addr != registry.Addr {
		t.Fatalf("serves on %s, before on %s", again.Addr, registry.Addr)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://"+again.Addr+"/v2/shop/cart/manifests/many", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.oci.image.index.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := resp.Header.Get("Docker-Content-Digest"); got != digest {
		t.Fatalf("the tag is %q (%s), pushed %s", got, resp.Status, digest)
	}
}

func TestStartSaysWhyAPartDidNotStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	registry, err := parts.StartRegistry(t.Context(), parts.RegistryOptions{Dir: filepath.Join(dir, "a")})
	if err != nil {
		t.Fatal(err)
	}
	ends(t, registry.Stop)
	_, err = parts.StartRegistry(t.Context(), parts.RegistryOptions{Dir: filepath.Join(dir, "b"), Addr: registry.Addr})
	if err == nil || !contains(err.Error(), "address already in use") {
		t.Fatalf("a taken port: %v", err)
	}
}
