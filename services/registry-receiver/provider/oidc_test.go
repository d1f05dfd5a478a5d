package provider_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slipway-cd/slipway/services/registry-receiver/provider"
	"github.com/slipway-cd/slipway/shared/service"
	"github.com/slipway-cd/slipway/shared/webhook"
	"github.com/slipway-cd/slipway/shared/webhook/webhooktest"
)

const (
	pushURL = "https://hooks.example.com/hooks/gar"
	pusher  = "push@acme.iam.gserviceaccount.com"
)

// signer is a key with its id.
type signer struct {
	id  string
	key *rsa.PrivateKey
}

// identityServer is an issuer of tokens: discovery and keys, as OpenID Connect
// Discovery has them.
type identityServer struct {
	*httptest.Server
	one, two, stranger signer
	// fetches counts, down fails, hidden leaves out the second key.
	fetches      atomic.Int64
	down, hidden atomic.Bool
	slow         chan struct{}
}

// issuer is the one of the suite.
var issuer = newIssuer()

func newIssuer() *identityServer {
	s := &identityServer{}
	for _, k := range []struct {
		into *signer
		id   string
	}{{&s.one, "one"}, {&s.two, "two"}, {&s.stranger, "one"}} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err) // the machine has no random numbers
		}
		*k.into = signer{k.id, key}
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

func (s *identityServer) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.down.Load():
		http.Error(w, "away", http.StatusInternalServerError)
	case s.slow != nil:
		<-s.slow
	case r.URL.Path == "/.well-known/openid-configuration":
		s.fetches.Add(1)
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, s.URL, s.URL+"/keys")
	case r.URL.Path == "/keys":
		keys := []map[string]string{jwk(s.one)}
		if !s.hidden.Load() {
			keys = append(keys, jwk(s.two), map[string]string{"kty": "EC", "kid": "ec"}, map[string]string{"kty": "RSA", "kid": "tiny", "n": "AQAB", "e": "AQAB"})
		}
		if err := json.NewEncoder(w).Encode(map[string]any{"keys": keys}); err != nil {
			panic(err)
		}
	default:
		http.NotFound(w, r)
	}
}

func jwk(s signer) map[string]string {
	return map[string]string{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": s.id,
		"n": base64.RawURLEncoding.EncodeToString(s.key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(s.key.E)).Bytes()),
	}
}

// signer is the key that stands for a secret of the suite.
func (s *identityServer) signer(secret string) signer {
	switch secret {
	case webhooktest.Secret:
		return s.one
	case webhooktest.OldSecret:
		return s.two
	}
	return s.stranger
}

// claims are what Pub/Sub's tokens say, with changes; nil takes one away.
func (s *identityServer) claims(now time.Time, changes map[string]any) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss": s.URL, "aud": pushURL, "sub": "113774264463038321964", "azp": "113774264463038321964",
		"email": pusher, "email_verified": true, "iat": now.Unix(), "exp": now.Add(3 * time.Hour).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

func (s *identityServer) token(by signer, changes map[string]any) string {
	return s.tokenAt(webhook.Now(), by, changes)
}

func (s *identityServer) tokenAt(now time.Time, by signer, changes map[string]any) string {
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, s.claims(now, changes))
	t.Header["kid"] = by.id
	return sign(t, by.key)
}

func sign(t *jwt.Token, key any) string {
	signed, err := t.SignedString(key)
	if err != nil {
		panic(err)
	}
	return signed
}

func find(t *testing.T, name string) webhook.Provider {
	t.Helper()
	return provider.Table[slices.IndexFunc(provider.Table, func(p webhook.Provider) bool { return p.Name == name })]
}

// prove gives a token to provider gar.
func prove(t *testing.T, s *identityServer, want service.OIDC, tokens ...string) error {
	t.Helper()
	r := webhook.Request{Header: http.Header{}}
	for _, token := range tokens {
		r.Header.Add("Authorization", "Bearer "+token)
	}
	want.Issuer = s.URL
	return find(t, "gar").Prove(t.Context(), r, webhook.Source{Name: "gar", Config: service.Source{OIDC: &want}})
}

// WEBHOOKS.md Z 3 and 13.
func TestTokensOfOthersProveNothing(t *testing.T) {
	want := service.OIDC{Audience: pushURL, Email: pusher}
	good := issuer.token(issuer.one, nil)
	if err := prove(t, issuer, want, good); err != nil {
		t.Fatalf("a good token is refused: %v", err)
	}
	none := jwt.NewWithClaims(jwt.SigningMethodNone, issuer.claims(webhook.Now(), nil))
	none.Header["kid"] = "one"
	public, err := x509.MarshalPKIXPublicKey(&issuer.one.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	hs := jwt.NewWithClaims(jwt.SigningMethodHS256, issuer.claims(webhook.Now(), nil))
	hs.Header["kid"] = "one"
	rs512 := jwt.NewWithClaims(jwt.SigningMethodRS512, issuer.claims(webhook.Now(), nil))
	rs512.Header["kid"] = "one"
	jku := jwt.NewWithClaims(jwt.SigningMethodRS256, issuer.claims(webhook.Now(), nil))
	jku.Header["jku"], jku.Header["kid"] = issuer.URL+"/keys-of-another", "of another"
	now := time.Now()
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"alg none":                      {sign(none, jwt.UnsafeAllowNoneSignatureType), webhook.ErrProof},
		"HS256 with the public key":     {sign(hs, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), webhook.ErrProof},
		"RS512":                         {sign(rs512, issuer.one.key), webhook.ErrProof},
		"a key that the token names":    {sign(jku, issuer.stranger.key), webhook.ErrProof},
		"another's key of the same id":  {issuer.token(issuer.stranger, nil), webhook.ErrProof},
		"a key without an id":           {issuer.token(signer{"", issuer.one.key}, nil), webhook.ErrProof},
		"another issuer":                {issuer.token(issuer.one, map[string]any{"iss": "https://accounts.google.com"}), webhook.ErrProof},
		"another audience":              {issuer.token(issuer.one, map[string]any{"aud": "https://other.example.com"}), webhook.ErrProof},
		"no audience":                   {issuer.token(issuer.one, map[string]any{"aud": nil}), webhook.ErrProof},
		"expired":                       {issuer.token(issuer.one, map[string]any{"exp": now.Add(-2 * time.Minute).Unix()}), webhook.ErrProof},
		"without an end":                {issuer.token(issuer.one, map[string]any{"exp": nil}), webhook.ErrProof},
		"an end in words":               {issuer.token(issuer.one, map[string]any{"exp": "tomorrow"}), webhook.ErrProof},
		"of the future":                 {issuer.token(issuer.one, map[string]any{"iat": now.Add(10 * time.Minute).Unix()}), webhook.ErrProof},
		"not yet":                       {issuer.token(issuer.one, map[string]any{"nbf": now.Add(10 * time.Minute).Unix()}), webhook.ErrProof},
		"no token at all":               {"x.y.z", webhook.ErrProof},
		"an empty token":                {"", webhook.ErrProof},
		"another account":               {issuer.token(issuer.one, map[string]any{"email": "mallory@evil.iam.gserviceaccount.com"}), webhook.ErrForbidden},
		"an address that isn't checked": {issuer.token(issuer.one, map[string]any{"email_verified": false}), webhook.ErrForbidden},
		"no address":                    {issuer.token(issuer.one, map[string]any{"email": nil}), webhook.ErrForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			if err := prove(t, issuer, want, c.token); !errors.Is(err, c.want) {
				t.Errorf("gives %v, want %v", err, c.want)
			}
		})
	}
	if err := prove(t, issuer, want, good, good); !errors.Is(err, webhook.ErrProof) {
		t.Errorf("two tokens give %v", err)
	}
	for _, claim := range []string{"sub", "azp", "appid"} {
		bySubject := service.OIDC{Audience: pushURL, Subject: "the application"}
		if err := prove(t, issuer, bySubject, issuer.token(issuer.one, map[string]any{claim: "the application"})); err != nil {
			t.Errorf("subject in %s gives %v", claim, err)
		}
		if err := prove(t, issuer, bySubject, good); !errors.Is(err, webhook.ErrForbidden) {
			t.Errorf("another subject gives %v", err)
		}
	}
}

// clock sets the time by which tokens and keys are judged.
func clock(t *testing.T, now *time.Time) {
	t.Helper()
	real := webhook.Now
	webhook.Now = func() time.Time { return *now }
	t.Cleanup(func() { webhook.Now = real })
}

func isUnavailable(err error) bool {
	return err != nil && !errors.Is(err, webhook.ErrProof) && !errors.Is(err, webhook.ErrForbidden)
}

func TestKeysThatCantBeHadAreTriedAgain(t *testing.T) {
	s := newIssuer()
	defer s.Close()
	now := time.Now()
	clock(t, &now)
	want := service.OIDC{Audience: pushURL, Email: pusher}
	s.down.Store(true)
	if err := prove(t, s, want, s.token(s.one, nil)); !isUnavailable(err) {
		t.Fatalf("no keys gives %v, not a 503", err)
	}
	s.down.Store(false)
	if err := prove(t, s, want, s.token(s.one, nil)); !isUnavailable(err) {
		t.Errorf("at once again gives %v: each delivery would ask", err)
	}
	now = now.Add(6 * time.Second)
	if err := prove(t, s, want, s.token(s.one, nil)); err != nil {
		t.Errorf("with keys again: %v", err)
	}
	// Keys at hand outlive their server.
	s.down.Store(true)
	now = now.Add(61 * time.Minute)
	if err := prove(t, s, want, s.token(s.one, nil)); err != nil {
		t.Errorf("a known key while the server is away: %v", err)
	}
}

func TestAKeyServerThatHangsHoldsADeliveryForSecondsAtMost(t *testing.T) {
	s := newIssuer()
	s.slow = make(chan struct{})
	defer s.Close()
	defer close(s.slow)
	began := time.Now()
	if err := prove(t, s, service.OIDC{Audience: pushURL, Email: pusher}, s.token(s.one, nil)); !isUnavailable(err) || time.Since(began) > 5*time.Second {
		t.Errorf("gives %v after %s", err, time.Since(began))
	}
}

func TestKeysAreFetchedOnceAndAgainWhenTheyTurn(t *testing.T) {
	s := newIssuer()
	defer s.Close()
	s.hidden.Store(true)
	now := time.Now()
	clock(t, &now)
	want := service.OIDC{Audience: pushURL, Email: pusher}
	for range 5 {
		if err := prove(t, s, want, s.token(s.one, nil)); err != nil {
			t.Fatal(err)
		}
		// Made-up ids make no more requests than one a minute.
		if err := prove(t, s, want, s.token(s.two, nil)); !errors.Is(err, webhook.ErrProof) {
			t.Errorf("a key that isn't there gives %v", err)
		}
	}
	if got := s.fetches.Load(); got != 1 {
		t.Errorf("fetched %d times", got)
	}
	s.hidden.Store(false)
	now = now.Add(2 * time.Minute)
	if err := prove(t, s, want, s.token(s.two, nil)); err != nil {
		t.Errorf("the new key: %v", err)
	}
}

func TestASourceSaysWhoseTokensItTakes(t *testing.T) {
	for name, c := range map[string]struct {
		provider string
		source   service.Source
		ok       bool
	}{
		"gar with an account":            {"gar", service.Source{OIDC: &service.OIDC{Audience: pushURL, Email: pusher}}, true},
		"gar without an account":         {"gar", service.Source{OIDC: &service.OIDC{Audience: pushURL}}, false},
		"gar without an audience":        {"gar", service.Source{OIDC: &service.OIDC{Email: pusher}}, false},
		"gar over plain http":            {"gar", service.Source{OIDC: &service.OIDC{Issuer: "http://idp.example.com", Audience: pushURL, Email: pusher}}, false},
		"gar with nothing":               {"gar", service.Source{}, false},
		"gar with a token in the path":   {"gar", service.Source{Secrets: []service.Secret{{Env: "X"}}}, true},
		"gar that is insecure":           {"gar", service.Source{Insecure: true}, true},
		"Event Grid with nothing":        {"azure-eventgrid", service.Source{}, false},
		"Event Grid without an issuer":   {"azure-eventgrid", service.Source{OIDC: &service.OIDC{Audience: "a", Subject: "s"}}, false},
		"Event Grid with an application": {"azure-eventgrid", service.Source{OIDC: &service.OIDC{Issuer: "https://sts.windows.net/t/", Audience: "a", Subject: "s"}}, true},
		"Event Grid with a secret":       {"azure-eventgrid", service.Source{Secrets: []service.Secret{{Env: "X"}}}, true},
		"Artifactory with a signature":   {"artifactory", service.Source{Signature: "hmac"}, true},
		"Artifactory with another":       {"artifactory", service.Source{Signature: "md5"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := find(t, c.provider).Check(c.source); (err == nil) != c.ok {
				t.Errorf("gives %v", err)
			}
		})
	}
}
