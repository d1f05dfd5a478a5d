package image

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// Built is an image of one platform with its bill of materials.
type Built struct {
	Image v1.Image
	BOM   []byte
}

// WriteLayout writes a folder in the form of the OCI image layout, which tools push to
// registries: an index of the platforms, and beside it what refers to its images. What
// was in the folder before is removed.
func WriteLayout(dir string, builds map[string]Built) (digest v1.Hash, err error) {
	images := map[string]v1.Image{}
	for platform, b := range builds {
		images[platform] = b.Image
	}
	index, err := Index(images)
	if err != nil {
		return digest, err
	}
	if digest, err = index.Digest(); err != nil {
		return digest, fmt.Errorf("write %s: %w", dir, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return digest, fmt.Errorf("write %s: %w", dir, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return digest, fmt.Errorf("write %s: %w", dir, err)
	}
	to, err := layout.Write(dir, empty.Index)
	if err != nil {
		return digest, fmt.Errorf("write %s: %w", dir, err)
	}
	if err := to.AppendIndex(index); err != nil {
		return digest, fmt.Errorf("write %s: %w", dir, err)
	}
	platforms := make([]string, 0, len(builds))
	for platform := range builds {
		platforms = append(platforms, platform)
	}
	slices.Sort(platforms)
	for _, platform := range platforms {
		artifact, err := Referrer(builds[platform].Image, builds[platform].BOM)
		if err != nil {
			return digest, err
		}
		if err := to.AppendImage(artifact); err != nil {
			return digest, fmt.Errorf("write %s: %w", dir, err)
		}
	}
	return digest, nil
}
