package registry

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-cd/slipway/events"
)

// maxPlatforms bounds how many images of an index are looked at.
const maxPlatforms = 100

// Platforms tells which platforms an image has, as os/arch[/variant], sorted:
// those of its index without attestations, or its config's. What is no image
// for a system, a chart for instance, has none. The digest counts where there
// is one, else the tag. Errors are those of [Client.Resolve].
func (c *Client) Platforms(ctx context.Context, image events.Image) (all []string, err error) {
	err = c.ask(ctx, question{image.Repository, image.Digest == "", timeout}, func(ctx context.Context, at target) error {
		d, err := at.puller.Get(ctx, pinned(at.repo, image))
		if err != nil {
			return err
		}
		if all, err = platforms(d); untold(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fail("ask the registry for the platforms of", image.String(), err)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// pinned is the digest, or the tag where there is no digest.
func pinned(repo name.Repository, image events.Image) name.Reference {
	if image.Digest != "" {
		return repo.Digest(image.Digest)
	}
	return repo.Tag(image.Tag)
}

func platforms(d *remote.Descriptor) ([]string, error) {
	switch {
	case d.MediaType.IsImage():
		img, err := d.Image()
		if err != nil {
			return nil, err
		}
		return platformOf(img)
	case !d.MediaType.IsIndex():
		return nil, nil
	}
	index, m, err := indexOf(d)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, below := range m.Manifests[:min(len(m.Manifests), maxPlatforms)] {
		switch {
		case !below.MediaType.IsImage():
		case below.Platform != nil && below.Platform.OS != "":
			all = append(all, platform(below.Platform.OS, below.Platform.Architecture, below.Platform.Variant)...)
		default:
			img, err := index.Image(below.Digest)
			if err != nil {
				return nil, err
			}
			one, err := platformOf(img)
			if err != nil && !untold(err) {
				return nil, err
			}
			all = append(all, one...)
		}
	}
	return all, nil
}

// platformOf is what an image's config says.
func platformOf(img v1.Image) ([]string, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	return platform(config.OS, config.Architecture, config.Variant), nil
}

// platform writes one; attestations stand for an unknown system.
func platform(system, arch, variant string) []string {
	if system == "" || arch == "" || system == "unknown" || arch == "unknown" {
		return nil
	}
	s := strings.ToLower(system + "/" + arch)
	if variant != "" {
		s += "/" + strings.ToLower(variant)
	}
	return []string{s}
}

// CheckPlatform errs where s is not os/arch[/variant].
func CheckPlatform(s string) error {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%q is not a platform: write os/arch or os/arch/variant, as linux/amd64 or linux/arm/v7", s)
	}
	return nil
}

// MissingPlatforms gives those of wanted that an image with the platforms have
// can't run on. A lower variant runs on a higher one of the same architecture;
// arm64 is arm64/v8, arm is arm/v7 and amd64 is amd64/v1.
func MissingPlatforms(have, wanted []string) []string {
	var missing []string
	for _, w := range wanted {
		want := normal(w)
		if !slices.ContainsFunc(have, func(h string) bool { return normal(h).runsOn(want) }) {
			missing = append(missing, w)
		}
	}
	return missing
}

// parts is a platform by its usual names.
type parts struct{ system, arch, variant string }

// defaults are the variants that no one writes.
var defaults = map[string]string{"arm64": "v8", "arm": "v7", "amd64": "v1"}

func normal(s string) parts {
	f := append(strings.Split(strings.ToLower(strings.TrimSpace(s)), "/"), "", "", "")
	p := parts{f[0], f[1], f[2]}
	if p.system == "macos" {
		p.system = "darwin"
	}
	switch p.arch {
	case "x86_64", "x86-64":
		p.arch = "amd64"
	case "i386", "i686", "x86":
		p.arch = "386"
	case "aarch64":
		p.arch = "arm64"
	case "armhf":
		p.arch, p.variant = "arm", "v7"
	case "armel":
		p.arch, p.variant = "arm", "v6"
	}
	if p.variant != "" && p.variant[0] >= '0' && p.variant[0] <= '9' {
		p.variant = "v" + p.variant
	}
	if p.variant == "" {
		p.variant = defaults[p.arch]
	}
	return p
}

// runsOn says whether what is built for p runs on a machine q.
func (p parts) runsOn(q parts) bool {
	if p.system != q.system || p.arch != q.arch || p.system == "" || p.arch == "" {
		return false
	}
	if p.variant == q.variant {
		return true
	}
	a, errA := strconv.ParseFloat(strings.TrimPrefix(p.variant, "v"), 64)
	b, errB := strconv.ParseFloat(strings.TrimPrefix(q.variant, "v"), 64)
	return defaults[p.arch] != "" && errA == nil && errB == nil && a <= b
}
