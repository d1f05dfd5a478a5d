package keyless

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// maxRoots bounds a trusted root; Sigstore's own has 7 kB.
const maxRoots = 1 << 20

// help is where a trusted root comes from.
const help = "it must be a trusted root in JSON, as `cosign trusted-root create` writes it, or Sigstore's own trusted_root.json"

// parseRoots reads a trusted root; errors begin with the file's name, and the
// line where it is known.
func parseRoots(name string, text []byte) (*root.TrustedRoot, error) {
	if len(text) > maxRoots {
		return nil, fmt.Errorf("%s: it has %d bytes, more than %d: %s", name, len(text), maxRoots, help)
	}
	if err := oneObject(name, text); err != nil {
		return nil, err
	}
	r, err := fromJSON(text)
	if err != nil {
		at, what := reason(err)
		return nil, fmt.Errorf("%s%s: %s: %s", name, at, what, help)
	}
	switch {
	case len(r.FulcioCertificateAuthorities()) == 0:
		return nil, fmt.Errorf("%s: it has no certificateAuthorities: nobody's certificate would be believed", name)
	case len(r.RekorLogs()) == 0 && len(r.TimestampingAuthorities()) == 0:
		return nil, fmt.Errorf("%s: it has neither tlogs nor timestampAuthorities: nobody could say when a certificate was used", name)
	}
	return r, nil
}

// fromJSON reads a trusted root; where the library panics at it, that is an
// error.
func fromJSON(text []byte) (r *root.TrustedRoot, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("it lacks something that a trusted root has")
		}
	}()
	return root.NewTrustedRootFromJSON(text)
}

// oneObject errs with the line where the text isn't one JSON object.
func oneObject(name string, text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	var object map[string]json.RawMessage
	err := d.Decode(&object)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			return fmt.Errorf("%s:%d: there is more than one document: %s", name, line(text, d.InputOffset()), help)
		}
		return nil
	}
	at := int64(len(text)) // where it ends too early
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = syntax.Offset
	} else if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		at = kind.Offset
	}
	return fmt.Errorf("%s:%d: it is not a JSON object (%w): %s", name, line(text, at), err, help)
}

func line(text []byte, offset int64) int {
	return 1 + bytes.Count(text[:min(max(offset, 0), int64(len(text)))], []byte("\n"))
}

var place = regexp.MustCompile(`\(line (\d+):\d+\):\s*`)

// reason is what protojson or sigstore-go says, and the line where it tells
// that, as ":3".
func reason(err error) (at, what string) {
	text := plain(err)
	m := place.FindStringSubmatchIndex(text)
	if m == nil {
		return "", text
	}
	return ":" + text[m[2]:m[3]], text[m[1]:]
}

// intermediates are certificates that came with a signature.
type intermediates []*x509.Certificate

// material is the roots, and certificates that may stand between them and the
// signer's: whoever brought these, only the roots are believed.
type material struct {
	*root.TrustedRoot
	between intermediates
}

// FulcioCertificateAuthorities are those of the roots.
func (m material) FulcioCertificateAuthorities() []root.CertificateAuthority {
	all := m.TrustedRoot.FulcioCertificateAuthorities()
	if len(m.between) == 0 {
		return all
	}
	all = slices.Clone(all)
	for i, ca := range all {
		if f, ok := ca.(*root.FulcioCertificateAuthority); ok {
			with := *f
			with.Intermediates = slices.Concat(f.Intermediates, m.between)
			all[i] = &with
		}
	}
	return all
}
