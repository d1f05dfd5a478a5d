package webhook

import (
	"crypto/sha1" // Nexus and Cloudsmith have nothing else
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slipway-cd/slipway/shared/service"
)

// ErrCannotSign says that a proof can't be made here; the error says what to
// do instead.
var ErrCannotSign = errors.New("the proof can't be made here")

// Signer puts a sender's proof into the headers, as the sender itself does:
// what a provider's Verify takes.
type Signer = func(h http.Header, body []byte, secret string, now time.Time)

// SignRequest puts the proof of a source into a request that is to be sent to
// it: into the headers or, where the sender has nothing but the address, into
// that. The source's config matters where it chooses among several ways. It
// errs with [ErrCannotSign].
func (p Provider) SignRequest(r *http.Request, body []byte, s service.Source, secret string, now time.Time) error {
	sign := p.Sign
	switch {
	case p.SignBy != nil:
		other, err := p.SignBy(s, r.Header)
		if err != nil {
			return err
		}
		if other != nil {
			sign = other
		}
	case s.Header != "":
		return fmt.Errorf("%w: a source of provider %s takes no header", ErrCannotSign, p.Name)
	case s.Signature != "":
		return fmt.Errorf("%w: a source of provider %s takes no signature", ErrCannotSign, p.Name)
	}
	switch {
	case sign != nil:
		sign(r.Header, body, secret, now)
	case p.SignURL != nil:
		p.SignURL(r.URL, secret)
	default:
		return fmt.Errorf("%w: provider %s has none that a secret makes", ErrCannotSign, p.Name)
	}
	return nil
}

// SignPath puts the secret behind the path, /hooks/{source}/{token}, where the
// path has no token yet.
func SignPath(u *url.URL, secret string) {
	path, token := strings.TrimRight(u.EscapedPath(), "/"), "/"+url.PathEscape(secret)
	if strings.HasSuffix(path, token) {
		return
	}
	if at := strings.LastIndex(path, service.HookPrefix); at >= 0 && strings.Contains(path[at+len(service.HookPrefix):], "/") {
		return
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/")+"/"+secret, path+token
}

// SignQuery has the secret as a parameter in the query, where that is not
// there yet.
func SignQuery(name string) func(u *url.URL, secret string) {
	return func(u *url.URL, secret string) {
		query := u.Query()
		if !query.Has(name) {
			query.Set(name, secret)
			u.RawQuery = query.Encode()
		}
	}
}

// SignHeader has the secret itself in the header that the source's config
// names.
func SignHeader(s service.Source, _ http.Header) (Signer, error) {
	switch {
	case s.Signature != "":
		return nil, fmt.Errorf("%w: a source of provider %s takes no signature", ErrCannotSign, s.Provider)
	case s.Header != "":
		return SignFixed(s.Header, ""), nil
	}
	return nil, nil
}

// SignSNS is a raw delivery with basic credentials: of what SNS itself signs
// only SNS has the key.
func SignSNS(s service.Source, h http.Header) (Signer, error) {
	switch {
	case s.Header != "" || s.Signature != "":
		return nil, fmt.Errorf("%w: a raw delivery of SNS has basic credentials, and no other header or signature", ErrCannotSign)
	case h.Get("X-Amz-Sns-Topic-Arn") == "":
		return nil, fmt.Errorf("%w: SNS alone can sign its envelopes: send a captured one as it is, without a secret and within the hour; "+
			"or the message alone as a raw delivery, which a source with a secret takes: name one of its topics in the header X-Amz-Sns-Topic-Arn", ErrCannotSign)
	}
	return func(h http.Header, body []byte, secret string, now time.Time) {
		h.Set("X-Amz-Sns-Rawdelivery", "true")
		SignBasic(h, body, secret, now)
	}, nil
}

// SignHMACSHA256 is the sender's side of [HMACSHA256]; signed gives the part
// of the body that is signed, and is nil for all of it.
func SignHMACSHA256(header, prefix string, signed func(h http.Header, body []byte) []byte) Signer {
	return func(h http.Header, body []byte, secret string, _ time.Time) {
		if signed != nil {
			body = signed(h, body)
		}
		HMAC{Hash: sha256.New, Header: header, Prefix: prefix}.Sign(h, body, secret)
	}
}

// SignHMACSHA1 is the sender's side of [HMACSHA1].
func SignHMACSHA1(header string) Signer {
	return func(h http.Header, body []byte, secret string, _ time.Time) {
		HMAC{Hash: sha1.New, Header: header}.Sign(h, body, secret)
	}
}

// SignFixed is the sender's side of [FixedHeader]: the secret itself behind a
// prefix such as "Bearer ".
func SignFixed(header, prefix string) Signer {
	return func(h http.Header, _ []byte, secret string, _ time.Time) { h.Set(header, prefix+secret) }
}

// SignBasic has the secret as the password of basic credentials.
func SignBasic(h http.Header, _ []byte, secret string, _ time.Time) {
	h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("slipway:"+secret)))
}
