package keyless_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/keyless"
	"github.com/slipway-cd/slipway/shared/registry"
)

func trust(t *testing.T, roots []byte, identities ...api.Identity) *keyless.Trust {
	t.Helper()
	if len(identities) == 0 {
		identities = []api.Identity{{Issuer: "https://other.example.com", Subject: workflow}, {Issuer: actions, Subject: workflow}}
	}
	one, err := keyless.New("r.json", roots, identities)
	ok(t, err)
	return one
}

// signing is what a Sigstore signs with in one test.
type signing struct {
	*shop
	v *ca.VirtualSigstore
}

func (s signing) attest(subject, issuer string, text []byte) *ca.TestEntity {
	s.t.Helper()
	e, err := s.v.AttestAtTime(subject, issuer, text, time.Now().Add(5*time.Minute), true)
	ok(s.t, err)
	return e
}

// attest2 enters the signature into a log of Rekor's second version, whose
// entries have no time.
func (s signing) attest2(text []byte) *ca.TestEntity {
	s.t.Helper()
	e, err := s.v.AttestAtTimeHashedRekordV2(workflow, actions, text, time.Unix(0, 0))
	ok(s.t, err)
	return e
}

func (s signing) sign(subject string, text []byte) *ca.TestEntity {
	s.t.Helper()
	e, err := s.v.Sign(subject, actions, text)
	ok(s.t, err)
	return e
}

func (s signing) seal(e *ca.TestEntity, media string, change ...func(*protobundle.Bundle)) []byte {
	s.t.Helper()
	return sealed(s.t, s.v, e, media, change...)
}

// Every form in which cosign keeps a keyless signature, and every kind of
// proof.
func TestAnImageSignedByAnIdentityIsVerified(t *testing.T) {
	noLog := func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries = nil }
	noStamp := func(b *protobundle.Bundle) { b.VerificationMaterial.TimestampVerificationData = nil }
	for name, c := range map[string]struct {
		sign  func(s signing)
		roots parts
	}{
		"statement, 0.3": {func(s signing) {
			s.refer(s.seal(s.attest(workflow, actions, statement(signType, s.digest)), bundle03))
		}, parts{}},
		"statement, 0.2": {func(s signing) {
			s.refer(s.seal(s.attest(workflow, actions, statement(signType, s.digest)), bundle02))
		}, parts{}},
		"statement, 0.1": {func(s signing) {
			s.refer(s.seal(s.attest(workflow, actions, statement(signType, s.digest)), bundle01))
		}, parts{}},
		"statement of several": {func(s signing) {
			s.refer(s.seal(s.attest(workflow, actions, statement(signType, sum(nil), s.digest)), bundle03))
		}, parts{}},
		"only the log's time": {func(s signing) {
			s.refer(s.seal(s.attest(workflow, actions, statement(signType, s.digest)), bundle03, noStamp))
		}, parts{noStamps: true}},
		"only a time stamp": {func(s signing) {
			s.refer(s.seal(s.attest(workflow, actions, statement(signType, s.digest)), bundle03, noLog))
		}, parts{noLogs: true}},
		"Rekor's second version": {func(s signing) { s.refer(s.seal(s.attest2(statement(signType, s.digest)), bundle03)) }, parts{}},
		"manifest, 0.1":          {func(s signing) { s.refer(s.seal(s.sign(workflow, s.text), bundle01)) }, parts{}},
		"manifest, 0.3":          {func(s signing) { s.refer(s.seal(s.sign(workflow, s.text), bundle03, withProof(s.t, s.v))) }, parts{}},
		"simple signing": {func(s signing) {
			text := payload(s.digest)
			s.tag(simple(s.t, s.v, s.sign(workflow, text), text))
		}, parts{}},
		"simple, no stamp": {func(s signing) {
			text := payload(s.digest)
			s.tag(simple(s.t, s.v, s.sign(workflow, text), text, "rfc3161timestamp"))
		}, parts{}},
		"simple, no log": {func(s signing) {
			text := payload(s.digest)
			s.tag(simple(s.t, s.v, s.sign(workflow, text), text, "bundle"))
		}, parts{noLogs: true}},
		"simple, with a chain": {func(s signing) {
			text := payload(s.digest)
			s.tag(with(simple(s.t, s.v, s.sign(workflow, text), text), "chain", chain(s.v)))
		}, parts{onlyRoot: true}},
		"the second of two": {func(s signing) {
			text := payload(s.digest)
			s.tag(simple(s.t, s.v, s.sign("stranger@example.com", text), text), simple(s.t, s.v, s.sign(workflow, text), text))
		}, parts{}},
		"after nonsense": {func(s signing) {
			s.tag(layer{media: simpleDoc, data: []byte("{}")})
			s.refer([]byte("{"))
			s.refer(s.seal(s.attest(workflow, actions, statement(signType, s.digest)), bundle03))
		}, parts{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := signing{open(t), sigstore(t)}
			c.sign(s)
			ok(t, s.verify(trust(t, rootsOf(t, s.v, c.roots))))
		})
	}
}

// chain is the certificates between a signer's and the root's, as cosign adds
// them.
func chain(v *ca.VirtualSigstore) string {
	var text bytes.Buffer
	f := v.FulcioCertificateAuthorities()[0].(*root.FulcioCertificateAuthority)
	for _, c := range append(f.Intermediates, f.Root) {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return text.String()
}

func TestWhyAKeylessSignatureDoesNotCount(t *testing.T) {
	other := sum([]byte("another image"))
	for name, c := range map[string]struct {
		sign  func(s signing)
		roots parts
		want  error
		tell  string
	}{
		"unsigned": {func(signing) {}, parts{}, registry.ErrUnsigned, "yet"},
		"another issuer": {func(s signing) {
			s.refer(s.seal(s.attest(workflow, "https://evil.example.com", statement(signType, s.digest)), bundle03))
		}, parts{}, registry.ErrOtherKey, `"` + workflow + `" by "https://evil.example.com"`},
		"another subject": {func(s signing) {
			s.refer(s.seal(s.attest("maria@example.com", actions, statement(signType, s.digest)), bundle03))
		}, parts{}, registry.ErrOtherKey, `"maria@example.com" by "` + actions + `"`},
		"more than the subject": {func(s signing) {
			s.refer(s.seal(s.attest(workflow+"-evil", actions, statement(signType, s.digest)), bundle03))
		}, parts{}, registry.ErrOtherKey, "-evil"},
		"simple, another subject": {func(s signing) {
			text := payload(s.digest)
			s.tag(simple(s.t, s.v, s.sign("maria@example.com", text), text))
		}, parts{}, registry.ErrOtherKey, "maria@example.com"},
		"by a key": {func(s signing) {
			s.tag(layer{media: simpleDoc, data: payload(s.digest), notes: map[string]string{"dev.cosignproject.cosign/signature": "eA=="}})
		}, parts{}, registry.ErrOtherKey, "by a key, not by an identity"},
		"a bundle by a key": {func(s signing) {
			s.refer(s.seal(s.attest(workflow, actions, statement(signType, s.digest)), bundle03, func(b *protobundle.Bundle) {
				b.VerificationMaterial.Content = &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: "x"}}
			}))
		}, parts{}, registry.ErrOtherKey, "by a key, not by an identity"},
		"another authority": {func(s signing) {
			s.refer(signing{s.shop, sigstore(s.t)}.bundle(bundle03))
		}, parts{noLogs: true}, registry.ErrBadSignature, "proof"},
		"another authority's certificate, our log": {func(s signing) {
			theirs := signing{s.shop, sigstore(s.t)}
			e := theirs.attest(workflow, actions, statement(signType, s.digest))
			stamp, err := s.v.TimestampResponse(signatureOf(s.t, e))
			ok(s.t, err)
			s.refer(theirs.seal(e, bundle03, func(b *protobundle.Bundle) {
				b.VerificationMaterial.TimestampVerificationData.Rfc3161Timestamps[0].SignedTimestamp = stamp
			}))
		}, parts{noLogs: true}, registry.ErrBadSignature, "leaf certificate"},
		"no entry in the log": {func(s signing) {
			s.refer(s.bundle(bundle03, func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries = nil }))
		}, parts{}, registry.ErrBadSignature, "not enough verified log entries"},
		"no certificate's log": {func(s signing) { s.refer(s.bundle(bundle03)) }, parts{certificateLogs: true}, registry.ErrBadSignature, "signed certificate timestamp"},
		"no time": {func(s signing) {
			s.refer(s.seal(s.attest2(statement(signType, s.digest)), bundle03, func(b *protobundle.Bundle) { b.VerificationMaterial.TimestampVerificationData = nil }))
		}, parts{}, registry.ErrBadSignature, "timestamp"},
		"a time when the certificate was over": {func(s signing) {
			e, err := s.v.AttestAtTime(workflow, actions, statement(signType, s.digest), time.Now().Add(30*time.Minute), true)
			ok(s.t, err)
			s.refer(s.seal(e, bundle03, func(b *protobundle.Bundle) { b.VerificationMaterial.TimestampVerificationData = nil }))
		}, parts{}, registry.ErrBadSignature, "outside certificate validity"},
		"the log's promise was changed": {func(s signing) {
			s.refer(s.bundle(bundle01, func(b *protobundle.Bundle) {
				b.VerificationMaterial.TlogEntries[0].InclusionPromise.SignedEntryTimestamp[9] ^= 1
			}))
		}, parts{}, registry.ErrBadSignature, "log"},
		"entry of another signature": {func(s signing) {
			another := entriesOf(s.t, s.v, s.attest(workflow, actions, statement(signType, s.digest)))
			s.refer(s.bundle(bundle03, func(b *protobundle.Bundle) { b.VerificationMaterial.TlogEntries = another }))
		}, parts{}, registry.ErrBadSignature, "does not match"},
		"the statement was changed": {func(s signing) {
			s.refer(s.seal(s.attest(workflow, actions, statement(signType, other)), bundle03, func(b *protobundle.Bundle) {
				b.GetDsseEnvelope().Payload = statement(signType, s.digest)
			}))
		}, parts{}, registry.ErrBadSignature, "proof"},
		"the payload was changed": {func(s signing) {
			l := simple(s.t, s.v, s.sign(workflow, payload(other)), payload(other))
			l.data = payload(s.digest)
			s.tag(l)
		}, parts{}, registry.ErrBadSignature, "proof"},
		"statement of another image": {func(s signing) {
			s.refer(s.seal(s.attest(workflow, actions, statement(signType, other)), bundle03))
		}, parts{}, registry.ErrOtherDigest, other},
		"payload of another image": {func(s signing) {
			s.tag(simple(s.t, s.v, s.sign(workflow, payload(other)), payload(other)))
		}, parts{}, registry.ErrOtherDigest, other},
		"manifest of another image": {func(s signing) { s.refer(s.seal(s.sign(workflow, []byte("another image")), bundle01)) }, parts{}, registry.ErrOtherDigest, other},
		"an attestation": {func(s signing) {
			s.refer(s.seal(s.attest(workflow, actions, statement("https://slsa.dev/provenance/v1", s.digest)), bundle03))
		}, parts{}, registry.ErrUnsigned, ""},
		"no certificate in it": {func(s signing) {
			l := simple(s.t, s.v, s.sign(workflow, payload(s.digest)), payload(s.digest))
			s.tag(with(l, "certificate", "hunter2"))
		}, parts{}, registry.ErrBadSignature, "certificate"},
		"no entry that can be read": {func(s signing) {
			l := simple(s.t, s.v, s.sign(workflow, payload(s.digest)), payload(s.digest))
			s.tag(with(l, "bundle", "{"))
		}, parts{}, registry.ErrBadSignature, "transparency log"},
		// What encoding/json takes for the envelope is another than protojson's.
		"a bundle of two minds": {func(s signing) {
			good := s.seal(s.attest(workflow, actions, statement(signType, other)), bundle03)
			lie := base64.StdEncoding.EncodeToString(statement(signType, s.digest))
			s.refer(append(good[:len(good)-1], fmt.Appendf(nil, `,"DSSEENVELOPE":{"payload":%q,"payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"eA=="}]}}`, lie)...))
		}, parts{}, registry.ErrBadSignature, "bundle"},
		"a flood": {func(s signing) { s.flood(1000, []byte("{")) }, parts{}, registry.ErrBadSignature, "only the first 100"},
	} {
		t.Run(name, func(t *testing.T) {
			s := signing{open(t), sigstore(t)}
			c.sign(s)
			before := s.asked.Load()
			err := s.verify(trust(t, rootsOf(t, s.v, c.roots)))
			if asked := s.asked.Load() - before; asked > 210 {
				t.Errorf("the registry was asked %d times", asked)
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.tell) {
				t.Fatalf("verify: %v, want %v with %q", err, c.want, c.tell)
			}
		})
	}
}

func (s signing) bundle(media string, change ...func(*protobundle.Bundle)) []byte {
	s.t.Helper()
	return s.seal(s.attest(workflow, actions, statement(signType, s.digest)), media, change...)
}

func signatureOf(t *testing.T, e *ca.TestEntity) []byte {
	t.Helper()
	content, err := e.SignatureContent()
	ok(t, err)
	return content.Signature()
}
