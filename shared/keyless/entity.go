package keyless

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/slipway-cd/slipway/shared/registry"
)

// Where cosign keeps the proofs of simple signing.
const (
	certificateNote = "dev.sigstore.cosign/certificate"
	chainNote       = "dev.sigstore.cosign/chain"
	logNote         = "dev.sigstore.cosign/bundle"
	timeNote        = "dev.sigstore.cosign/rfc3161timestamp"
)

// maxChain bounds the certificates that come with one signature.
const maxChain = 10

// entity is a signature as sigstore-go reads it, with the certificates between
// the roots' and the signer's that came with it.
func entity(s registry.Signature) (*bundle.Bundle, intermediates, error) {
	if s.Bundle != nil {
		b, err := read(s.Bundle)
		return b, nil, err
	}
	return simple(s)
}

// read reads a bundle. Those from version 0.3 on may bring a chain.
func read(text []byte) (*bundle.Bundle, error) {
	pb := &protobundle.Bundle{}
	if err := protojson.Unmarshal(text, pb); err != nil {
		_, what := reason(err)
		return nil, fmt.Errorf("read the bundle: %s", what)
	}
	b, err := sealed(pb)
	if err != nil {
		return nil, fmt.Errorf("read the bundle: %s", plain(err))
	}
	return b, nil
}

// sealed makes a bundle of its parts; where the library panics at what a
// stranger wrote, that is an error.
func sealed(pb *protobundle.Bundle) (b *bundle.Bundle, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("it lacks something that a bundle has")
		}
	}()
	b, err = bundle.NewBundle(pb)
	if err != nil && pb.GetVerificationMaterial().GetX509CertificateChain() != nil {
		if with, failed := bundle.NewBundle(pb, bundle.AllowCertificateChain()); failed == nil {
			return with, nil
		}
	}
	return b, err
}

// simple makes a bundle of simple signing and its annotations.
func simple(s registry.Signature) (*bundle.Bundle, intermediates, error) {
	if s.Annotations[certificateNote] == "" {
		return nil, nil, fmt.Errorf("%w: by a key, not by an identity", registry.ErrOtherKey)
	}
	leaf, err := certificates(s.Annotations[certificateNote])
	if err != nil {
		return nil, nil, fmt.Errorf("read its certificate: %w", err)
	}
	between, err := certificates(s.Annotations[chainNote])
	if err != nil {
		return nil, nil, fmt.Errorf("read its certificate's chain: %w", err)
	}
	if len(leaf) != 1 || len(s.Signatures) != 1 {
		return nil, nil, fmt.Errorf("it has %d certificates and %d signatures, not one of each", len(leaf), len(s.Signatures))
	}
	proof := &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_X509CertificateChain{
		X509CertificateChain: &protocommon.X509CertificateChain{Certificates: []*protocommon.X509Certificate{{RawBytes: leaf[0].Raw}}},
	}}
	if proof.TlogEntries, err = entries(s.Annotations[logNote]); err != nil {
		return nil, nil, fmt.Errorf("read its entry of the transparency log: %w", err)
	}
	if proof.TimestampVerificationData, err = stamps(s.Annotations[timeNote]); err != nil {
		return nil, nil, fmt.Errorf("read its time stamp: %w", err)
	}
	digest := digestAs(proof.GetTlogEntries(), s.Message)
	b, err := sealed(&protobundle.Bundle{
		// The version whose entries need no proof of inclusion beside the log's
		// signed promise.
		MediaType:            "application/vnd.dev.sigstore.bundle+json;version=0.1",
		VerificationMaterial: proof,
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: digest, Signature: s.Signatures[0],
		}},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read its proofs: %s", plain(err))
	}
	return b, between, nil
}

// digestAs gives the message's digest by the algorithm of its entry in the log,
// else by SHA-256: it must be the one by which the signer's key signs.
func digestAs(entries []*protorekor.TransparencyLogEntry, message []byte) *protocommon.HashOutput {
	var body struct {
		Spec struct {
			Data struct {
				Hash struct {
					Algorithm string `json:"algorithm"`
				} `json:"hash"`
			} `json:"data"`
		} `json:"spec"`
	}
	if len(entries) == 1 {
		_ = json.Unmarshal(entries[0].GetCanonicalizedBody(), &body) // what is no entry is refused later
	}
	switch body.Spec.Data.Hash.Algorithm {
	case "sha384":
		sum := sha512.Sum384(message)
		return &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_384, Digest: sum[:]}
	case "sha512":
		sum := sha512.Sum512(message)
		return &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_512, Digest: sum[:]}
	}
	sum := sha256.Sum256(message)
	return &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum[:]}
}

// certificates reads certificates in PEM form.
func certificates(text string) (intermediates, error) {
	var all intermediates
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if all = append(all, c); len(all) > maxChain {
			return nil, fmt.Errorf("there are more than %d", maxChain)
		}
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("it is not in PEM form")
	}
	return all, nil
}

// entries reads what Rekor answered when the signature was entered.
func entries(text string) ([]*protorekor.TransparencyLogEntry, error) {
	if text == "" {
		return nil, nil
	}
	var answer struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body           []byte `json:"body"`
			IntegratedTime int64  `json:"integratedTime"`
			LogIndex       int64  `json:"logIndex"`
			LogID          string `json:"logID"`
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(answer.Payload.LogID)
	if err != nil {
		return nil, fmt.Errorf("its logID is not in hex: %w", err)
	}
	var body struct {
		Kind    string `json:"kind"`
		Version string `json:"apiVersion"`
	}
	if err := json.Unmarshal(answer.Payload.Body, &body); err != nil {
		return nil, fmt.Errorf("read its body: %w", err)
	}
	return []*protorekor.TransparencyLogEntry{{
		LogIndex: answer.Payload.LogIndex, LogId: &protocommon.LogId{KeyId: id},
		KindVersion:       &protorekor.KindVersion{Kind: body.Kind, Version: body.Version},
		IntegratedTime:    answer.Payload.IntegratedTime,
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: answer.SignedEntryTimestamp},
		CanonicalizedBody: answer.Payload.Body,
	}}, nil
}

// stamps reads a time stamp by RFC 3161.
func stamps(text string) (*protobundle.TimestampVerificationData, error) {
	if text == "" {
		return nil, nil
	}
	var answer struct{ SignedRFC3161Timestamp []byte }
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, err
	}
	return &protobundle.TimestampVerificationData{
		Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: answer.SignedRFC3161Timestamp}},
	}, nil
}
