package webhook

import (
	"crypto/hmac"
	"crypto/sha1" // Nexus and Cloudsmith have nothing else
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
	"time"
)

// Signer puts a sender's proof into the headers, as the sender itself does:
// what a provider's Verify takes.
type Signer = func(h http.Header, body []byte, secret string, now time.Time)

// SignHMACSHA256 is the sender's side of [HMACSHA256]; signed gives the part
// of the body that is signed, and is nil for all of it.
func SignHMACSHA256(header, prefix string, signed func(h http.Header, body []byte) []byte) Signer {
	return signHex(sha256.New, header, prefix, signed)
}

// SignHMACSHA1 is the sender's side of [HMACSHA1].
func SignHMACSHA1(header string) Signer { return signHex(sha1.New, header, "", nil) }

func signHex(algorithm func() hash.Hash, header, prefix string, signed func(h http.Header, body []byte) []byte) Signer {
	return func(h http.Header, body []byte, secret string, _ time.Time) {
		if signed != nil {
			body = signed(h, body)
		}
		mac := hmac.New(algorithm, []byte(secret))
		mac.Write(body)
		h.Set(header, prefix+hex.EncodeToString(mac.Sum(nil)))
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
