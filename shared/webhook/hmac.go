package webhook

import (
	"crypto/hmac"
	"crypto/sha1" // Nexus and Cloudsmith have nothing else
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"strings"
)

// HMAC is how a sender signs what it sends: which hash, in which header,
// behind which prefix such as "sha256=", and how it is written. All of it comes
// of the provider or of the source's config, never of the request.
type HMAC struct {
	Hash           func() hash.Hash
	Header, Prefix string
	// List says that the header may be a list with commas, as CircleCI's: the
	// one with the prefix counts, and there must be one.
	List bool
	// Base64 says that it is written so, and not in hex of small letters.
	Base64 bool
}

// ParseHMAC reads a source's signature, such as "hmac-sha256 prefix=v1=": the
// algorithm, then what is not as usual, separated by blanks. header is the
// one that holds it.
func ParseHMAC(signature, header string) (HMAC, error) {
	m := HMAC{Header: header}
	words := strings.Fields(signature)
	if len(words) == 0 {
		words = []string{""}
	}
	switch words[0] {
	case "hmac-sha1":
		m.Hash = sha1.New
	case "hmac-sha256":
		m.Hash = sha256.New
	case "hmac-sha512":
		m.Hash = sha512.New
	default:
		return m, fmt.Errorf("signature: %q is none of hmac-sha256, hmac-sha512 and hmac-sha1", words[0])
	}
	seen := map[string]bool{}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case seen[key]:
			return m, fmt.Errorf("signature: %s is there twice", key)
		case key == "prefix" && value != "" && !strings.Contains(value, ","):
			m.Prefix, m.List = value, true
		case key == "encoding" && (value == "hex" || value == "base64"):
			m.Base64 = value == "base64"
		default:
			return m, fmt.Errorf("signature: %q is neither prefix=TEXT nor encoding=hex or base64", word)
		}
		seen[key] = true
	}
	if header == "" || strings.ContainsAny(header, " \t:,") {
		return m, fmt.Errorf("signature: %s needs header: the name of the header that holds the signature; %q is none", words[0], header)
	}
	return m, nil
}

// Verify holds the header against the signed bytes, for any of the secrets. It
// errs with [ErrProof].
func (m HMAC) Verify(h http.Header, signed []byte, secrets []string) error {
	values := h.Values(m.Header)
	if len(values) != 1 {
		return fmt.Errorf("%w: header %s is there %d times, not once", ErrProof, m.Header, len(values))
	}
	sum, err := m.decode(values[0])
	if err != nil {
		return err
	}
	fits := 0
	for _, secret := range secrets {
		fits |= subtle.ConstantTimeCompare(m.sum(secret, signed), sum)
	}
	if fits == 0 {
		return fmt.Errorf("%w: header %s does not fit the body", ErrProof, m.Header)
	}
	return nil
}

func (m HMAC) decode(value string) (sum []byte, err error) {
	parts := []string{value}
	if m.List {
		parts = strings.Split(strings.ReplaceAll(value, ", ", ","), ",")
	}
	given, found := "", 0
	for _, part := range parts {
		if rest, ok := strings.CutPrefix(part, m.Prefix); ok {
			given = rest
			found++
		}
	}
	if m.Base64 {
		sum, err = base64.StdEncoding.Strict().DecodeString(given)
	} else {
		sum, err = hex.DecodeString(given)
	}
	if found != 1 || err != nil || len(sum) != m.Hash().Size() || m.encode(sum) != given {
		return nil, fmt.Errorf("%w: header %s is not one %s%s", ErrProof, m.Header, m.Prefix, m.form())
	}
	return sum, nil
}

func (m HMAC) form() string {
	if m.Base64 {
		return fmt.Sprintf("<base64 of %d bytes>", m.Hash().Size())
	}
	return fmt.Sprintf("<%d hex digits>", 2*m.Hash().Size())
}

func (m HMAC) sum(secret string, signed []byte) []byte {
	mac := hmac.New(m.Hash, []byte(secret))
	mac.Write(signed)
	return mac.Sum(nil)
}

func (m HMAC) encode(sum []byte) string {
	if m.Base64 {
		return base64.StdEncoding.EncodeToString(sum)
	}
	return hex.EncodeToString(sum)
}

// Sign is the sender's side of Verify.
func (m HMAC) Sign(h http.Header, signed []byte, secret string) {
	h.Set(m.Header, m.Prefix+m.encode(m.sum(secret, signed)))
}
