package registry

import (
	"errors"
	"strings"
	"testing"
)

const wanted = "sha256:abababababababababababababababababababababababababababababababab"

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"eA=="}]}}`))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=0.2","messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="},"signature":"eA=="}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseBundle(data, wanted, func() ([]byte, error) { return []byte("{}"), nil })
		if err != nil {
			return
		}
		if len(s.Message) == 0 || len(s.Signatures) == 0 || len(s.Signatures) > maxSignatures {
			t.Fatalf("taken without a message or signature: %+v", s)
		}
		if digest, err := s.digest(wanted); err == nil && !strings.HasPrefix(digest, "sha256:") {
			t.Fatalf("digest %q", digest)
		}
	})
}

func FuzzParseSimple(f *testing.F) {
	f.Add([]byte(`{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-digest":"`+wanted+`"},"type":"cosign container image signature"},"optional":null}`), "eA==")
	f.Add([]byte(`[]`), "")
	f.Fuzz(func(t *testing.T, payload []byte, encoded string) {
		s, err := parseSimple(payload, map[string]string{signatureNote: encoded})
		if err != nil {
			return
		}
		if digest, err := s.digest(wanted); err == nil && digest == "" {
			t.Fatal("a payload for no image")
		}
	})
}

func FuzzStatementDigest(f *testing.F) {
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"ab"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if digest, err := statementDigest(payload, wanted); err == nil && digest == "" {
			t.Fatal("a statement for no image")
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := ParseKeys(text)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		for _, k := range keys {
			if k.verifies([]byte("x"), []byte("y")) {
				t.Fatal("a key takes any signature")
			}
		}
	})
}

func TestABundleThatIsNotUnderstoodIsNoSignature(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":         `x`,
		"other type":      `{"mediaType":"application/json","dsseEnvelope":{}}`,
		"neither":         `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`,
		"both":            `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{},"messageSignature":{}}`,
		"other payload":   `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payloadType":"text/plain","signatures":[{"sig":"eA=="}]}}`,
		"unsigned":        `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payloadType":"application/vnd.in-toto+json"}}`,
		"other algorithm": `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","messageSignature":{"messageDigest":{"algorithm":"SHA2_512","digest":"eA=="},"signature":"eA=="}}`,
		"empty signature": `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"eA=="}}}`,
	} {
		if _, err := parseBundle([]byte(text), wanted, func() ([]byte, error) { return nil, errors.New("not to be asked") }); err == nil || strings.Contains(err.Error(), "not to be asked") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
