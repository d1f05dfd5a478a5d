package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"
)

// key is a public key of an issuer.
type key struct {
	id, kind, curve string
	alg             string // the one that it is for, empty for any of its type
	public          crypto.PublicKey
}

// fits says whether a token of that algorithm may be signed by the key.
func (k key) fits(alg string) bool {
	return (k.alg == "" || k.alg == alg) && slices.ContainsFunc(algorithms, func(a struct{ alg, kind, curve string }) bool {
		return a.alg == alg && a.kind == k.kind && a.curve == k.curve
	})
}

// jwk is a key as issuers write it (RFC 7517, 4; RFC 7518, 6).
type jwk struct {
	Kind       string   `json:"kty"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Alg        string   `json:"alg"`
	ID         string   `json:"kid"`
	Curve      string   `json:"crv"`
	N          string   `json:"n"`
	E          string   `json:"e"`
	X          string   `json:"x"`
	Y          string   `json:"y"`
}

// readKeys gives the keys that can verify a token. Others are left out: a set
// may have keys for what we don't do (RFC 7517, 5).
func readKeys(set []json.RawMessage) []key {
	var all []key
	for _, raw := range set {
		var j jwk
		if json.Unmarshal(raw, &j) != nil || (j.Use != "" && j.Use != "sig") || (j.Operations != nil && !slices.Contains(j.Operations, "verify")) {
			continue
		}
		if public := j.public(); public != nil {
			if j.Alg == "Ed25519" { // RFC 9864's name of it
				j.Alg = "EdDSA"
			}
			all = append(all, key{j.ID, j.Kind, j.Curve, j.Alg, public})
		}
	}
	return all
}

func (j *jwk) public() crypto.PublicKey {
	switch j.Kind {
	case "RSA":
		j.Curve = ""
		return j.rsa()
	case "EC":
		return j.ec()
	case "OKP":
		x, err := base64.RawURLEncoding.DecodeString(j.X)
		if j.Curve != "Ed25519" || err != nil || len(x) != ed25519.PublicKeySize {
			return nil
		}
		return ed25519.PublicKey(x)
	}
	return nil
}

// The bits of an RSA key: fewer could be computed, more take long to verify.
const minRSA, maxRSA = 2048, 8192

func (j *jwk) rsa() crypto.PublicKey {
	n, errN := base64.RawURLEncoding.DecodeString(j.N)
	e, errE := base64.RawURLEncoding.DecodeString(j.E)
	if errN != nil || errE != nil || len(e) == 0 || len(e) > 4 {
		return nil
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	if bits := public.N.BitLen(); bits < minRSA || bits > maxRSA || public.E < 3 || public.E%2 == 0 {
		return nil
	}
	return public
}

var curves = map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384()}

func (j *jwk) ec() crypto.PublicKey {
	curve, known := curves[j.Curve]
	x, errX := base64.RawURLEncoding.DecodeString(j.X)
	y, errY := base64.RawURLEncoding.DecodeString(j.Y)
	if !known || errX != nil || errY != nil || len(x) != (curve.Params().BitSize+7)/8 || len(y) != len(x) {
		return nil
	}
	// Uncompressed, as SEC 1 has it, 2.3.3; it must lie on the curve.
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil
	}
	return public
}
