// Package keyless trusts signatures by identities: those of which certificates
// of Sigstore's kind speak, that a transparency log or a time stamp proves to
// have been valid when they were used. It asks nobody over the network.
package keyless

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/registry"
)

// Trust is who may sign, and by what roots that is proved. It is safe for
// concurrent use.
type Trust struct {
	roots      *root.TrustedRoot
	options    []verify.VerifierOption
	identities []api.Identity
	id         string
}

// New trusts the identities by a trusted root in Sigstore's JSON form, which the
// file of that name has. Errors begin with name and line.
func New(name string, roots []byte, identities []api.Identity) (*Trust, error) {
	return new(Parsed).Trust(name, roots, identities)
}

func trust(r *root.TrustedRoot, of [sha256.Size]byte, identities []api.Identity) (*Trust, error) {
	if len(identities) == 0 {
		return nil, errors.New("no identities are given")
	}
	text, err := json.Marshal(identities)
	if err != nil {
		return nil, fmt.Errorf("write the identities: %w", err)
	}
	who := sha256.Sum256(text)
	t := &Trust{roots: r, identities: identities, id: hex.EncodeToString(of[:]) + "-" + hex.EncodeToString(who[:])}
	// A certificate lives for minutes: something that is trusted must say when
	// it was used. What else the roots have is demanded as well.
	t.options = []verify.VerifierOption{verify.WithObserverTimestamps(1), verify.WithoutStatementPredicate()}
	if len(r.RekorLogs()) > 0 {
		t.options = append(t.options, verify.WithTransparencyLog(1))
	}
	if len(r.CTLogs()) > 0 {
		t.options = append(t.options, verify.WithSignedCertificateTimestamps(1))
	}
	return t, nil
}

// ID is a fingerprint of the roots and the identities.
func (t *Trust) ID() string { return t.id }

// String names the identities.
func (t *Trust) String() string {
	var all []string
	for _, i := range t.identities {
		all = append(all, i.String())
	}
	return "the identities " + strings.Join(all, ", ")
}

// Verify errs unless one of the identities has signed s.Message.
func (t *Trust) Verify(s registry.Signature) error {
	b, intermediates, err := entity(s)
	if err != nil {
		return err
	}
	content, err := b.VerificationContent()
	if err != nil {
		return fmt.Errorf("read its certificate: %w", err)
	}
	if content.Certificate() == nil {
		return fmt.Errorf("%w: by a key, not by an identity", registry.ErrOtherKey)
	}
	who, err := t.prove(b, intermediates, s.Message)
	if err != nil {
		return err
	}
	for _, i := range t.identities {
		if i.Matches(who.Issuer, who.SubjectAlternativeName) {
			return nil
		}
	}
	return fmt.Errorf("%w: %q by %q", registry.ErrOtherKey, who.SubjectAlternativeName, who.Issuer)
}

// prove verifies everything but who it is, and tells that.
func (t *Trust) prove(b *bundle.Bundle, intermediates intermediates, message []byte) (*certificate.Summary, error) {
	verifier, err := verify.NewVerifier(material{t.roots, intermediates}, t.options...)
	if err != nil {
		return nil, fmt.Errorf("make ready to verify: %w", err)
	}
	artifact := verify.WithArtifact(bytes.NewReader(message))
	if b.GetDsseEnvelope() != nil {
		// The image is compared by the registry's client, in s.Message: that
		// must be what is verified here.
		if err := sameMessage(b, message); err != nil {
			return nil, err
		}
		artifact = verify.WithoutArtifactUnsafe()
	}
	result, err := held(verifier, b, verify.NewPolicy(artifact, verify.WithoutIdentitiesUnsafe()))
	if err != nil {
		return nil, fmt.Errorf("its proof doesn't hold: %s", plain(err))
	}
	if result.Signature == nil || result.Signature.Certificate == nil {
		return nil, errors.New("its proof names nobody")
	}
	return result.Signature.Certificate, nil
}

// held verifies, and takes a panic at something that a stranger wrote for an
// error.
func held(v *verify.Verifier, b *bundle.Bundle, p verify.PolicyBuilder) (result *verify.VerificationResult, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("it lacks something that a proof has")
		}
	}()
	return v.Verify(b, p)
}

// plain is what a library says, bounded: strangers' words may be in it.
func plain(err error) string {
	const most = 400
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ") // protojson's
	text = strings.ReplaceAll(text, "; error: %!w(<nil>)", "")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// sameMessage errs where the envelope doesn't sign the message.
func sameMessage(b *bundle.Bundle, message []byte) error {
	e := b.GetDsseEnvelope()
	if !bytes.Equal(dsse.PAE(e.GetPayloadType(), e.GetPayload()), message) {
		return errors.New("the bundle can be read in two ways")
	}
	return nil
}
