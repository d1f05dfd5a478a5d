package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/slipway-cd/slipway/events"
)

var (
	// ErrUnsigned says that an image has no signature yet: one may come.
	ErrUnsigned = errors.New("the image is not signed (yet)")
	// ErrOtherKey says that an image has signatures, and none by our keys or
	// identities.
	ErrOtherKey = errors.New("the image is signed by someone else")
	// ErrOtherDigest says that a signature by who is trusted, where it lies with
	// the image, is for another one.
	ErrOtherDigest = errors.New("the signature is for another digest")
	// ErrBadSignature says that what lies with the image as its signature
	// can't be read, or doesn't prove who made it.
	ErrBadSignature = errors.New("the image's signature is not valid")
)

// Where cosign keeps signatures, and what they are.
const (
	simpleMedia     = "application/vnd.dev.cosign.simplesigning.v1+json"
	referrerMedia   = "application/vnd.dev.cosign.artifact.sig.v1+json"
	emptyMedia      = "application/vnd.oci.empty.v1+json"
	bundleType      = "application/vnd.dev.sigstore.bundle"
	signatureNote   = "dev.cosignproject.cosign/signature"
	predicateNote   = "dev.sigstore.bundle.predicateType"
	maxPayload      = 1 << 20
	maxSignatures   = 100
	signatureWithin = 30 * time.Second
)

// Trust says whose signatures count: [Keys], or the identities of package
// keyless.
type Trust interface {
	// ID tells who is trusted, and by what proof: what was verified for one ID
	// isn't for another.
	ID() string
	// String names who is trusted, as "the key with the fingerprint …".
	String() string
	// Verify errs unless one who is trusted has signed s.Message: with
	// [ErrOtherKey] where it was someone else, else with what is wrong with the
	// signature.
	Verify(s Signature) error
}

// VerifyCosign verifies that one who is trusted has signed the image's digest,
// as `cosign verify` does: by signatures under the tag sha256-….sig, or by
// those that refer to the image (version 3's bundles, by the registry's API or
// the tag that stands in for it).
//
// It errs with [ErrUnsigned], [ErrOtherKey], [ErrOtherDigest] or
// [ErrBadSignature]; other errors are the registry's and may pass.
func (c *Client) VerifyCosign(ctx context.Context, image events.Image, trust Trust) error {
	digest, err := v1.NewHash(image.Digest)
	if err != nil || digest.Algorithm != "sha256" {
		return fmt.Errorf("verify %s: it has no digest by SHA-256", image)
	}
	if trust == nil {
		return fmt.Errorf("verify %s: nobody is trusted", image)
	}
	var verdict error
	err = c.ask(ctx, question{image.Repository, true, signatureWithin}, func(ctx context.Context, at target) error {
		v := &verifier{ctx: ctx, repo: at.repo, puller: at.puller, image: at.repo.Digest(image.Digest), digest: image.Digest, trust: trust}
		verdict = nil
		for _, look := range []func() error{v.underTag, v.referring} {
			err := look()
			if v.good {
				return nil
			}
			if err != nil {
				return err
			}
		}
		verdict = v.verdict()
		return nil
	})
	switch {
	case err != nil:
		return fail("ask the registry for the signatures of", image.String(), err)
	case verdict != nil:
		return fmt.Errorf("verify %s: %w", image, verdict)
	}
	return nil
}

// verifier counts what was found with one image.
type verifier struct {
	ctx    context.Context // of the one call
	repo   name.Repository
	puller *remote.Puller
	image  name.Digest
	digest string
	trust  Trust

	good          bool
	found, looked int    // signatures, and artifacts that may have some
	others        int    // by others than those trusted
	who           error  // the first of them
	elsewhere     string // what a signature by one trusted is for instead
	unreadable    error
	failed        error // the registry's, while something was read
	tooMany       bool
}

// underTag looks where cosign keeps signatures up to version 2.
func (v *verifier) underTag() error {
	d, err := v.puller.Get(v.ctx, v.repo.Tag(strings.Replace(v.digest, ":", "-", 1)+".sig"))
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return v.artifact(d)
}

// referring looks at what refers to the image.
func (v *verifier) referring() error {
	index, err := remote.Referrers(v.image, remote.Reuse(v.puller), remote.WithContext(v.ctx))
	if err != nil {
		return err
	}
	m, err := index.IndexManifest()
	if err != nil {
		v.unread(err)
		return nil
	}
	for _, d := range m.Manifests {
		predicate := d.Annotations[predicateNote]
		if !signs(d.ArtifactType) || (predicate != "" && predicate != signPredicate) {
			continue
		}
		if v.good || v.full(v.looked) {
			return nil
		}
		v.looked++
		one, err := v.puller.Get(v.ctx, v.repo.Digest(d.Digest.String()))
		if missing(err) {
			continue // it was taken back
		}
		if err != nil {
			return err
		}
		if err := v.artifact(one); err != nil {
			return err
		}
	}
	return nil
}

// signs says whether an artifact of that type may be a signature. Some
// registries don't tell the type, or tell that of its empty config.
func signs(artifact string) bool {
	return artifact == "" || artifact == emptyMedia || artifact == referrerMedia || strings.HasPrefix(artifact, bundleType)
}

// artifact verifies the signatures in one artifact, each of which is a layer.
func (v *verifier) artifact(d *remote.Descriptor) error {
	if !d.MediaType.IsImage() {
		v.unread(fmt.Errorf("it is a %q", d.MediaType))
		return nil
	}
	img, err := d.Image()
	if err != nil {
		return err
	}
	m, err := img.Manifest()
	if err != nil {
		v.unread(err)
		return nil
	}
	for _, layer := range m.Layers {
		simple, bundled := string(layer.MediaType) == simpleMedia, strings.HasPrefix(string(layer.MediaType), bundleType)
		if !simple && !bundled {
			continue
		}
		if v.good || v.full(v.found) {
			return nil
		}
		v.found++
		data, err := v.blob(layer)
		if err != nil {
			return err
		}
		if data != nil {
			v.check(layer, data, bundled)
		}
		if v.failed != nil {
			return v.failed
		}
	}
	return nil
}

// full says whether n are enough to look at.
func (v *verifier) full(n int) bool {
	v.tooMany = v.tooMany || n >= maxSignatures
	return v.tooMany
}

// blob reads one layer, nil where it is none.
func (v *verifier) blob(layer v1.Descriptor) ([]byte, error) {
	if layer.Size > maxPayload {
		v.unread(fmt.Errorf("it has %d bytes, more than %d", layer.Size, maxPayload))
		return nil, nil
	}
	l, err := v.puller.Layer(v.ctx, v.repo.Digest(layer.Digest.String()))
	if err != nil {
		return nil, err
	}
	r, err := l.Compressed()
	if missing(err) {
		v.unread(errors.New("its payload is missing"))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxPayload+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxPayload:
		v.unread(fmt.Errorf("it has more than %d bytes", maxPayload))
		return nil, nil
	}
	return data, nil
}

// check verifies one signature and counts it.
func (v *verifier) check(layer v1.Descriptor, data []byte, bundled bool) {
	var s Signature
	var err error
	if bundled {
		s, err = parseBundle(data, v.digest, v.manifest)
	} else {
		s, err = parseSimple(data, layer.Annotations)
	}
	if err != nil {
		v.unread(err)
		return
	}
	digest, err := s.digest(v.digest)
	if errors.Is(err, errNoSignature) {
		return // a list of its parts, for instance
	}
	by := v.trust.Verify(s)
	switch {
	case errors.Is(by, ErrOtherKey):
		v.others++
		if v.who == nil {
			v.who = by
		}
	case by != nil:
		v.unread(by)
	case err != nil:
		v.unread(err)
	case digest == v.digest:
		v.good = true
	default:
		v.elsewhere = digest
	}
}

// manifest gives the image's own bytes, whose digest go-containerregistry
// compares.
func (v *verifier) manifest() ([]byte, error) {
	d, err := v.puller.Get(v.ctx, v.image)
	if err != nil {
		v.failed = err
		return nil, err
	}
	return d.Manifest, nil
}

func (v *verifier) unread(err error) {
	if v.unreadable == nil {
		v.unreadable = err
	}
}

// verdict is why no signature counts, the most telling reason first.
func (v *verifier) verdict() error {
	more := ""
	if v.tooMany {
		more = fmt.Sprintf(" (only the first %d were looked at)", maxSignatures)
	}
	switch {
	case v.elsewhere != "":
		return fmt.Errorf("%w: %q%s", ErrOtherDigest, v.elsewhere, more)
	case v.others > 0:
		return fmt.Errorf("%w (%d signatures%s, none by %s)", v.who, v.others, more, v.trust)
	case errors.Is(v.unreadable, ErrOtherDigest):
		return v.unreadable
	case v.unreadable != nil:
		return fmt.Errorf("%w: %w%s", ErrBadSignature, v.unreadable, more)
	}
	return ErrUnsigned
}

// missing says that the registry has no such thing.
func missing(err error) bool {
	t, ok := errors.AsType[*transport.Error](err)
	return ok && t.StatusCode == http.StatusNotFound
}
