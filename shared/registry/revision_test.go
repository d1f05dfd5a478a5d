package registry_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/registry"
)

func TestAnImageTellsItsRevision(t *testing.T) {
	const commit = "9fceb02d0ae598e95dc970b74767f19372d61af8"
	s := newStore(t, true)
	config := func(labels string) string {
		return `{"os":"linux","architecture":"amd64","config":{` + labels + `},"rootfs":{"type":"layers","diff_ids":[]}}`
	}
	note := map[string]string{"org.opencontainers.image.revision": commit}
	labelled := s.image("label", config(`"Labels":{"org.opencontainers.image.revision":"`+commit+`\n"}`))
	s.image("none", config(`"Labels":{"org.opencontainers.image.version":"1"}`))
	s.image("nonsense", `[]`)
	bare := s.blob("application/vnd.oci.image.config.v1+json", []byte(config("")))
	s.put("annotation", manifest{Config: &bare, Layers: []descriptor{}, Annotations: note})
	attestation := s.image("attestation", config(""))
	attestation.Platform = map[string]string{"os": "unknown", "architecture": "unknown"}
	s.put("index", manifest{MediaType: indexMedia, Manifests: []descriptor{attestation, labelled}})
	s.put("index-annotation", manifest{MediaType: indexMedia, Manifests: []descriptor{attestation}, Annotations: note})
	s.put("empty-index", manifest{MediaType: indexMedia, Manifests: []descriptor{}})
	for tag, want := range map[string]string{
		"label": commit, "annotation": commit, "index": commit, "index-annotation": commit, "none": "", "nonsense": "", "empty-index": "",
	} {
		got, err := s.client().Revision(t.Context(), events.Image{Repository: web, Tag: tag})
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", tag, got, err, want)
		}
	}
	if got, err := s.client().Revision(t.Context(), events.Image{Repository: web, Tag: "none", Digest: labelled.Digest}); err != nil || got != commit {
		t.Errorf("tag and digest: %q, %v, want that of the digest", got, err)
	}
	if _, err := s.client().Revision(t.Context(), events.Image{Repository: web, Tag: "9.9.9"}); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a missing tag: %v, want ErrNotFound", err)
	}
	s.fail = func(r *http.Request) int {
		if strings.Contains(r.URL.Path, "/blobs/") {
			return http.StatusInternalServerError
		}
		return 0
	}
	if _, err := s.client().Revision(t.Context(), events.Image{Repository: web, Tag: "label"}); err == nil {
		t.Error("a registry that fails gave no error")
	}
}
