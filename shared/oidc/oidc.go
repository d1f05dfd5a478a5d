// Package oidc verifies the identity tokens of OpenID Connect issuers: of the
// people who use an API, and of the senders of webhooks. It asks an issuer for
// its keys seldom and briefly, and says apart what is wrong with a token and
// what is wrong with the issuer.
package oidc

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Why a token is not taken.
var (
	// ErrToken says that the token is none of the issuer's for us, now. What is
	// wrong with it stands behind it in words that repeat nothing of the token.
	ErrToken = errors.New("the token is none of the issuer's for us")
	// ErrKeys says that the issuer's keys can't be had now: the token may be
	// right.
	ErrKeys = errors.New("the issuer's keys can't be had now")
)

const (
	// leeway is how far the issuer's clock may be from ours.
	leeway = time.Minute
	// maxToken is the longest token that is looked at, in bytes; those with many
	// groups have a few KiB.
	maxToken = 16 << 10
)

// algorithms are those that prove something with a public key, and the one
// type of key that each goes with ([RFC 7518], 3.1; [RFC 8037], 3.1). What
// isn't here, such as none and HMAC, is never taken.
//
// [RFC 7518]: https://www.rfc-editor.org/rfc/rfc7518
// [RFC 8037]: https://www.rfc-editor.org/rfc/rfc8037
var algorithms = []struct{ alg, kind, curve string }{
	{"RS256", "RSA", ""},
	{"PS256", "RSA", ""},
	{"ES256", "EC", "P-256"},
	{"ES384", "EC", "P-384"},
	{"EdDSA", "OKP", "Ed25519"},
}

// Issuer is one issuer of tokens. It is safe for concurrent use.
type Issuer struct {
	url        string
	algorithms []string
	now        func() time.Time
	keys       keySet
}

// Options of an [Issuer]. The zero value has the defaults.
type Options struct {
	// Algorithms narrows those that are taken; default RS256, PS256, ES256,
	// ES384 and EdDSA.
	Algorithms []string
	// Roots are the certificates that the issuer's must lead to; default the
	// system's.
	Roots *x509.CertPool
	// Now is the clock; default [time.Now].
	Now func() time.Time
}

// New is the issuer of that URL, as its tokens and its discovery document
// write it; [CheckURL] says whether it is one. It asks nothing yet.
func New(issuer string, o Options) *Issuer {
	i := &Issuer{url: issuer, algorithms: o.Algorithms, now: o.Now}
	if i.now == nil {
		i.now = time.Now
	}
	if i.algorithms == nil {
		for _, a := range algorithms {
			i.algorithms = append(i.algorithms, a.alg)
		}
	}
	i.keys = keySet{issuer: issuer, now: i.now, client: client(o.Roots)}
	return i
}

// URL is the issuer's.
func (i *Issuer) URL() string { return i.url }

// CheckURL gives the fault of an issuer's URL: it is https://, or http:// on
// this machine (OpenID Connect Discovery 1.0, 3).
func CheckURL(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || !safe(u):
		return fmt.Errorf("%q is not https:// with a host", issuer)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q has more than host and path", u.Redacted())
	}
	return nil
}

// safe says whether what lies at a URL can't be exchanged on its way.
func safe(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || (u.Scheme == "http" && ip != nil && ip.IsLoopback())
}

// Bearer is the token of a request that has one Authorization header, with the
// scheme Bearer (RFC 6750, 2.1).
func Bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", fmt.Errorf("header Authorization is there %d times, not once", len(values))
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", errors.New("header Authorization has no bearer token")
	}
	return token, nil
}

// IssuerOf is the issuer that a token claims to be of, empty where it is no
// token at all. Nothing is proved by it: it says which issuer to ask.
func IssuerOf(token string) string {
	claims := read{}
	if _, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(clip(token), &claims); err != nil {
		return ""
	}
	issuer, _ := claims.MapClaims["iss"].(string)
	return issuer
}

// clip drops what is too long to be a token before it costs anything.
func clip(token string) string {
	if len(token) > maxToken {
		return ""
	}
	return token
}

// Verify gives the claims of a token that the issuer has made for the audience
// and that is in force: signed by one of its keys with an algorithm of that
// key's type, and right in iss, aud, azp, exp, nbf and iat (OpenID Connect
// Core 1.0, 3.1.3.7). It errs with [ErrToken] or [ErrKeys].
func (i *Issuer) Verify(ctx context.Context, token, audience string) (Claims, error) {
	if len(token) > maxToken {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrToken, maxToken)
	}
	var away error
	claims := read{}
	parser := jwt.NewParser(jwt.WithValidMethods(i.algorithms), jwt.WithStrictDecoding(), jwt.WithIssuer(i.url), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(i.now))
	_, err := parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		// Before the issuer is asked for anything.
		if claims.MapClaims["iss"] != any(i.url) {
			return nil, jwt.ErrTokenInvalidIssuer
		}
		h, err := readHeader(t)
		if err != nil {
			return nil, err
		}
		found, err := i.keys.find(ctx, h)
		if errors.Is(err, ErrKeys) {
			away = err
		}
		return found, err
	})
	switch {
	case away != nil:
		return nil, away
	case err != nil:
		return nil, fmt.Errorf("%w: %s%s", ErrToken, fault(err), i.apart(err, claims.MapClaims))
	}
	if err := claims.party(audience); err != nil {
		return nil, err
	}
	return Claims(claims.MapClaims), nil
}

// party demands that a token for several audiences was made for us, not for
// one of the others.
func (r read) party(audience string) error {
	all, _ := r.GetAudience()
	if azp, _ := r.MapClaims["azp"].(string); len(all) > 1 && azp != audience {
		return fmt.Errorf("%w: it is for several audiences, and azp is not ours", ErrToken)
	}
	return nil
}

// header is a token's, as far as it matters.
type header struct{ alg, id string }

// types are what a token may call itself: a JWT, or an access token in that
// form (RFC 9068, 2.1). Others, such as logout tokens, are made for something
// else (RFC 8725, 3.11).
var types = []string{"", "jwt", "at+jwt"}

func readHeader(t *jwt.Token) (header, error) {
	kind, text := t.Header["typ"].(string)
	if _, there := t.Header["typ"]; there != text || !slices.Contains(types, strings.TrimPrefix(strings.ToLower(kind), "application/")) {
		return header{}, errors.New("it is a token of another type")
	}
	if _, there := t.Header["crit"]; there { // RFC 7515, 4.1.11
		return header{}, errors.New("it demands an extension (crit)")
	}
	id, text := t.Header["kid"].(string)
	if _, there := t.Header["kid"]; there != text {
		return header{}, errors.New("its kid is no text")
	}
	return header{t.Method.Alg(), id}, nil
}

// faults are jwt's in words of ours, the first that fits.
var faults = []struct {
	err   error
	words string
}{
	{jwt.ErrTokenInvalidIssuer, "it is another issuer's"},
	{jwt.ErrTokenMalformed, "it is no signed JWT"},
	{jwt.ErrTokenExpired, "it has expired"},
	{jwt.ErrTokenNotValidYet, "it is not in force yet"},
	{jwt.ErrTokenUsedBeforeIssued, "it is of the future"},
	{jwt.ErrTokenInvalidAudience, "it is for another audience"},
	{jwt.ErrTokenRequiredClaimMissing, "it has no end (exp), issuer or audience"},
	{errNoKey, errNoKey.Error()},
	{jwt.ErrTokenSignatureInvalid, "its signature does not fit"},
}

// apart says how far the token's times are from our clock, where that is the
// fault.
func (i *Issuer) apart(err error, claims jwt.MapClaims) string {
	var at *jwt.NumericDate
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		at, _ = claims.GetExpirationTime()
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		at, _ = claims.GetNotBefore()
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		at, _ = claims.GetIssuedAt()
	}
	if at == nil {
		return ""
	}
	off := i.now().Sub(at.Time).Round(time.Second)
	if off < 0 {
		return fmt.Sprintf(" (by %s, if our clock is right)", -off)
	}
	return fmt.Sprintf(" (%s ago, if our clock is right)", off)
}

func fault(err error) string {
	for _, f := range faults {
		if errors.Is(err, f.err) {
			return f.words
		}
	}
	return "it is not one that can be verified"
}
