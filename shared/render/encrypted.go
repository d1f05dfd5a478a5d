package render

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/yaml"
)

// Decrypter decrypts what SOPS encrypted. Its errors tell no value and no key.
type Decrypter interface {
	// Decrypt gives a file's plain text, and the values in it that were
	// encrypted. The text was not tampered with.
	Decrypt(ctx context.Context, format Format, data []byte) (plain []byte, values []string, err error)
}

// Format is how SOPS has written a file.
type Format string

// The formats of SOPS. In Binary, JSON holds the bytes of any file.
const (
	YAML   Format = "yaml"
	JSON   Format = "json"
	Dotenv Format = "dotenv"
	INI    Format = "ini"
	Binary Format = "binary"
)

// FormatOf is how SOPS has encrypted a file; empty when it hasn't. What the
// file holds decides, and its name only where several would do.
func FormatOf(name string, data []byte) Format {
	if !bytes.Contains(data, []byte("sops")) {
		return ""
	}
	isYAML := slices.Contains([]string{".yaml", ".yml"}, path.Ext(name))
	switch start := bytes.TrimSpace(data); {
	case dotenvMark.Match(data):
		return Dotenv
	case iniMark.Match(data) && iniMAC.Match(data):
		return INI
	case !isYAML && bytes.HasPrefix(start, []byte("{")) && json.Valid(data):
		return formatOfJSON(name, data)
	}
	for _, doc := range split(data) {
		if doc.sopsMAC() != "" {
			return YAML
		}
	}
	return ""
}

var (
	dotenvMark = regexp.MustCompile(`(?m)^sops_(?:mac|lastmodified)=`)
	iniMark    = regexp.MustCompile(`(?m)^\[sops\]\s*$`)
	iniMAC     = regexp.MustCompile(`(?m)^(?:mac|lastmodified)\s*=`)
)

func formatOfJSON(name string, data []byte) Format {
	var whole map[string]json.RawMessage
	var mark map[string]any
	if json.Unmarshal(data, &whole) != nil || json.Unmarshal(whole["sops"], &mark) != nil || !marked(mark) {
		return ""
	}
	if _, is := whole["data"]; is && len(whole) == 2 && path.Ext(name) != ".json" {
		return Binary
	}
	return JSON
}

// marked says whether SOPS wrote what stands at the key sops. A part of it is
// enough: who takes the MAC away doesn't make it plain.
func marked(mark map[string]any) bool {
	mac, _ := mark["mac"].(string)
	_, at := mark["lastmodified"]
	return mac != "" || at
}

// sopsMAC is the MAC of an encrypted document, the same for all that were
// encrypted together; "none" for one that lacks it; empty for a plain one.
func (d document) sopsMAC() string {
	var whole struct {
		SOPS map[string]any `yaml:"sops"`
	}
	if !bytes.Contains(d.raw, []byte("sops")) || yaml.Unmarshal(d.raw, &whole) != nil || !marked(whole.SOPS) {
		return ""
	}
	if mac, _ := whole.SOPS["mac"].(string); mac != "" {
		return mac
	}
	return "none"
}

// decrypt gives a file's plain text: within it, each set of documents that were
// encrypted together. What is plain stays.
func (s *source) decrypt(name string, format Format, data []byte) ([]byte, error) {
	if plain, known := s.plain[name]; known {
		return plain, nil
	}
	switch {
	case s.sealed:
		return data, nil
	case s.decrypter == nil:
		return nil, &Error{
			File: name, Reason: ReasonEncrypted, Message: "it is encrypted with SOPS, and no key is given",
			Help: "name the Secret with the key in spec.decryption.secret of the Application (`slipway render`: --age-key)",
		}
	}
	plain, err := s.decryptParts(format, data)
	if err != nil {
		return nil, &Error{File: name, Reason: ReasonEncrypted, Message: "decrypt it with SOPS: " + err.Error(), Err: err}
	}
	s.plain[name] = plain
	return plain, nil
}

func (s *source) decryptParts(format Format, data []byte) ([]byte, error) {
	macs := []string{""}
	var docs []document
	if format == YAML {
		macs = nil
		for _, d := range split(data) {
			if !d.blank() {
				docs, macs = append(docs, d), append(macs, d.sopsMAC())
			}
		}
	}
	if len(slices.Compact(slices.Clone(macs))) == 1 {
		return s.decryptOne(format, data)
	}
	parts := make([][]byte, len(docs))
	for i, mac := range macs {
		if parts[i] != nil {
			continue
		}
		if parts[i] = docs[i].raw; mac == "" {
			continue
		}
		together := []int{}
		for j := range docs {
			if macs[j] == mac {
				together = append(together, j)
			}
		}
		if err := s.decryptTogether(docs, together, parts); err != nil {
			return nil, fmt.Errorf("document of line %d: %w", docs[i].firstLine(), err)
		}
	}
	var whole bytes.Buffer
	for i, part := range parts {
		if i > 0 && !bytes.HasPrefix(part, []byte("---")) {
			whole.WriteString("---\n")
		}
		whole.Write(part)
		if !bytes.HasSuffix(part, []byte("\n")) {
			whole.WriteByte('\n')
		}
	}
	return whole.Bytes(), nil
}

// decryptTogether decrypts the documents of one MAC.
func (s *source) decryptTogether(docs []document, which []int, parts [][]byte) error {
	var stream [][]byte
	for _, i := range which {
		stream = append(stream, append(bytes.TrimRight(docs[i].raw, "\n"), '\n'))
	}
	plain, err := s.decryptOne(YAML, bytes.Join(stream, []byte("---\n")))
	if err != nil {
		return err
	}
	found := split(plain)
	if len(found) != len(which) {
		return fmt.Errorf("%d documents became %d", len(which), len(found))
	}
	for n, i := range which {
		parts[i] = found[n].raw
	}
	return nil
}

func (s *source) decryptOne(format Format, data []byte) ([]byte, error) {
	plain, values, err := s.decrypter(format, data)
	s.masks.add(values...)
	if err == nil && int64(len(plain)) > s.limits.FileBytes {
		err = fmt.Errorf("the plain text is larger than %d bytes", s.limits.FileBytes)
	}
	return plain, err
}

// ciphers finds objects that are encrypted still: a chart's template, or a
// patch in place.
func ciphers(objects []Object) error {
	for _, o := range objects {
		if mark, ok := o.Map["sops"].(map[string]any); ok && marked(mark) {
			return &Error{
				File: o.File, Line: o.Line, Reason: ReasonEncrypted, Message: o.ID.String() + " is rendered as SOPS encrypted it, since it stands in no file of its own",
				Help: "encrypt a manifest, a file that a kustomization names, or a values file",
			}
		}
	}
	return nil
}

// cipher is a value as SOPS writes it.
var cipher = regexp.MustCompile(`^ENC\[AES256_GCM,.*type:(\w+)\]$`)

// withoutKeys makes values of what can't be decrypted such that a chart can be
// rendered with them: some of their type.
func withoutKeys(name string, data []byte) ([]byte, error) {
	if f := FormatOf(name, data); f != YAML && f != JSON {
		return data, nil
	}
	m, err := document{raw: data, line: 1}.parse(name)
	if err != nil {
		return nil, err
	}
	delete(m, "sops")
	return kyaml.Marshal(plausible(m))
}

func plausible(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for k, v := range value {
			value[k] = plausible(v)
		}
	case []any:
		for i, v := range value {
			value[i] = plausible(v)
		}
	case string:
		if found := cipher.FindStringSubmatch(strings.TrimSpace(value)); found != nil {
			switch found[1] {
			case "int", "float":
				return 1
			case "bool":
				return false
			}
			return "encrypted"
		}
	}
	return value
}
