package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Signature is one that was found with an image. Nothing in it is to be believed
// before it is verified.
type Signature struct {
	// Message is what is signed: the payload of simple signing, a statement as
	// DSSE encodes it for signing, or the image's manifest.
	Message []byte
	// Signatures are over Message, by whoever made one of them.
	Signatures [][]byte
	// Bundle is the Sigstore bundle in which they came, nil for simple signing.
	Bundle []byte
	// Annotations are those of simple signing, which has its proofs there.
	Annotations map[string]string

	// digest tells which image the message is for, that one where it is among
	// several; errNoSignature where it says something else of an image.
	digest func(wanted string) (string, error)
}

// errNoSignature says that a statement is not the signature of an image but
// something else, a list of its parts for instance.
var errNoSignature = errors.New("it is not the signature of an image")

// The words by which cosign says that an image is signed.
const (
	simpleType    = "cosign container image signature"
	signPredicate = "https://sigstore.dev/cosign/sign/v1"
	inToto        = "application/vnd.in-toto+json"
)

// parseSimple reads a payload of the form "simple signing" with its signature
// in the annotations, in base64.
func parseSimple(payload []byte, notes map[string]string) (Signature, error) {
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(notes[signatureNote]))
	if err != nil || len(sig) == 0 {
		return Signature{}, errors.New("its signature is not in base64")
	}
	return Signature{Message: payload, Signatures: [][]byte{sig}, Annotations: notes, digest: func(string) (string, error) { return simpleDigest(payload) }}, nil
}

func simpleDigest(payload []byte) (string, error) {
	var p struct {
		Critical struct {
			Type  string `json:"type"`
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
		} `json:"critical"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return "", fmt.Errorf("read its payload: %w", err)
	}
	if p.Critical.Type != simpleType && p.Critical.Type != signPredicate {
		return "", errNoSignature
	}
	if p.Critical.Image.Digest == "" {
		return "", errors.New("its payload names no image")
	}
	return p.Critical.Image.Digest, nil
}

// bundle is what we need of a Sigstore bundle: its certificate, time stamps and
// entries of a transparency log are the business of who trusts them.
type bundle struct {
	MediaType string    `json:"mediaType"`
	Envelope  *envelope `json:"dsseEnvelope"`
	Message   *struct {
		Digest struct {
			Algorithm string `json:"algorithm"`
			Digest    []byte `json:"digest"`
		} `json:"messageDigest"`
		Signature []byte `json:"signature"`
	} `json:"messageSignature"`
}

// envelope is a DSSE envelope.
type envelope struct {
	Payload     []byte `json:"payload"`
	PayloadType string `json:"payloadType"`
	Signatures  []struct {
		Sig []byte `json:"sig"`
	} `json:"signatures"`
}

// parseBundle reads a Sigstore bundle, version 0.1 to 0.3. Of one that signs
// the image's manifest itself, that is the message: manifest gives its bytes
// for the digest.
func parseBundle(data []byte, digest string, manifest func() ([]byte, error)) (Signature, error) {
	var b bundle
	if err := json.Unmarshal(data, &b); err != nil {
		return Signature{}, fmt.Errorf("read the bundle: %w", err)
	}
	switch {
	case !strings.HasPrefix(b.MediaType, bundleType):
		return Signature{}, fmt.Errorf("a bundle of type %q is not known", b.MediaType)
	case (b.Envelope == nil) == (b.Message == nil):
		return Signature{}, errors.New("the bundle has neither one envelope nor one signature")
	case b.Envelope != nil:
		return b.Envelope.signature(data)
	}
	if len(b.Message.Signature) == 0 {
		return Signature{}, errors.New("the bundle's signature is empty")
	}
	of := fmt.Sprintf("sha256:%x", b.Message.Digest.Digest)
	if b.Message.Digest.Algorithm != "SHA2_256" {
		return Signature{}, fmt.Errorf("a digest by %q is not known", b.Message.Digest.Algorithm)
	}
	if of != digest {
		return Signature{}, fmt.Errorf("%w: %s", ErrOtherDigest, of)
	}
	message, err := manifest()
	if err != nil {
		return Signature{}, err
	}
	return Signature{Message: message, Signatures: [][]byte{b.Message.Signature}, Bundle: data, digest: func(string) (string, error) { return of, nil }}, nil
}

// signature takes the envelope apart; what is signed is the type and the
// payload, each with its length.
func (e envelope) signature(bundle []byte) (Signature, error) {
	if e.PayloadType != inToto {
		return Signature{}, fmt.Errorf("a payload of type %q is not known", e.PayloadType)
	}
	message := "DSSEv1 " + strconv.Itoa(len(e.PayloadType)) + " " + e.PayloadType + " " + strconv.Itoa(len(e.Payload)) + " " + string(e.Payload)
	s := Signature{Message: []byte(message), Bundle: bundle, digest: func(wanted string) (string, error) { return statementDigest(e.Payload, wanted) }}
	for _, one := range e.Signatures {
		s.Signatures = append(s.Signatures, one.Sig)
	}
	if len(s.Signatures) == 0 || len(s.Signatures) > maxSignatures {
		return Signature{}, fmt.Errorf("the envelope has %d signatures", len(s.Signatures))
	}
	return s, nil
}

func statementDigest(payload []byte, wanted string) (string, error) {
	var s struct {
		Type          string `json:"_type"`
		PredicateType string `json:"predicateType"`
		Subject       []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		return "", fmt.Errorf("read its statement: %w", err)
	}
	if !strings.HasPrefix(s.Type, "https://in-toto.io/Statement/v") || s.PredicateType != signPredicate {
		return "", errNoSignature
	}
	if len(s.Subject) == 0 {
		return "", errors.New("its statement names no image")
	}
	other := ""
	for _, one := range s.Subject {
		if other = "sha256:" + one.Digest["sha256"]; other == wanted {
			break
		}
	}
	return other, nil
}
