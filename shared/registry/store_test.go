package registry_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/registry"
)

// store is a registry that tests fill by plain HTTP.
type store struct {
	t    *testing.T
	url  string
	path string                  // of its repository; empty is that of web
	fail func(*http.Request) int // a status other than 0 is the answer
}

func newStore(t *testing.T, referrers bool) *store {
	t.Helper()
	st := &store{t: t}
	h := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithReferrersSupport(referrers))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if st.fail != nil {
			if status := st.fail(r); status != 0 {
				w.WriteHeader(status)
				return
			}
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	st.url = s.URL
	return st
}

func (s *store) client() *registry.Client {
	return registry.New([]registry.Host{{Name: web.Host, Endpoint: s.url, Insecure: true}})
}

func (s *store) repository() string {
	if s.path != "" {
		return s.path
	}
	return web.Path
}

func digestOf(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

func (s *store) do(method, path, media string, body []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", media)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(res.Body)
		s.t.Fatalf("%s %s: %s: %s", method, path, res.Status, text)
	}
}

// descriptor is what points to something.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int               `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     map[string]string `json:"platform,omitempty"`
}

func (s *store) blob(media string, data []byte) descriptor {
	s.t.Helper()
	s.do(http.MethodPost, "/v2/"+s.repository()+"/blobs/uploads/?digest="+digestOf(data), "application/octet-stream", data)
	return descriptor{MediaType: media, Digest: digestOf(data), Size: len(data)}
}

// manifest is an image or artifact.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        *descriptor       `json:"config,omitempty"`
	Layers        []descriptor      `json:"layers,omitempty"`
	Manifests     []descriptor      `json:"manifests,omitempty"`
	Subject       *descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

const (
	imageMedia  = "application/vnd.oci.image.manifest.v1+json"
	indexMedia  = "application/vnd.oci.image.index.v1+json"
	configMedia = "application/vnd.oci.image.config.v1+json"
	simpleMedia = "application/vnd.dev.cosign.simplesigning.v1+json"
	bundleMedia = "application/vnd.dev.sigstore.bundle.v0.3+json"
	signedType  = "https://sigstore.dev/cosign/sign/v1"
)

// put stores a manifest; an empty tag means by digest alone.
func (s *store) put(tag string, m manifest) descriptor {
	s.t.Helper()
	m.SchemaVersion = 2
	if m.MediaType == "" {
		m.MediaType = imageMedia
	}
	data, err := json.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	if tag == "" {
		tag = digestOf(data)
	}
	s.do(http.MethodPut, "/v2/"+s.repository()+"/manifests/"+tag, m.MediaType, data)
	return descriptor{MediaType: m.MediaType, Digest: digestOf(data), Size: len(data), ArtifactType: m.ArtifactType, Annotations: m.Annotations}
}

// image stores an image whose config says so.
func (s *store) image(tag, config string) descriptor {
	s.t.Helper()
	c := s.blob(configMedia, []byte(config))
	return s.put(tag, manifest{Config: &c, Layers: []descriptor{}})
}

// key is a key pair that signs as a cosign of some version does.
type key struct {
	public []byte
	sign   func(message []byte) []byte
}

func publicPEM(t *testing.T, public any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func ok(t *testing.T, sig []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func newECDSA(t *testing.T, curve elliptic.Curve, hash func([]byte) []byte) key {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key{publicPEM(t, &k.PublicKey), func(m []byte) []byte {
		sig, err := ecdsa.SignASN1(rand.Reader, k, hash(m))
		return ok(t, sig, err)
	}}
}

func sum256(m []byte) []byte { s := sha256.Sum256(m); return s[:] }
func sum384(m []byte) []byte { s := sha512.Sum384(m); return s[:] }

func newRSA(t *testing.T) key {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key{publicPEM(t, &k.PublicKey), func(m []byte) []byte {
		sig, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum256(m))
		return ok(t, sig, err)
	}}
}

func newEd25519(t *testing.T, prehash bool) key {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key{publicPEM(t, public), func(m []byte) []byte {
		if !prehash {
			return ed25519.Sign(private, m)
		}
		sum := sha512.Sum512(m)
		sig, err := private.Sign(nil, sum[:], &ed25519.Options{Hash: crypto.SHA512})
		return ok(t, sig, err)
	}}
}

func keys(t *testing.T, of ...key) registry.Keys {
	t.Helper()
	var text []byte
	for _, k := range of {
		text = append(text, k.public...)
	}
	all, err := registry.ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func simplePayload(digest string) []byte {
	return []byte(`{"critical":{"identity":{"docker-reference":"registry.example.com/acme/web"},"image":{"docker-manifest-digest":"` + digest + `"},"type":"cosign container image signature"},"optional":null}`)
}

// simple is a layer of the former form.
func (s *store) simple(k key, payload []byte) descriptor {
	s.t.Helper()
	d := s.blob(simpleMedia, payload)
	d.Annotations = map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(k.sign(payload))}
	return d
}

func sigTag(digest string) string { return strings.Replace(digest, ":", "-", 1) + ".sig" }

func (s *store) underTag(of descriptor, layers ...descriptor) {
	s.t.Helper()
	config := s.blob(configMedia, []byte("{}"))
	s.put(sigTag(of.Digest), manifest{Config: &config, Layers: layers})
}

func statement(predicate string, digests ...string) []byte {
	var subjects []string
	for _, d := range digests {
		subjects = append(subjects, `{"digest":{"sha256":"`+strings.TrimPrefix(d, "sha256:")+`"}}`)
	}
	return []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[` + strings.Join(subjects, ",") + `],"predicateType":"` + predicate + `","predicate":{}}`)
}

func dsse(k key, payload []byte) []byte {
	const kind = "application/vnd.in-toto+json"
	pae := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload)
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `{"mediaType":%q,"verificationMaterial":{"publicKey":{"hint":"x"},"tlogEntries":[]},"dsseEnvelope":{"payload":%q,"payloadType":%q,"signatures":[{"sig":%q,"keyid":""}]}}`,
		bundleMedia, b64(payload), kind, b64(k.sign(pae)))
}

func (s *store) messageBundle(k key, of descriptor) []byte {
	s.t.Helper()
	res, err := http.Get(s.url + "/v2/" + s.repository() + "/manifests/" + of.Digest)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	message, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `{"mediaType":%q,"verificationMaterial":{"publicKey":{"hint":"x"}},"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":%q},"signature":%q}}`,
		bundleMedia, b64(sum256(message)), b64(k.sign(message)))
}

// refer stores an artifact that refers to the image.
func (s *store) refer(to, layer descriptor, predicate string) descriptor {
	s.t.Helper()
	config := s.blob("application/vnd.oci.empty.v1+json", []byte("{}"))
	subject := descriptor{MediaType: to.MediaType, Digest: to.Digest, Size: to.Size}
	m := manifest{ArtifactType: layer.MediaType, Config: &config, Layers: []descriptor{layer}, Subject: &subject}
	if layer.MediaType == simpleMedia {
		m.ArtifactType = "application/vnd.dev.cosign.artifact.sig.v1+json"
	}
	if predicate != "" {
		m.Annotations = map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": predicate}
	}
	return s.put("", m)
}

func (d descriptor) image() events.Image { return events.Image{Repository: web, Digest: d.Digest} }

const linuxAMD64 = `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}`
