package registry_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/registry"
)

func TestAnImageTellsItsPlatforms(t *testing.T) {
	s := newStore(t, true)
	config := func(platform string) string { return `{` + platform + `"rootfs":{"type":"layers","diff_ids":[]}}` }
	on := func(d descriptor, system, arch, variant string) descriptor {
		d.Platform = map[string]string{"os": system, "architecture": arch}
		if variant != "" {
			d.Platform["variant"] = variant
		}
		return d
	}
	amd, arm := s.image("amd", linuxAMD64), s.image("arm", config(`"os":"linux","architecture":"arm","variant":"v7",`))
	none := s.image("none", config(""))
	chartConfig := s.blob("application/vnd.cncf.helm.config.v1+json", []byte(`{"name":"web"}`))
	s.put("chart", manifest{Config: &chartConfig, Layers: []descriptor{}})
	nonsense := s.image("nonsense", `[]`)
	index := s.put("index", manifest{MediaType: indexMedia, Manifests: []descriptor{
		on(arm, "linux", "arm64", ""), on(amd, "linux", "amd64", ""), on(amd, "linux", "amd64", ""), on(arm, "linux", "arm", "v7"),
		on(none, "unknown", "unknown", ""), nonsense, on(amd, "windows", "amd64", ""),
	}})
	s.put("bare", manifest{MediaType: indexMedia, Manifests: []descriptor{amd, arm, nonsense}})
	for tag, want := range map[string][]string{
		"amd": {"linux/amd64"}, "arm": {"linux/arm/v7"}, "none": nil, "nonsense": nil, "chart": nil,
		"index": {"linux/amd64", "linux/arm/v7", "linux/arm64", "windows/amd64"},
		"bare":  {"linux/amd64", "linux/arm/v7"},
	} {
		got, err := s.client().Platforms(t.Context(), events.Image{Repository: web, Tag: tag})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", tag, got, err, want)
		}
	}
	got, err := s.client().Platforms(t.Context(), events.Image{Repository: web, Tag: "amd", Digest: index.Digest})
	if err != nil || len(got) != 4 {
		t.Errorf("tag and digest: %v, %v, want those of the digest", got, err)
	}
	if _, err := s.client().Platforms(t.Context(), events.Image{Repository: web, Tag: "9.9.9"}); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a missing tag: %v, want ErrNotFound", err)
	}
}

func TestAPlatformIsMissingWhereNothingRunsOnIt(t *testing.T) {
	for _, c := range []struct{ have, wanted, missing string }{
		{"linux/amd64 linux/arm64", "linux/amd64", ""},
		{"linux/amd64", "linux/amd64 linux/arm64", "linux/arm64"},
		{"linux/arm64", "linux/arm64/v8", ""},
		{"linux/arm64/v8", "linux/arm64", ""},
		{"linux/arm64/v9", "linux/arm64", "linux/arm64"},
		{"linux/arm64", "linux/arm64/v9", ""},
		{"linux/arm", "linux/arm/v7", ""},
		{"linux/arm/v6", "linux/arm/v7", ""},
		{"linux/arm/v7", "linux/arm/v6", "linux/arm/v6"},
		{"linux/arm/v7", "linux/arm64", "linux/arm64"},
		{"linux/amd64/v3", "linux/amd64", "linux/amd64"},
		{"linux/amd64", "linux/amd64/v3", ""},
		{"linux/386", "linux/amd64", "linux/amd64"},
		{"linux/aarch64 Linux/x86_64", "linux/arm64 linux/amd64", ""},
		{"linux/ppc64le", "linux/ppc64le", ""},
		{"linux/riscv64/rva22", "linux/riscv64", "linux/riscv64"},
		{"windows/amd64", "linux/amd64", "linux/amd64"},
		{"", "linux/amd64", "linux/amd64"},
		{"linux/amd64", "", ""},
		{"linux", "linux", "linux"},
		{"/", "linux/amd64", "linux/amd64"},
	} {
		got := registry.MissingPlatforms(strings.Fields(c.have), strings.Fields(c.wanted))
		if strings.Join(got, " ") != c.missing {
			t.Errorf("an image for %q lacks %v of %q, want %q", c.have, got, c.wanted, c.missing)
		}
	}
	for s, good := range map[string]bool{
		"linux/amd64": true, "linux/arm/v7": true, "linux": false, "": false, "linux/": false, "/amd64": false, "a/b/c/d": false, "linux/arm 64": false,
	} {
		if err := registry.CheckPlatform(s); (err == nil) != good {
			t.Errorf("%q: %v", s, err)
		}
	}
}
