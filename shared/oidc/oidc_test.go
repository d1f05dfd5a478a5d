package oidc_test

import (
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/slipway-cd/slipway/shared/oidc"
	"github.com/slipway-cd/slipway/shared/oidc/oidctest"
)

func verify(t *testing.T, i *oidc.Issuer, token string) error {
	t.Helper()
	_, err := i.Verify(t.Context(), token, "slipway")
	// Of the token nothing is told: its parts are long.
	for part := range strings.SplitSeq(token, ".") {
		if err != nil && len(part) > 12 && strings.Contains(err.Error(), part) {
			t.Errorf("the token is told: %v", err)
		}
	}
	return err
}

func TestEachAlgorithmGoesWithItsKey(t *testing.T) {
	s := oidctest.Start(t, true)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	var keys []oidctest.Key
	for _, alg := range []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"} {
		keys = append(keys, oidctest.NewKey(t, alg, alg))
	}
	s.Publish(keys...)
	for _, k := range keys {
		if err := verify(t, oidc.New(s.URL, oidc.Options{Roots: roots}), k.Sign(t, nil, s.Claims(time.Now(), nil))); err != nil {
			t.Errorf("%s: %v", k.Alg, err)
		}
	}
	if err := verify(t, oidc.New(s.URL, oidc.Options{}), keys[0].Sign(t, nil, s.Claims(time.Now(), nil))); !errors.Is(err, oidc.ErrKeys) {
		t.Errorf("a certificate of nobody: %v", err)
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	s := oidctest.Start(t, false)
	rs, ec, ed := oidctest.NewKey(t, "rs", "RS256"), s.Key, oidctest.NewKey(t, "ed", "EdDSA")
	s.Publish(rs, ec, ed)
	stranger, strangeEC := oidctest.NewKey(t, "rs", "RS256"), oidctest.NewKey(t, ec.ID, "ES256")
	public, err := x509.MarshalPKIXPublicKey(rs.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	now := time.Now()
	claims := func(changes map[string]any) jwt.MapClaims { return s.Claims(now, changes) }
	with := func(changes map[string]any) string { return ec.Sign(t, nil, claims(changes)) }
	good := strings.Split(with(nil), ".")
	tampered, err := base64.RawURLEncoding.DecodeString(good[1])
	if err != nil {
		t.Fatal(err)
	}
	raw := func(payload string) string {
		text, err := jwt.GetSigningMethod("ES256").Sign(good[0]+"."+base64.RawURLEncoding.EncodeToString([]byte(payload)), ec.Private)
		if err != nil {
			t.Fatal(err)
		}
		return good[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + "." + base64.RawURLEncoding.EncodeToString(text)
	}
	in := func(d time.Duration) int64 { return now.Add(d).Unix() }
	i := oidc.New(s.URL, oidc.Options{})
	for name, c := range map[string]struct{ token, want string }{
		"nothing":                             {"", "no signed JWT"},
		"two parts":                           {good[0] + "." + good[1], "no signed JWT"},
		"four parts":                          {strings.Join(good, ".") + ".x", "no signed JWT"},
		"no base64":                           {good[0] + "." + good[1] + ".$$$", "no signed JWT"},
		"padding":                             {good[0] + "." + good[1] + "=." + good[2], "no signed JWT"},
		"alg none":                            {oidctest.Sign(t, "none", jwt.UnsafeAllowNoneSignatureType, nil, claims(nil)), "signature does not fit"},
		"alg none behind a signature":         {base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + good[1] + "." + good[2], "signature does not fit"},
		"alg nOnE":                            {base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"nOnE"}`)) + "." + good[1] + ".", "not one that can be verified"},
		"no alg":                              {base64.RawURLEncoding.EncodeToString([]byte(`{}`)) + "." + good[1] + "." + good[2], "not one that can be verified"},
		"HMAC with the public key in PEM":     {oidctest.Sign(t, "HS256", asPEM, map[string]any{"kid": "rs"}, claims(nil)), "signature does not fit"},
		"HMAC with the public key in DER":     {oidctest.Sign(t, "HS384", public, map[string]any{"kid": "rs"}, claims(nil)), "signature does not fit"},
		"RS512":                               {oidctest.Sign(t, "RS512", rs.Private, map[string]any{"kid": "rs"}, claims(nil)), "signature does not fit"},
		"a key of another type":               {oidctest.Sign(t, "ES256", ec.Private, map[string]any{"kid": "rs"}, claims(nil)), "no such key"},
		"a key of another type, EdDSA":        {ed.Sign(t, map[string]any{"kid": ec.ID}, claims(nil)), "no such key"},
		"a key of nobody":                     {ec.Sign(t, map[string]any{"kid": "nobody's"}, claims(nil)), "no such key"},
		"no kid with several keys":            {ec.Sign(t, map[string]any{"kid": nil}, claims(nil)), "no such key"},
		"a kid that is a number":              {ec.Sign(t, map[string]any{"kid": 1}, claims(nil)), "not one that can be verified"},
		"another's key of the same id":        {stranger.Sign(t, nil, claims(nil)), "signature does not fit"},
		"another's curve key of the same id":  {strangeEC.Sign(t, nil, claims(nil)), "signature does not fit"},
		"a key that the token brings":         {strangeEC.Sign(t, map[string]any{"jwk": strangeEC.JWK()}, claims(nil)), "signature does not fit"},
		"a key that the token names":          {strangeEC.Sign(t, map[string]any{"jku": s.URL + "/keys", "kid": "x"}, claims(nil)), "no such key"},
		"an extension that it demands":        {ec.Sign(t, map[string]any{"crit": []string{"b64"}, "b64": false}, claims(nil)), "not one that can be verified"},
		"a logout token":                      {ec.Sign(t, map[string]any{"typ": "logout+jwt"}, claims(nil)), "not one that can be verified"},
		"a type that is no text":              {ec.Sign(t, map[string]any{"typ": 3}, claims(nil)), "not one that can be verified"},
		"tampered claims":                     {good[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(tampered), "maria", "mallo", 1))) + "." + good[2], "signature does not fit"},
		"no signature":                        {good[0] + "." + good[1] + ".", "signature does not fit"},
		"a signature of zeros":                {good[0] + "." + good[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)), "signature does not fit"},
		"a signature in DER":                  {good[0] + "." + good[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 70)), "signature does not fit"},
		"another issuer":                      {with(map[string]any{"iss": "https://accounts.google.com"}), "another issuer's"},
		"an issuer with a slash more":         {with(map[string]any{"iss": s.URL + "/"}), "another issuer's"},
		"no issuer":                           {with(map[string]any{"iss": nil}), "another issuer's"},
		"an issuer that is a list":            {with(map[string]any{"iss": []string{s.URL}}), "another issuer's"},
		"another audience":                    {with(map[string]any{"aud": "other"}), "for another audience"},
		"other audiences":                     {with(map[string]any{"aud": []string{"other", "slipway-2"}}), "for another audience"},
		"no audience":                         {with(map[string]any{"aud": nil}), "has no end (exp), issuer or audience"},
		"an audience that is a number":        {with(map[string]any{"aud": 5}), ""},
		"made for another of the audiences":   {with(map[string]any{"aud": []string{"other", "slipway"}, "azp": "other"}), "several audiences"},
		"made for nobody of the audiences":    {with(map[string]any{"aud": []string{"other", "slipway"}}), "several audiences"},
		"expired":                             {with(map[string]any{"exp": in(-2 * time.Minute)}), "has expired (2m"},
		"without an end":                      {with(map[string]any{"exp": nil}), "has no end"},
		"an end in words":                     {with(map[string]any{"exp": "tomorrow"}), ""},
		"not yet":                             {with(map[string]any{"nbf": in(2 * time.Minute)}), "not in force yet (by "},
		"of the future":                       {with(map[string]any{"iat": in(2 * time.Minute)}), "of the future"},
		"too long":                            {with(map[string]any{"groups": strings.Repeat("x", 20_000)}), "longer than"},
		"two subjects":                        {raw(string(tampered[:len(tampered)-1]) + `,"sub":"another"}`), "no signed JWT"},
		"claims that aren't UTF-8":            {raw(string(tampered[:len(tampered)-1]) + ",\"x\":\"\xff\"}"), "no signed JWT"},
		"claims that are a list":              {raw(`[]`), "no signed JWT"},
		"claims that are null":                {raw(`null`), "another issuer's"},
		"claims with something behind":        {raw(string(tampered) + `{}`), "no signed JWT"},
		"claims in another case":              {raw(strings.Replace(string(tampered), `"iss"`, `"ISS"`, 1)), "another issuer's"},
		"a JWS of several signatures in JSON": {`{"payload":"` + good[1] + `","signatures":[]}`, "no signed JWT"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := verify(t, i, c.token); !errors.Is(err, oidc.ErrToken) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("gives %v, want %q", err, c.want)
			}
		})
	}
	for name, token := range map[string]string{
		"a good one":                    with(nil),
		"an access token":               ec.Sign(t, map[string]any{"typ": "at+jwt"}, claims(nil)),
		"without a type":                ec.Sign(t, map[string]any{"typ": nil}, claims(nil)),
		"one of several audiences, azp": with(map[string]any{"aud": []string{"other", "slipway"}, "azp": "slipway"}),
		"a list of one audience":        with(map[string]any{"aud": []string{"slipway"}, "azp": "other"}),
		"within the leeway":             with(map[string]any{"exp": in(-30 * time.Second)}),
		"begun within the leeway":       with(map[string]any{"nbf": in(30 * time.Second), "iat": in(30 * time.Second)}),
		"without iat":                   with(map[string]any{"iat": nil}),
	} {
		if err := verify(t, i, token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := s.Requests(); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

// Keys that can't be right are left out, and hurt no other.
func TestKeysThatAreNoneAreLeftOut(t *testing.T) {
	s := oidctest.Start(t, false)
	rs := oidctest.NewKey(t, "rs", "RS256")
	text := base64.RawURLEncoding.EncodeToString
	change := func(k oidctest.Key, changes map[string]any) map[string]any {
		jwk := k.JWK()
		maps.Copy(jwk, changes)
		return jwk
	}
	n := rs.Private.Public().(*rsa.PublicKey).N
	for name, c := range map[string]struct {
		key oidctest.Key
		jwk any
	}{
		"for encryption":        {rs, change(rs, map[string]any{"use": "enc"})},
		"for signing only":      {rs, change(rs, map[string]any{"key_ops": []string{"sign"}})},
		"for another algorithm": {rs, change(rs, map[string]any{"alg": "PS256"})},
		"short":                 {rs, change(rs, map[string]any{"n": text(n.Bytes()[:128])})},
		"long":                  {rs, change(rs, map[string]any{"n": strings.Repeat("A", 3) + strings.Repeat("_w", 2000)})},
		"an exponent of one":    {rs, change(rs, map[string]any{"e": "AQ"})},
		"an even exponent":      {rs, change(rs, map[string]any{"e": "BA"})},
		"no base64":             {rs, change(rs, map[string]any{"n": "$"})},
		"off the curve":         {s.Key, change(s.Key, map[string]any{"y": text(make([]byte, 32))})},
		"another curve":         {s.Key, change(s.Key, map[string]any{"crv": elliptic.P384().Params().Name})},
		"a short coordinate":    {s.Key, change(s.Key, map[string]any{"x": "AAAA"})},
		"a secret":              {rs, map[string]any{"kty": "oct", "kid": "rs", "k": "c2VjcmV0"}},
		"a number":              {rs, 7},
		"a field of odd type":   {rs, change(rs, map[string]any{"n": 7})},
	} {
		other := oidctest.NewKey(t, "other", "EdDSA")
		s.PublishRaw(c.jwk, other.JWK())
		i := oidc.New(s.URL, oidc.Options{})
		if err := verify(t, i, c.key.Sign(t, nil, s.Claims(time.Now(), nil))); !errors.Is(err, oidc.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
		if err := verify(t, i, other.Sign(t, nil, s.Claims(time.Now(), nil))); err != nil {
			t.Errorf("beside %s: %v", name, err)
		}
		// What is left out doesn't count: one key is there.
		if err := verify(t, i, other.Sign(t, map[string]any{"kid": nil}, s.Claims(time.Now(), nil))); err != nil && name != "for another algorithm" {
			t.Errorf("without an id beside %s: %v", name, err)
		}
	}
	// One id for keys of two types is allowed (RFC 7517, 4.5).
	same := oidctest.NewKey(t, "one", "EdDSA")
	s.Publish(same, s.Key)
	for _, k := range []oidctest.Key{same, s.Key} {
		if err := verify(t, oidc.New(s.URL, oidc.Options{}), k.Sign(t, nil, s.Claims(time.Now(), nil))); err != nil {
			t.Errorf("%s of two keys of one id: %v", k.Alg, err)
		}
	}
}

func TestAURLOfAnIssuerIsSafe(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://login.example.com":            true,
		"https://login.example.com/realms/one": true,
		"https://sts.windows.net/tenant/":      true,
		"http://127.0.0.1:5556/dex":            true,
		"http://[::1]:5556":                    true,
		"http://login.example.com":             false,
		"http://localhost:5556":                false,
		"login.example.com":                    false,
		"https://":                             false,
		"https://a:b@login.example.com":        false,
		"https://login.example.com?x=1":        false,
		"https://login.example.com#x":          false,
		"":                                     false,
	} {
		err := oidc.CheckURL(url)
		if (err == nil) != ok || (err != nil && strings.Contains(err.Error(), "a:b@")) {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestOneBearerTokenIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		header []string
		want   string
	}{
		"one":       {[]string{"Bearer x.y.z"}, "x.y.z"},
		"lower":     {[]string{"bearer x.y.z"}, "x.y.z"},
		"none":      {nil, ""},
		"two":       {[]string{"Bearer x", "Bearer x"}, ""},
		"basic":     {[]string{"Basic eDp5"}, ""},
		"no token":  {[]string{"Bearer "}, ""},
		"no scheme": {[]string{"x.y.z"}, ""},
	} {
		got, err := oidc.Bearer(http.Header{"Authorization": c.header})
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
