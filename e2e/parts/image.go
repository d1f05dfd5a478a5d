package parts

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// ImageOptions say what an image is like.
type ImageOptions struct {
	Labels    map[string]string // in the configuration of each image
	Platforms []string          // "linux/arm64" and so on; makes an index of one image each
}

// PushImage pushes a new image of random content and returns the digest that the tag
// now stands for.
func PushImage(ctx context.Context, registryAddr, repo, tag string, opts ImageOptions) (digest string, err error) {
	ref, err := name.NewTag(fmt.Sprintf("%s/%s:%s", registryAddr, repo, tag), name.Insecure)
	if err != nil {
		return "", fmt.Errorf("push an image: %w", err)
	}
	var hash v1.Hash
	if len(opts.Platforms) == 0 {
		hash, err = pushOne(ctx, ref, opts.Labels)
	} else {
		hash, err = pushIndex(ctx, ref, opts)
	}
	if err != nil {
		return "", fmt.Errorf("push %s: %w", ref, err)
	}
	return hash.String(), nil
}

// DeleteImage deletes an image, with all tags that stand for it.
func DeleteImage(ctx context.Context, registryAddr, repo, digest string) error {
	ref, err := name.NewDigest(fmt.Sprintf("%s/%s@%s", registryAddr, repo, digest), name.Insecure)
	if err == nil {
		err = remote.Delete(ref, remote.WithContext(ctx))
	}
	if err != nil {
		return fmt.Errorf("delete %s of %s: %w", digest, repo, err)
	}
	return nil
}

func pushOne(ctx context.Context, ref name.Tag, labels map[string]string) (v1.Hash, error) {
	image, err := randomImage(labels, v1.Platform{OS: "linux", Architecture: "amd64"})
	if err != nil {
		return v1.Hash{}, err
	}
	if err := remote.Write(ref, image, remote.WithContext(ctx)); err != nil {
		return v1.Hash{}, err
	}
	return image.Digest()
}

func pushIndex(ctx context.Context, ref name.Tag, opts ImageOptions) (v1.Hash, error) {
	var index v1.ImageIndex = empty.Index
	for _, text := range opts.Platforms {
		platform, err := v1.ParsePlatform(text)
		if err != nil {
			return v1.Hash{}, err
		}
		image, err := randomImage(opts.Labels, *platform)
		if err != nil {
			return v1.Hash{}, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(ctx)); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}

func randomImage(labels map[string]string, platform v1.Platform) (v1.Image, error) {
	image, err := random.Image(256, 1)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.Config.Labels = labels
	return mutate.ConfigFile(image, config)
}
