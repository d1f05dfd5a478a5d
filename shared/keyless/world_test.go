package keyless_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/registry"
)

var web = events.ImageRepository{Host: "registry.example.com", Path: "acme/web"}

const (
	actions   = "https://token.actions.githubusercontent.com"
	workflow  = "https://github.com/acme/web/.github/workflows/release.yml@refs/heads/main"
	signType  = "https://sigstore.dev/cosign/sign/v1"
	bundle01  = "application/vnd.dev.sigstore.bundle+json;version=0.1"
	bundle02  = "application/vnd.dev.sigstore.bundle+json;version=0.2"
	bundle03  = "application/vnd.dev.sigstore.bundle.v0.3+json"
	simpleDoc = "application/vnd.dev.cosign.simplesigning.v1+json"
)

// shop is a registry, served over HTTP, with one image in it.
type shop struct {
	t      *testing.T
	repo   name.Repository
	image  v1.Image
	digest string       // of the image
	text   []byte       // its manifest
	asked  atomic.Int64 // requests
	client *registry.Client
	// standIn says that the registry has no API of referrers.
	standIn atomic.Bool
}

func open(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t}
	h := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithReferrersSupport(true))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if s.standIn.Load() && strings.Contains(r.URL.Path, "/referrers/") {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	repo, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://")+"/"+web.Path, name.Insecure)
	ok(t, err)
	s.repo = repo
	s.image, err = random.Image(10, 1)
	ok(t, err)
	ok(t, remote.Write(repo.Tag("1.0.0"), s.image))
	digest, err := s.image.Digest()
	ok(t, err)
	s.digest = digest.String()
	s.text, err = s.image.RawManifest()
	ok(t, err)
	s.client = registry.New([]registry.Host{{Name: web.Host, Endpoint: server.URL, Insecure: true}})
	return s
}

func (s *shop) verify(trust registry.Trust) error {
	return s.client.VerifyCosign(s.t.Context(), events.Image{Repository: web, Digest: s.digest}, trust)
}

// layer is what a signature consists of in a registry.
type layer struct {
	media string
	data  []byte
	notes map[string]string
}

func (s *shop) artifact(layers ...layer) v1.Image {
	s.t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.oci.empty.v1+json")
	for _, l := range layers {
		var err error
		img, err = mutate.Append(img, mutate.Addendum{Layer: static.NewLayer(l.data, types.MediaType(l.media)), Annotations: l.notes, MediaType: types.MediaType(l.media)})
		ok(s.t, err)
	}
	return img
}

// refer pushes a bundle that refers to the image.
func (s *shop) refer(text []byte) {
	s.t.Helper()
	d, err := remote.Head(s.repo.Digest(s.digest))
	ok(s.t, err)
	img := mutate.Annotations(s.artifact(layer{media: bundle03, data: text}), map[string]string{"dev.sigstore.bundle.predicateType": signType}).(v1.Image)
	img = mutate.Subject(img, *d).(v1.Image) // the last: other changes lose it
	at, err := img.Digest()
	ok(s.t, err)
	ok(s.t, remote.Write(s.repo.Digest(at.String()), img))
}

// flood pushes one bundle and lists it many times as referring to the image, at
// the tag that stands in for a registry's API of referrers.
func (s *shop) flood(times int, text []byte) {
	s.t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	one := s.artifact(layer{media: bundle03, data: text})
	for range times {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: one})
	}
	s.standIn.Store(true)
	ok(s.t, remote.WriteIndex(s.repo.Tag(strings.Replace(s.digest, ":", "-", 1)), index))
}

// tag pushes signatures under the image's tag for them.
func (s *shop) tag(layers ...layer) {
	s.t.Helper()
	ok(s.t, remote.Write(s.repo.Tag(strings.Replace(s.digest, ":", "-", 1)+".sig"), s.artifact(layers...)))
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sigstore(t *testing.T) *ca.VirtualSigstore {
	t.Helper()
	v, err := ca.NewVirtualSigstore()
	ok(t, err)
	return v
}

// parts of a trusted root.
type parts struct{ noLogs, noStamps, certificateLogs, onlyRoot bool }

// rootsOf writes the trusted root of a Sigstore.
func rootsOf(t *testing.T, v *ca.VirtualSigstore, p parts) []byte {
	t.Helper()
	rekor, cts, stamps := map[string]*root.TransparencyLog{}, map[string]*root.TransparencyLog{}, v.TimestampingAuthorities()
	raw := func(into, from map[string]*root.TransparencyLog) {
		for id, l := range from {
			var err error
			l.ID, err = hex.DecodeString(id)
			ok(t, err)
			into[id] = l
		}
	}
	if !p.noLogs {
		raw(rekor, v.RekorLogs())
	}
	if p.certificateLogs {
		raw(cts, v.CTLogs())
	}
	if p.noStamps {
		stamps = nil
	}
	authorities := v.FulcioCertificateAuthorities()
	if p.onlyRoot {
		f := *authorities[0].(*root.FulcioCertificateAuthority)
		f.Intermediates = nil
		authorities = []root.CertificateAuthority{&f}
	}
	r, err := root.NewTrustedRoot(root.TrustedRootMediaType01, authorities, cts, stamps, rekor)
	ok(t, err)
	text, err := r.MarshalJSON()
	ok(t, err)
	return text
}

func statement(predicate string, digests ...string) []byte {
	var subjects []string
	for _, d := range digests {
		subjects = append(subjects, `{"digest":{"sha256":"`+strings.TrimPrefix(d, "sha256:")+`"}}`)
	}
	return []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[` + strings.Join(subjects, ",") + `],"predicateType":"` + predicate + `","predicate":{}}`)
}

func payload(digest string) []byte {
	return []byte(`{"critical":{"identity":{"docker-reference":"registry.example.com/acme/web"},"image":{"docker-manifest-digest":"` + digest + `"},"type":"cosign container image signature"},"optional":null}`)
}

// sealed writes a signed entity as a bundle.
func sealed(t *testing.T, v *ca.VirtualSigstore, e *ca.TestEntity, media string, change ...func(*protobundle.Bundle)) []byte {
	t.Helper()
	b := &protobundle.Bundle{MediaType: media, VerificationMaterial: &protobundle.VerificationMaterial{}}
	certificate := &protocommon.X509Certificate{RawBytes: leaf(t, e)}
	b.VerificationMaterial.Content = &protobundle.VerificationMaterial_Certificate{Certificate: certificate}
	if media != bundle03 {
		b.VerificationMaterial.Content = &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: &protocommon.X509CertificateChain{Certificates: []*protocommon.X509Certificate{certificate}}}
	}
	stamps, err := e.Timestamps()
	ok(t, err)
	b.VerificationMaterial.TimestampVerificationData = &protobundle.TimestampVerificationData{}
	for _, s := range stamps {
		b.VerificationMaterial.TimestampVerificationData.Rfc3161Timestamps = append(b.VerificationMaterial.TimestampVerificationData.Rfc3161Timestamps, &protocommon.RFC3161SignedTimestamp{SignedTimestamp: s})
	}
	b.VerificationMaterial.TlogEntries = entriesOf(t, v, e)
	content, err := e.SignatureContent()
	ok(t, err)
	if envelope := content.EnvelopeContent(); envelope != nil {
		raw := envelope.RawEnvelope()
		text, err := base64.StdEncoding.DecodeString(raw.Payload)
		ok(t, err)
		b.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: text, PayloadType: raw.PayloadType, Signatures: []*protodsse.Signature{{Sig: content.Signature()}},
		}}
	} else {
		b.Content = &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: content.MessageSignatureContent().Digest()},
			Signature:     content.Signature(),
		}}
	}
	for _, c := range change {
		c(b)
	}
	text, err := protojson.Marshal(b)
	ok(t, err)
	return text
}

func leaf(t *testing.T, e verify.SignedEntity) []byte {
	t.Helper()
	content, err := e.VerificationContent()
	ok(t, err)
	return content.Certificate().Raw
}

// entriesOf gives the entries of the log with what sigstore-go's own tests
// leave out.
func entriesOf(t *testing.T, v *ca.VirtualSigstore, e *ca.TestEntity) []*protorekor.TransparencyLogEntry {
	t.Helper()
	all, err := e.TlogEntries()
	ok(t, err)
	var entries []*protorekor.TransparencyLogEntry
	for _, one := range all {
		entry := one.TransparencyLogEntry()
		var body struct {
			Kind    string `json:"kind"`
			Version string `json:"apiVersion"`
		}
		ok(t, json.Unmarshal(entry.GetCanonicalizedBody(), &body))
		entry.KindVersion = &protorekor.KindVersion{Kind: body.Kind, Version: body.Version}
		if one.HasInclusionPromise() {
			set, err := v.RekorSignPayload(tlog.RekorPayload{
				Body: base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()), IntegratedTime: entry.GetIntegratedTime(),
				LogIndex: entry.GetLogIndex(), LogID: hex.EncodeToString(entry.GetLogId().GetKeyId()),
			})
			ok(t, err)
			entry.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: set}
		}
		entries = append(entries, entry)
	}
	return entries
}

// withProof adds a proof of inclusion to the entry of a log.
func withProof(t *testing.T, v *ca.VirtualSigstore) func(*protobundle.Bundle) {
	t.Helper()
	return func(b *protobundle.Bundle) {
		entry := b.GetVerificationMaterial().GetTlogEntries()[0]
		proof, err := v.GetInclusionProof(entry.GetCanonicalizedBody())
		ok(t, err)
		sum, err := hex.DecodeString(*proof.RootHash)
		ok(t, err)
		entry.InclusionProof = &protorekor.InclusionProof{
			LogIndex: *proof.LogIndex, TreeSize: *proof.TreeSize, RootHash: sum, Checkpoint: &protorekor.Checkpoint{Envelope: *proof.Checkpoint},
		}
	}
}

// simple writes a signed payload as cosign does under a tag. What of it is left
// out is named by the end of its annotation.
func simple(t *testing.T, v *ca.VirtualSigstore, e *ca.TestEntity, text []byte, without ...string) layer {
	t.Helper()
	content, err := e.SignatureContent()
	ok(t, err)
	stamps, err := e.Timestamps()
	ok(t, err)
	entry := entriesOf(t, v, e)[0]
	b64 := base64.StdEncoding.EncodeToString
	answer := fmt.Sprintf(`{"SignedEntryTimestamp":%q,"Payload":{"body":%q,"integratedTime":%d,"logIndex":%d,"logID":%q}}`,
		b64(entry.GetInclusionPromise().GetSignedEntryTimestamp()), b64(entry.GetCanonicalizedBody()), entry.GetIntegratedTime(), entry.GetLogIndex(), hex.EncodeToString(entry.GetLogId().GetKeyId()))
	l := layer{media: simpleDoc, data: text, notes: map[string]string{
		"dev.cosignproject.cosign/signature":   b64(content.Signature()),
		"dev.sigstore.cosign/certificate":      string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf(t, e)})),
		"dev.sigstore.cosign/bundle":           answer,
		"dev.sigstore.cosign/rfc3161timestamp": fmt.Sprintf(`{"SignedRFC3161Timestamp":%q}`, b64(stamps[0])),
	}}
	for _, w := range without {
		delete(l.notes, "dev.sigstore.cosign/"+w)
	}
	return l
}

func with(l layer, note, value string) layer {
	l.notes["dev.sigstore.cosign/"+note] = value
	return l
}

func sum(text []byte) string { s := sha256.Sum256(text); return "sha256:" + hex.EncodeToString(s[:]) }
