package webhook

import (
	"fmt"
	"net/http"
)

// Payload is the JSON of a delivery that may come in a form.
func Payload(r Request) ([]byte, error) {
	kind, err := MediaType(r, "application/json", "application/x-www-form-urlencoded")
	if err != nil || kind == "application/json" {
		return r.Body, err
	}
	return FormPayload(r.Body)
}

// PayloadOf is [Payload] for signing: what Gitea and its like sign is the
// JSON, also where that lies in a form.
func PayloadOf(h http.Header, body []byte) []byte {
	if inner, err := Payload(Request{Header: h, Body: body}); err == nil {
		return inner
	}
	return body
}

// VerifyPayload verifies a bare hex HMAC-SHA256 of the [Payload] in a header.
func VerifyPayload(header string) func(r Request, secrets []string) error {
	return func(r Request, secrets []string) error {
		body, err := Payload(r)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrProof, err)
		}
		return HMACSHA256(r.Header, header, "", body, secrets)
	}
}
