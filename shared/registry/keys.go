package registry

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// Key is a public key that signatures are verified by.
type Key struct {
	public crypto.PublicKey
	id     string
}

// ID is the fingerprint: SHA-256 of the key's standard form, in hex.
func (k Key) ID() string { return k.id }

// Keys trust signatures by any of them. Entries of a transparency log and time
// stamps are not looked at.
type Keys []Key

// ID is the fingerprints of the keys.
func (k Keys) ID() string { return strings.Join(k.ids(64), " ") }

// String names the keys by their fingerprints' beginnings.
func (k Keys) String() string {
	return "the keys with the fingerprints " + strings.Join(k.ids(16), "…, ") + "…"
}

func (k Keys) ids(length int) []string {
	var ids []string
	for _, one := range k {
		ids = append(ids, one.id[:length])
	}
	return ids
}

// Verify errs with [ErrOtherKey] unless one of the keys has signed.
func (k Keys) Verify(s Signature) error {
	for _, one := range k {
		for _, sig := range s.Signatures {
			if one.verifies(s.Message, sig) {
				return nil
			}
		}
	}
	return ErrOtherKey
}

// minRSA is how many bits an RSA key must have at least.
const minRSA = 2048

// ParseKeys reads one or several public keys in PEM form, as `cosign
// public-key` writes them: ECDSA on P-256, P-384 and P-521, RSA, and Ed25519.
// Errors say what was given instead, and tell nothing of it.
func ParseKeys(text []byte) (Keys, error) {
	var keys Keys
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			break
		}
		k, err := parseKey(block)
		if err != nil {
			return nil, fmt.Errorf("read public key %d: %w", len(keys)+1, err)
		}
		keys = append(keys, k)
	}
	switch {
	case strings.Contains(string(text), "-----BEGIN"):
		return nil, fmt.Errorf("read public key %d: it is cut or damaged", len(keys)+1)
	case len(keys) == 0:
		return nil, errors.New("read public key: there is none in PEM form (`cosign public-key` writes it)")
	}
	return keys, nil
}

func parseKey(block *pem.Block) (Key, error) {
	var public any
	var err error
	switch {
	case block.Type == "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case strings.Contains(block.Type, "PRIVATE KEY"):
		return Key{}, errors.New("it is a private key, which doesn't belong here: give its public half (`cosign public-key`)")
	default:
		return Key{}, fmt.Errorf("it is a %q, not a public key", block.Type)
	}
	if err != nil {
		return Key{}, errors.New("it can't be read")
	}
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() && p.Curve != elliptic.P384() && p.Curve != elliptic.P521() {
			return Key{}, fmt.Errorf("its curve %s is not taken", p.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if p.N.BitLen() < minRSA {
			return Key{}, fmt.Errorf("an RSA key of %d bits is too short; %d are the least", p.N.BitLen(), minRSA)
		}
	case ed25519.PublicKey:
	default:
		return Key{}, errors.New("it is none of ECDSA, RSA and Ed25519")
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, errors.New("it can't be read")
	}
	sum := sha256.Sum256(der)
	return Key{public: public, id: hex.EncodeToString(sum[:])}, nil
}

// verifies says whether the signature over the message is this key's. Signers
// hash with SHA-256 whatever the key, or with what fits the curve.
func (k Key) verifies(message, signature []byte) bool {
	short, middle, long := sha256.Sum256(message), sha512.Sum384(message), sha512.Sum512(message)
	switch p := k.public.(type) {
	case *ecdsa.PublicKey:
		fits := short[:]
		switch p.Curve {
		case elliptic.P384():
			fits = middle[:]
		case elliptic.P521():
			fits = long[:]
		}
		return ecdsa.VerifyASN1(p, short[:], signature) || ecdsa.VerifyASN1(p, fits, signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(p, crypto.SHA256, short[:], signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(p, message, signature) ||
			ed25519.VerifyWithOptions(p, long[:], signature, &ed25519.Options{Hash: crypto.SHA512}) == nil
	}
	return false
}
