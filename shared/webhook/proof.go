package webhook

import (
	"crypto/hmac"
	"crypto/sha1" // Nexus and Cloudsmith have nothing else
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// HMACSHA256 verifies a hex HMAC-SHA256 of the signed bytes in one header,
// behind a fixed prefix such as "sha256=". Header, algorithm and prefix come
// of the provider, never of the request.
func HMACSHA256(h http.Header, header, prefix string, signed []byte, secrets []string) error {
	return HMAC{Hash: sha256.New, Header: header, Prefix: prefix}.Verify(h, signed, secrets)
}

// HMACSHA1 is [HMACSHA256] for senders that have nothing better.
func HMACSHA1(h http.Header, header, prefix string, signed []byte, secrets []string) error {
	return HMAC{Hash: sha1.New, Header: header, Prefix: prefix}.Verify(h, signed, secrets)
}

// Authorization verifies a fixed value in the Authorization header: the
// secret as it is, behind "Bearer ", or as the password of basic credentials.
func Authorization(h http.Header, secrets []string) error {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return fmt.Errorf("%w: header Authorization is there %d times, not once", ErrProof, len(values))
	}
	forms := []string{values[0]}
	scheme, rest, _ := strings.Cut(values[0], " ")
	switch strings.ToLower(scheme) {
	case "bearer":
		forms = append(forms, rest)
	case "basic":
		if raw, err := base64.StdEncoding.DecodeString(rest); err == nil {
			_, password, _ := strings.Cut(string(raw), ":")
			forms = append(forms, password)
		}
	}
	fits := 0
	for _, form := range forms {
		for _, secret := range secrets {
			fits |= equal(form, secret)
		}
	}
	if fits == 0 {
		return fmt.Errorf("%w: header Authorization is another", ErrProof)
	}
	return nil
}

// equal compares in a time that tells neither content nor length.
func equal(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}

// Token verifies the secret in the path, /hooks/{source}/{token}, for senders
// that can't prove themselves otherwise.
func Token(r Request) error {
	if !r.TokenFits {
		return fmt.Errorf("%w: the path has no token: send to /hooks/{source}/{token}", ErrProof)
	}
	return nil
}

// FixedHeader verifies a header that is there once and holds one of the
// secrets, letter for letter.
func FixedHeader(h http.Header, header string, secrets []string) error {
	values := h.Values(header)
	if len(values) != 1 {
		return fmt.Errorf("%w: header %s is there %d times, not once", ErrProof, header, len(values))
	}
	fits := 0
	for _, secret := range secrets {
		fits |= equal(values[0], secret)
	}
	if fits == 0 {
		return fmt.Errorf("%w: header %s is another", ErrProof, header)
	}
	return nil
}

// Now is the clock by which time stamps are judged.
var Now = time.Now

// tolerance is how far a signed time stamp may be off (Standard Webhooks).
const tolerance = 5 * time.Minute

// Apart says how old a signed time stamp is, and what that may mean.
func Apart(age time.Duration) string {
	side := "before"
	if age < 0 {
		side = "after"
	}
	return fmt.Sprintf("%s %s our clock: it is a repeat, or one of the clocks is wrong", age.Abs().Round(time.Second), side)
}

// StandardWebhooks verifies a signature of the Standard Webhooks
// specification: HMAC-SHA256 of "id.timestamp.body" in base64, behind "v1,";
// several are separated by blanks.
func StandardWebhooks(r Request, secrets []string, now time.Time) error {
	id, stamp := r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if id == "" || err != nil {
		return fmt.Errorf("%w: it needs the headers Webhook-Id and Webhook-Timestamp", ErrProof)
	}
	if age := now.Sub(time.Unix(seconds, 0)); age.Abs() > tolerance {
		return fmt.Errorf("%w: header Webhook-Timestamp is %s", ErrProof, Apart(age))
	}
	fits := 0
	for _, secret := range secrets {
		key := []byte(secret)
		if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_")); err == nil && strings.HasPrefix(secret, "whsec_") {
			key = raw
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(r.Body)
		want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		for given := range strings.FieldsSeq(r.Header.Get("Webhook-Signature")) {
			fits |= equal(given, want)
		}
	}
	if fits == 0 {
		return fmt.Errorf("%w: header Webhook-Signature does not fit the body", ErrProof)
	}
	return nil
}
