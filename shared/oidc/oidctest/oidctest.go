// Package oidctest is an OpenID Connect issuer for tests: discovery and keys
// served over HTTP as a real one has them, and the keys to sign with.
package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Key is one of an issuer's.
type Key struct {
	ID      string
	Alg     string // RS256, PS256, ES256, ES384 or EdDSA
	Private crypto.Signer
}

// NewKey makes a key for an algorithm.
func NewKey(t testing.TB, id, alg string) Key {
	t.Helper()
	var private crypto.Signer
	var err error
	switch alg {
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return Key{id, alg, private}
}

// JWK is the public half, as a key set has it.
func (k Key) JWK() map[string]any {
	text := base64.RawURLEncoding.EncodeToString
	jwk := map[string]any{"kid": k.ID, "use": "sig"}
	switch public := k.Private.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", text(public.N.Bytes()), text(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err) // a key that was just made
		}
		half := (len(point) - 1) / 2
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", public.Params().Name, text(point[1:1+half]), text(point[1+half:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", text(public)
	}
	return jwk
}

// Issuer is a running issuer.
type Issuer struct {
	*httptest.Server
	// Key signs [Issuer.Token]; it is ES256.
	Key Key

	mu       sync.Mutex
	set      []any
	handler  http.HandlerFunc
	requests int
}

// Start runs an issuer with one key, over HTTP, or over HTTPS with the
// certificate of [httptest.Server.Certificate].
func Start(t testing.TB, secure bool) *Issuer {
	t.Helper()
	s := &Issuer{Key: NewKey(t, "one", "ES256")}
	s.Publish(s.Key)
	start := httptest.NewServer
	if secure {
		start = httptest.NewTLSServer
	}
	s.Server = start(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// Publish makes these the issuer's keys.
func (s *Issuer) Publish(keys ...Key) {
	var set []any
	for _, k := range keys {
		set = append(set, k.JWK())
	}
	s.PublishRaw(set...)
}

// PublishRaw makes these the items of the issuer's key set.
func (s *Issuer) PublishRaw(items ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set = items
}

// Answer has all requests answered by a handler; nil by the issuer again.
func (s *Issuer) Answer(handler http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = handler
}

// Requests is how often the discovery document was asked for.
func (s *Issuer) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

func (s *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	set, handler := s.set, s.handler
	if r.URL.Path == "/.well-known/openid-configuration" {
		s.requests++
	}
	s.mu.Unlock()
	if handler != nil {
		handler(w, r)
		return
	}
	s.Serve(w, r, set)
}

// Serve answers as an issuer with that key set.
func (s *Issuer) Serve(w http.ResponseWriter, r *http.Request, set []any) {
	var document any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		document = map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/keys"}
	case "/keys":
		document = map[string]any{"keys": set}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(document) // who asked is gone
}

// Claims are those of a person's token for audience slipway, with changes; nil
// takes one away.
func (s *Issuer) Claims(now time.Time, changes map[string]any) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss": s.URL, "aud": "slipway", "sub": "248289761001", "email": "maria@example.com", "email_verified": true,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

// Token is one of [Issuer.Claims], signed by the issuer's key.
func (s *Issuer) Token(t testing.TB, changes map[string]any) string {
	t.Helper()
	return s.Key.Sign(t, nil, s.Claims(time.Now(), changes))
}

// Sign makes a token, with changes to its header; nil takes one away.
func (k Key) Sign(t testing.TB, header map[string]any, claims jwt.Claims) string {
	t.Helper()
	return Sign(t, k.Alg, k.Private, merge(map[string]any{"kid": k.ID}, header), claims)
}

func merge(into, changes map[string]any) map[string]any {
	maps.Copy(into, changes)
	maps.DeleteFunc(into, func(_ string, v any) bool { return v == nil })
	return into
}

// Sign makes a token of any algorithm that jwt knows.
func Sign(t testing.TB, alg string, key any, header map[string]any, claims jwt.Claims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(alg), claims)
	maps.Copy(token.Header, header)
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}
