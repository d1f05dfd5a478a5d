package oidc_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/slipway-cd/slipway/shared/oidc"
	"github.com/slipway-cd/slipway/shared/oidc/oidctest"
)

func TestClaimsAreFoundByNameAndWay(t *testing.T) {
	var c oidc.Claims
	err := c.UnmarshalJSON([]byte(`{"groups":["a","b"],"one":"a","realm_access":{"roles":["r"],"deep":{"er":["x"]}},
		"https://example.com/roles":["n"],"mixed":["a",1],"number":5,"nothing":null,"empty":[],"realm_access.roles2":["dots"]}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"groups": "a b", "one": "a", "realm_access.roles": "r", "realm_access.deep.er": "x", "https://example.com/roles": "n",
		"realm_access.roles2": "dots", "missing": "", "nothing": "", "empty": "", "one.more": "", "realm_access.missing": "", "": "", ".": "",
		"mixed": "an item that is no text", "number": "neither a list of texts nor a text", "realm_access": "neither a list of texts nor a text",
	} {
		got, err := c.List(name)
		switch {
		case err != nil && (want == "" || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v", name, err)
		case err == nil && strings.Join(got, " ") != want:
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestAnAddressCountsOnceItIsVerified(t *testing.T) {
	for text, want := range map[string]bool{
		`{"email":"m@example.com","email_verified":true}`:    true,
		`{"email":"m@example.com","email_verified":"true"}`:  true,
		`{"email":"m@example.com","email_verified":false}`:   false,
		`{"email":"m@example.com","email_verified":"false"}`: false,
		`{"email":"m@example.com","email_verified":1}`:       false,
		`{"email":"m@example.com"}`:                          false,
		`{"email":"m@example.com","EMAIL_VERIFIED":true}`:    false,
		`{"email":"","email_verified":true}`:                 false,
		`{"email":["m@example.com"],"email_verified":true}`:  false,
		`{"email_verified":true}`:                            false,
	} {
		var c oidc.Claims
		if err := c.UnmarshalJSON([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.Email(); ok != want {
			t.Errorf("%s: %t", text, ok)
		}
	}
}

// Whatever is signed, reading it ends in claims of ours or in ErrToken.
func FuzzClaims(f *testing.F) {
	s := oidctest.Start(f, false)
	i := oidc.New(s.URL, oidc.Options{})
	for _, seed := range []string{`{}`, `{"exp":1e300}`, `{"aud":[1]}`, `[]`, `{"iss":{}}`, `{"a.b":{"c":[]}}`} {
		f.Add(seed, "groups")
	}
	f.Fuzz(func(t *testing.T, payload, name string) {
		var c oidc.Claims
		if c.UnmarshalJSON([]byte(payload)) != nil {
			return
		}
		if all, err := c.List(name); err == nil && slices.ContainsFunc(all, func(s string) bool { return !utf8.ValidString(s) }) {
			t.Errorf("%q", all)
		}
		c.Email()
		claims := s.Claims(time.Now(), c)
		if _, err := i.Verify(t.Context(), s.Key.Sign(t, nil, claims), "slipway"); err != nil && !errors.Is(err, oidc.ErrToken) {
			t.Error(err)
		}
	})
}

// No text makes a token that isn't signed, and none panics.
func FuzzToken(f *testing.F) {
	s := oidctest.Start(f, false)
	i := oidc.New(s.URL, oidc.Options{})
	good := s.Token(f, nil)
	f.Add(good)
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		oidc.IssuerOf(token)
		if _, err := i.Verify(t.Context(), token, "slipway"); token != good && !errors.Is(err, oidc.ErrToken) {
			t.Errorf("%q: %v", token, err)
		}
	})
}
