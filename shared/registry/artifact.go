package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-cd/slipway/events"
)

var (
	// ErrOther says that an artifact is of another kind than asked for.
	ErrOther = errors.New("it is an artifact of another kind")
	// ErrTooLarge says that a layer is larger than what was asked for.
	ErrTooLarge = errors.New("it is too large")
)

// blobWithin is how long a place may take for a layer.
const blobWithin = time.Minute

// Layer asks for the one layer of a media type of an artifact whose config is of
// another, and which has at most so many bytes. The bytes are what
// its manifest says, and digest is that one's: the artifact's. Errors are those of [Client.Resolve], [ErrOther] and [ErrTooLarge].
func (c *Client) Layer(ctx context.Context, image events.Image, config, layer string, most int64) (digest string, data []byte, err error) {
	var m *v1.Manifest
	err = c.ask(ctx, question{image.Repository, image.Tag != "", timeout}, func(ctx context.Context, at target) error {
		d, err := at.puller.Get(ctx, reference(at.repo, image))
		if err != nil {
			return err
		}
		if m = nil; !d.MediaType.IsImage() {
			return nil
		}
		img, err := d.Image()
		if err != nil {
			return err
		}
		digest = d.Digest.String()
		m, err = img.Manifest()
		return err
	})
	if err != nil {
		return "", nil, fail("ask the registry for", image.String(), err)
	}
	found, err := layerOf(m, config, layer, most)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", image, err)
	}
	err = c.ask(ctx, question{image.Repository, false, blobWithin}, func(ctx context.Context, at target) error {
		l, err := at.puller.Layer(ctx, at.repo.Digest(found.Digest.String()))
		if err != nil {
			return err
		}
		r, err := l.Compressed() // fails where the bytes are not those of the digest
		if err != nil {
			return err
		}
		defer r.Close() // nothing was written
		data, err = io.ReadAll(io.LimitReader(r, found.Size+1))
		if err == nil && int64(len(data)) != found.Size {
			err = fmt.Errorf("it has %d bytes and should have %d", len(data), found.Size)
		}
		return err
	})
	if err != nil {
		return "", nil, fail("fetch a layer of", image.String(), err)
	}
	return digest, data, nil
}

func layerOf(m *v1.Manifest, config, layer string, most int64) (v1.Descriptor, error) {
	if m == nil || string(m.Config.MediaType) != config {
		return v1.Descriptor{}, fmt.Errorf("%w: it is none with a config of %s", ErrOther, config)
	}
	var found []v1.Descriptor
	for _, l := range m.Layers {
		if string(l.MediaType) == layer {
			found = append(found, l)
		}
	}
	switch {
	case len(found) != 1:
		return v1.Descriptor{}, fmt.Errorf("%w: it has %d layers of %s, not one", ErrOther, len(found), layer)
	case found[0].Size < 0 || found[0].Size > most:
		return v1.Descriptor{}, fmt.Errorf("%w: %d bytes, and %d are the most", ErrTooLarge, found[0].Size, most)
	}
	return found[0], nil
}
