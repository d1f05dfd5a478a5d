package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// signature is one that was found with an image: over message, by whoever
// made one of sigs. Nothing in it is to be believed before a key verified it.
type signature struct {
	message []byte
	sigs    [][]byte
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
// in base64.
func parseSimple(payload []byte, encoded string) (signature, error) {
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil || len(sig) == 0 {
		return signature{}, errors.New("its signature is not in base64")
	}
	return signature{message: payload, sigs: [][]byte{sig}, digest: func(string) (string, error) { return simpleDigest(payload) }}, nil
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

// bundle is what we need of a Sigstore bundle: its time stamps and entries of
// a transparency log are not looked at.
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
func parseBundle(data []byte, digest string, manifest func() ([]byte, error)) (signature, error) {
	var b bundle
	if err := json.Unmarshal(data, &b); err != nil {
		return signature{}, fmt.Errorf("read the bundle: %w", err)
	}
	switch {
	case !strings.HasPrefix(b.MediaType, bundleType):
		return signature{}, fmt.Errorf("a bundle of type %q is not known", b.MediaType)
	case (b.Envelope == nil) == (b.Message == nil):
		return signature{}, errors.New("the bundle has neither one envelope nor one signature")
	case b.Envelope != nil:
		return b.Envelope.signature()
	}
	if len(b.Message.Signature) == 0 {
		return signature{}, errors.New("the bundle's signature is empty")
	}
	of := fmt.Sprintf("sha256:%x", b.Message.Digest.Digest)
	if b.Message.Digest.Algorithm != "SHA2_256" {
		return signature{}, fmt.Errorf("a digest by %q is not known", b.Message.Digest.Algorithm)
	}
	if of != digest {
		return signature{}, fmt.Errorf("%w: %s", ErrOtherDigest, of)
	}
	message, err := manifest()
	if err != nil {
		return signature{}, err
	}
	return signature{message: message, sigs: [][]byte{b.Message.Signature}, digest: func(string) (string, error) { return of, nil }}, nil
}

// signature takes the envelope apart; what is signed is the type and the
// payload, each with its length.
func (e envelope) signature() (signature, error) {
	if e.PayloadType != inToto {
		return signature{}, fmt.Errorf("a payload of type %q is not known", e.PayloadType)
	}
	message := "DSSEv1 " + strconv.Itoa(len(e.PayloadType)) + " " + e.PayloadType + " " + strconv.Itoa(len(e.Payload)) + " " + string(e.Payload)
	s := signature{message: []byte(message), digest: func(wanted string) (string, error) { return statementDigest(e.Payload, wanted) }}
	for _, one := range e.Signatures {
		s.sigs = append(s.sigs, one.Sig)
	}
	if len(s.sigs) == 0 || len(s.sigs) > maxSignatures {
		return signature{}, fmt.Errorf("the envelope has %d signatures", len(s.sigs))
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
