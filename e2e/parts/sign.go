package parts

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// SignImage signs an image's digest as `cosign sign --key` does: by an artifact
// under the tag sha256-….sig.
func SignImage(ctx context.Context, registryAddr, repo, digest string, key *ecdsa.PrivateKey) error {
	image := registryAddr + "/" + repo
	tag, err := name.NewTag(image+":"+strings.Replace(digest, ":", "-", 1)+".sig", name.Insecure)
	if err != nil {
		return fmt.Errorf("sign %s: %w", image, err)
	}
	payload, err := json.Marshal(map[string]any{"critical": map[string]any{
		"identity": map[string]string{"docker-reference": image},
		"image":    map[string]string{"docker-manifest-digest": digest},
		"type":     "cosign container image signature",
	}, "optional": nil})
	if err != nil {
		return fmt.Errorf("sign %s: %w", image, err)
	}
	sum := sha256.Sum256(payload)
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		return fmt.Errorf("sign %s: %w", image, err)
	}
	signed, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
		Layer:       static.NewLayer(payload, "application/vnd.dev.cosign.simplesigning.v1+json"),
		Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(signature)},
	})
	if err != nil {
		return fmt.Errorf("sign %s: %w", image, err)
	}
	if err := remote.Write(tag, signed, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("push the signature of %s: %w", image, err)
	}
	return nil
}
