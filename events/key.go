package events

import (
	"fmt"
	"strings"
)

// SubjectPrefix begins the subject of every event on NATS.
const SubjectPrefix = "slipway"

const upperHex = "0123456789ABCDEF"

// EncodeKey makes one NATS token of a repository or application: '%', '.',
// '*', '>', white space, control and non-ASCII bytes are percent-encoded.
// [DecodeKey] is its inverse.
func EncodeKey(key string) string {
	var b strings.Builder
	for i := range len(key) {
		c := key[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("%.*>", c) >= 0 {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// DecodeKey reverses [EncodeKey]. It errs on a '%' without two hex digits.
func DecodeKey(token string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		if token[i] != '%' {
			b.WriteByte(token[i])
			continue
		}
		if i+2 >= len(token) {
			return "", fmt.Errorf("decode key %q: '%%' at byte %d lacks two hex digits", token, i)
		}
		hi, lo := unhex(token[i+1]), unhex(token[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("decode key %q: '%%' at byte %d lacks two hex digits", token, i)
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), nil
}

// unhex is the value of a hex digit of either case, or -1.
func unhex(c byte) int {
	if c >= 'a' && c <= 'f' {
		c -= 'a' - 'A'
	}
	return strings.IndexByte(upperHex, c)
}
