package events

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"
)

// Artifact is what a registry told of an image: a claim, to be looked up.
type Artifact struct {
	Registry   string     `json:"registry"`             // host[:port]
	Repository string     `json:"repository"`           // path without host
	Tag        string     `json:"tag,omitempty"`        // empty for a push by digest
	Digest     string     `json:"digest,omitempty"`     // empty where the sender doesn't tell a valid one
	MediaType  string     `json:"mediaType,omitempty"`  // of the manifest
	Provider   string     `json:"provider"`             // which webhook format, or "sweep"
	Source     string     `json:"source"`               // name of the webhook source in the config
	DeliveryID string     `json:"deliveryId,omitempty"` // the sender's
	PushedAt   *time.Time `json:"pushedAt,omitempty"`   // by the sender's clock
	Pusher     string     `json:"pusher,omitempty"`
}

// Image is the reference that the artifact names.
func (a Artifact) Image() Image {
	return Image{Repository: ImageRepository{Host: a.Registry, Path: a.Repository}, Tag: a.Tag, Digest: a.Digest}
}

// Key is the image repository.
func (a Artifact) Key() string { return a.Registry + "/" + a.Repository }

// SubjectID is a package URL (purl-spec, type oci).
func (a Artifact) SubjectID() string { return ImagePURL(a.Image()) }

// Validate holds the names to their grammar.
func (a Artifact) Validate() error {
	var faults []error
	if _, err := ParseImageRepository(a.Key(), nil); err != nil {
		faults = append(faults, err)
	}
	if a.Tag != "" && !ValidTag(a.Tag) {
		faults = append(faults, fmt.Errorf("tag %q is not in OCI's grammar", a.Tag))
	}
	if a.Digest != "" && !ValidDigest(a.Digest) {
		faults = append(faults, fmt.Errorf("digest %q is not a whole digest", a.Digest))
	}
	if a.Provider == "" || a.Source == "" {
		faults = append(faults, errors.New("provider and source are required"))
	}
	return errors.Join(faults...)
}

func (a Artifact) halves() (content, custom any) {
	type user struct {
		User string `json:"user,omitempty"`
	}
	return user{a.Pusher}, a
}

// ImagePURL writes an image as a package URL:
// pkg:oci/web@sha256%3A…?repository_url=ghcr.io/acme/web&tag=1.4.2.
func ImagePURL(i Image) string {
	var b strings.Builder
	b.WriteString("pkg:oci/" + path.Base(i.Repository.Path))
	if i.Digest != "" {
		b.WriteString("@" + url.QueryEscape(i.Digest))
	}
	b.WriteString("?repository_url=" + i.Repository.String())
	if i.Tag != "" {
		b.WriteString("&tag=" + i.Tag)
	}
	return b.String()
}

// ArtifactPublished says that an image or tag was pushed.
type ArtifactPublished struct{ Artifact }

// Type is [ArtifactPublishedType].
func (ArtifactPublished) Type() Type { return ArtifactPublishedType }

func decodeArtifactPublished(h halves) (Payload, error) {
	var p ArtifactPublished
	err := h.into(nil, &p.Artifact)
	return p, err
}

// ArtifactDeleted says that an image or tag was deleted.
type ArtifactDeleted struct{ Artifact }

// Type is [ArtifactDeletedType].
func (ArtifactDeleted) Type() Type { return ArtifactDeletedType }

func decodeArtifactDeleted(h halves) (Payload, error) {
	var p ArtifactDeleted
	err := h.into(nil, &p.Artifact)
	return p, err
}
