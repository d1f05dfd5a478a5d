package registry

import (
	"context"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-cd/slipway/events"
)

// revisionKey is the OCI image specification's name for the commit that an
// image was built of, as a label and as an annotation.
const revisionKey = "org.opencontainers.image.revision"

// Revision asks which revision of its source an image was built of: by its
// index's annotation, its config's label or its manifest's annotation; of
// several platforms the first counts. It is empty where the image doesn't
// tell. The digest counts where there is one, else the tag. Errors are those of
// [Client.Resolve].
func (c *Client) Revision(ctx context.Context, image events.Image) (told string, err error) {
	err = c.ask(ctx, question{image.Repository, image.Digest == "", timeout}, func(ctx context.Context, at target) error {
		d, err := at.puller.Get(ctx, pinned(at.repo, image))
		if err != nil {
			return err
		}
		if told, err = revision(d); untold(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return "", fail("ask the registry for the revision of", image.String(), err)
	}
	return strings.TrimSpace(told), nil
}

func revision(d *remote.Descriptor) (string, error) {
	if d.MediaType.IsIndex() {
		_, m, err := indexOf(d)
		if err != nil {
			return "", err
		}
		if told := m.Annotations[revisionKey]; told != "" {
			return told, nil
		}
	}
	img, err := first(d)
	if err != nil || img == nil {
		return "", err
	}
	config, err := img.ConfigFile()
	if err != nil && !untold(err) {
		return "", err
	}
	if err == nil && config.Config.Labels[revisionKey] != "" {
		return config.Config.Labels[revisionKey], nil
	}
	m, err := img.Manifest()
	if err != nil {
		return "", err
	}
	return m.Annotations[revisionKey], nil
}
