package registry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/slipway-cd/slipway/events"
)

// Created asks when an image was made, as its config says; of several
// platforms the first counts. The time is zero where the image doesn't tell:
// charts, signatures and the like have none. Two or three requests; errors are
// those of [Client.Resolve].
func (c *Client) Created(ctx context.Context, image events.Image) (at time.Time, err error) {
	err = c.ask(ctx, question{image.Repository, image.Tag != "", timeout}, func(ctx context.Context, on target) error {
		d, err := on.puller.Get(ctx, reference(on.repo, image))
		if err != nil {
			return err
		}
		if at, err = created(d); untold(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return time.Time{}, fail("ask the registry for the config of", image.String(), err)
	}
	return at, nil
}

func created(d *remote.Descriptor) (time.Time, error) {
	img, err := first(d)
	if err != nil || img == nil {
		return time.Time{}, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return time.Time{}, err
	}
	return config.Created.Time, nil
}

// first is the image itself, or the first of an index; nil where there is
// none. Attestations stand in an index as images for an unknown system.
func first(d *remote.Descriptor) (v1.Image, error) {
	switch {
	case d.MediaType.IsImage():
		return d.Image()
	case !d.MediaType.IsIndex():
		return nil, nil
	}
	index, m, err := indexOf(d)
	if err != nil {
		return nil, err
	}
	for _, below := range m.Manifests {
		if below.MediaType.IsImage() && (below.Platform == nil || below.Platform.OS != "unknown") {
			return index.Image(below.Digest)
		}
	}
	return nil, nil
}

// indexOf reads an index and what it lists.
func indexOf(d *remote.Descriptor) (v1.ImageIndex, *v1.IndexManifest, error) {
	index, err := d.ImageIndex()
	if err != nil {
		return nil, nil, err
	}
	m, err := index.IndexManifest()
	return index, m, err
}

// untold says that an error is the image's own, and will stay: its config is
// missing, or isn't one.
func untold(err error) bool {
	if err == nil {
		return false
	}
	if t, ok := errors.AsType[*transport.Error](err); ok {
		return t.StatusCode == http.StatusNotFound
	}
	_, syntax := errors.AsType[*json.SyntaxError](err)
	_, kind := errors.AsType[*json.UnmarshalTypeError](err)
	_, moment := errors.AsType[*time.ParseError](err)
	return syntax || kind || moment
}
