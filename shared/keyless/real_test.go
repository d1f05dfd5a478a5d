package keyless

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/registry"
)

// fixture reads what lies with sigstore-go's own tests.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/sigstore/sigstore-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "pkg", "testing", "data", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A bundle of the real Sigstore, by its real roots: Fulcio's certificate with
// its SCT, Rekor's promise and proof. It signs a package, not an image.
func TestARealBundleIsProvedByTheRealRoots(t *testing.T) {
	const issuer, subject = "https://token.actions.githubusercontent.com", "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main"
	text := fixture(t, "bundles/sigstore.js@2.0.0-provenance.sigstore.json")
	var b struct {
		Envelope struct {
			Payload     string `json:"payload"`
			PayloadType string `json:"payloadType"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(b.Envelope.Payload)
	if err != nil {
		t.Fatal(err)
	}
	message := dsse.PAE(b.Envelope.PayloadType, payload)
	roots := fixture(t, "trusted-roots/public-good.json")
	for name, c := range map[string]struct {
		roots    []byte
		identity api.Identity
		message  []byte
		want     string
	}{
		"right":           {roots, api.Identity{Issuer: issuer, Subject: subject}, message, ""},
		"by expression":   {roots, api.Identity{Issuer: issuer, SubjectRegExp: `https://github\.com/sigstore/.*`}, message, ""},
		"another's":       {roots, api.Identity{Issuer: issuer, Subject: subject + "x"}, message, "signed by someone else"},
		"other roots":     {fixture(t, "trusted-roots/scaffolding.json"), api.Identity{Issuer: issuer, Subject: subject}, message, "proof"},
		"another message": {roots, api.Identity{Issuer: issuer, Subject: subject}, append([]byte(nil), "x"...), "two ways"},
	} {
		trust, err := New("r.json", c.roots, []api.Identity{c.identity})
		if err != nil {
			t.Fatal(err)
		}
		err = trust.Verify(registry.Signature{Message: c.message, Bundle: text})
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func FuzzParseRoots(f *testing.F) {
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","certificateAuthorities":[{"subject":{},"uri":"x","certChain":{"certificates":[{"rawBytes":"eA=="}]},"validFor":{}}],"tlogs":[{"baseUrl":"x","hashAlgorithm":"SHA2_256","publicKey":{"rawBytes":"eA==","keyDetails":"PKIX_ECDSA_P256_SHA_256"},"logId":{"keyId":"eA=="}}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := parseRoots("r.json", text); (err == nil) != (r != nil) {
			t.Fatalf("%v, %v", r, err)
		}
	})
}

// strangers gives a trust in an identity, and a certificate that is not its.
func strangers(f *testing.F) (nobody *Trust, certificate string) {
	f.Helper()
	nobody, err := New("r.json", fixture(f, "trusted-roots/scaffolding.json"), []api.Identity{{IssuerRegExp: "https://.*", SubjectRegExp: ".*"}})
	if err != nil {
		f.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), EmailAddresses: []string{"maria@example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		f.Fatal(err)
	}
	return nobody, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// A signature under a tag, as a stranger may write it.
func FuzzSimple(f *testing.F) {
	f.Add([]byte("{}"), "-----BEGIN CERTIFICATE-----\neA==\n-----END CERTIFICATE-----\n", "", `{"SignedEntryTimestamp":"eA==","Payload":{"body":"e30=","integratedTime":1,"logIndex":1,"logID":"ab"}}`, `{"SignedRFC3161Timestamp":"eA=="}`)
	nobody, stranger := strangers(f)
	f.Add([]byte("{}"), stranger, stranger, `{"SignedEntryTimestamp":"eA==","Payload":{"body":"eyJraW5kIjoiaGFzaGVkcmVrb3JkIiwiYXBpVmVyc2lvbiI6IjAuMC4xIiwic3BlYyI6e319","integratedTime":1,"logIndex":1,"logID":"ab"}}`, "")
	f.Fuzz(func(t *testing.T, message []byte, certificate, chain, entry, stamp string) {
		s := registry.Signature{Message: message, Signatures: [][]byte{{1}}, Annotations: map[string]string{
			certificateNote: certificate, chainNote: chain, logNote: entry, timeNote: stamp,
		}}
		b, _, err := entity(s)
		if (err == nil) != (b != nil) {
			t.Fatalf("%v, %v", b, err)
		}
		if err == nil && nobody.Verify(s) == nil {
			t.Fatal("a stranger's signature is taken")
		}
	})
}

// A bundle that refers to an image, as a stranger may write it.
func FuzzBundle(f *testing.F) {
	nobody, _ := strangers(f)
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{"rawBytes":"eA=="},"tlogEntries":[{}]},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"eA=="}]}}`))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=0.2","verificationMaterial":{"x509CertificateChain":{"certificates":[]}},"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"eA=="},"signature":"eA=="}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if nobody.Verify(registry.Signature{Message: []byte("{}"), Bundle: text}) == nil {
			t.Fatal("a stranger's bundle is taken")
		}
	})
}
