package registry_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/shared/registry"
)

// Every kind of key, in every form, in every place.
func TestASignedImageIsVerified(t *testing.T) {
	kinds := map[string]key{
		"p256": newECDSA(t, elliptic.P256(), sum256), "p384 with sha256": newECDSA(t, elliptic.P384(), sum256),
		"p384 with sha384": newECDSA(t, elliptic.P384(), sum384), "rsa": newRSA(t),
		"ed25519": newEd25519(t, false), "ed25519ph": newEd25519(t, true),
	}
	forms := map[string]func(s *store, k key, of descriptor) descriptor{
		"simple": func(s *store, k key, of descriptor) descriptor { return s.simple(k, simplePayload(of.Digest)) },
		"dsse": func(s *store, k key, of descriptor) descriptor {
			return s.blob(bundleMedia, dsse(k, statement(signedType, of.Digest)))
		},
		"message": func(s *store, k key, of descriptor) descriptor { return s.blob(bundleMedia, s.messageBundle(k, of)) },
	}
	places := map[string]func(s *store, of, layer descriptor){
		"tag":      func(s *store, of, layer descriptor) { s.underTag(of, layer) },
		"referrer": func(s *store, of, layer descriptor) { s.refer(of, layer, "") },
		"fallback": func(s *store, of, layer descriptor) {
			s.put(strings.Replace(of.Digest, ":", "-", 1), manifest{MediaType: indexMedia, Manifests: []descriptor{s.refer(of, layer, signedType)}})
		},
	}
	stranger := newECDSA(t, elliptic.P256(), sum256)
	for kind, k := range kinds {
		for form, sign := range forms {
			for place, store := range places {
				t.Run(kind+" "+form+" "+place, func(t *testing.T) {
					s := newStore(t, place != "fallback")
					img := s.image("1.0.0", linuxAMD64)
					store(s, img, sign(s, k, img))
					if err := s.client().VerifyCosign(t.Context(), img.image(), keys(t, stranger, k)); err != nil {
						t.Errorf("by its key among others: %v", err)
					}
					if err := s.client().VerifyCosign(t.Context(), img.image(), keys(t, stranger)); !errors.Is(err, registry.ErrOtherKey) {
						t.Errorf("by another key: %v, want ErrOtherKey", err)
					}
				})
			}
		}
	}
}

// What cosign 3.0.6 itself wrote for the image below (testdata/cosign).
func TestCosignsOwnSignaturesAreVerified(t *testing.T) {
	file := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join("testdata", "cosign", name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, c := range map[string]struct {
		tag  string
		want error
	}{"bundle": {"", nil}, "simple": {"sig", nil}, "attestation": {"", registry.ErrUnsigned}} {
		s := newStore(t, true)
		img := s.image("1.0.0", linuxAMD64)
		s.blob("", file(name+".json"))
		text := file(name + "-manifest.json")
		tag := digestOf(text)
		if c.tag != "" {
			tag = sigTag(img.Digest)
		}
		s.do(http.MethodPut, "/v2/"+web.Path+"/manifests/"+tag, imageMedia, text)
		if err := s.client().VerifyCosign(t.Context(), img.image(), keys(t, key{public: file("cosign.pub")})); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestWhyAnImageDoesNotCountAsSigned(t *testing.T) {
	ours, theirs := newECDSA(t, elliptic.P256(), sum256), newECDSA(t, elliptic.P256(), sum256)
	other := "sha256:" + strings.Repeat("ab", 32)
	for name, c := range map[string]struct {
		sign func(s *store, img descriptor)
		want error
		tell string
	}{
		"unsigned": {func(*store, descriptor) {}, registry.ErrUnsigned, "yet"},
		"signed":   {func(s *store, img descriptor) { s.underTag(img, s.simple(ours, simplePayload(img.Digest))) }, nil, ""},
		"others, then ours": {func(s *store, img descriptor) {
			s.underTag(img, s.simple(theirs, simplePayload(img.Digest)), s.simple(ours, simplePayload(img.Digest)))
		}, nil, ""},
		"nonsense, then us": {func(s *store, img descriptor) {
			s.underTag(img, s.simple(ours, []byte("x")), s.blob(simpleMedia, []byte("y")), s.simple(ours, simplePayload(img.Digest)))
		}, nil, ""},
		"theirs under a tag": {func(s *store, img descriptor) {
			s.underTag(img, s.simple(theirs, simplePayload(img.Digest)))
			s.refer(img, s.blob(bundleMedia, dsse(ours, statement(signedType, img.Digest))), signedType)
		}, nil, ""},
		"by another key":     {func(s *store, img descriptor) { s.underTag(img, s.simple(theirs, simplePayload(img.Digest))) }, registry.ErrOtherKey, "1 signatures, none by the keys"},
		"for another digest": {func(s *store, img descriptor) { s.underTag(img, s.simple(ours, simplePayload(other))) }, registry.ErrOtherDigest, other},
		"statement for another": {func(s *store, img descriptor) {
			s.refer(img, s.blob(bundleMedia, dsse(ours, statement(signedType, other))), "")
		}, registry.ErrOtherDigest, other},
		"statement of several": {func(s *store, img descriptor) {
			s.refer(img, s.blob(bundleMedia, dsse(ours, statement(signedType, other, img.Digest))), "")
		}, nil, ""},
		"statement of nothing": {func(s *store, img descriptor) {
			s.refer(img, s.blob(bundleMedia, dsse(ours, statement(signedType))), "")
		}, registry.ErrBadSignature, "names no image"},
		"message of another": {func(s *store, img descriptor) {
			second := s.image("other", `{"os":"linux","architecture":"arm64","rootfs":{"type":"layers","diff_ids":[]}}`)
			s.refer(img, s.blob(bundleMedia, s.messageBundle(ours, second)), "")
		}, registry.ErrOtherDigest, ""},
		// A vulnerability report that we signed is no word for the image.
		"an attestation": {func(s *store, img descriptor) {
			s.refer(img, s.blob(bundleMedia, dsse(ours, statement("https://cosign.sigstore.dev/attestation/vuln/v1", img.Digest))), "")
		}, registry.ErrUnsigned, ""},
		"an attestation, marked": {func(s *store, img descriptor) {
			s.refer(img, s.blob(bundleMedia, dsse(ours, statement(signedType, img.Digest))), "https://slsa.dev/provenance/v1")
		}, registry.ErrUnsigned, ""},
		"of another type": {func(s *store, img descriptor) {
			s.underTag(img, s.simple(ours, bytes.Replace(simplePayload(img.Digest), []byte("cosign container"), []byte("atomic container"), 1)))
		}, registry.ErrUnsigned, ""},
		"payload was changed": {func(s *store, img descriptor) {
			d := s.simple(ours, simplePayload(other))
			changed := s.blob(simpleMedia, simplePayload(img.Digest))
			changed.Annotations = d.Annotations
			s.underTag(img, changed)
		}, registry.ErrOtherKey, ""},
		"statement was changed": {func(s *store, img descriptor) {
			b := bytes.Replace(dsse(ours, statement(signedType, other)), []byte(base64.StdEncoding.EncodeToString(statement(signedType, other))), []byte(base64.StdEncoding.EncodeToString(statement(signedType, img.Digest))), 1)
			s.refer(img, s.blob(bundleMedia, b), "")
		}, registry.ErrOtherKey, ""},
		"no signature in it": {func(s *store, img descriptor) { s.underTag(img, s.blob(simpleMedia, simplePayload(img.Digest))) }, registry.ErrBadSignature, "base64"},
		"broken bundle":      {func(s *store, img descriptor) { s.refer(img, s.blob(bundleMedia, []byte("{")), "") }, registry.ErrBadSignature, "bundle"},
		"too large": {func(s *store, img descriptor) {
			s.underTag(img, s.simple(ours, append(simplePayload(img.Digest), bytes.Repeat([]byte(" "), 1<<20)...)))
		}, registry.ErrBadSignature, "more than 1048576"},
		"lies about its size": {func(s *store, img descriptor) {
			d := s.simple(ours, append(simplePayload(img.Digest), bytes.Repeat([]byte(" "), 1<<20)...))
			d.Size = 100
			s.underTag(img, d)
		}, registry.ErrBadSignature, "more than 1048576"},
		"payload is gone": {func(s *store, img descriptor) {
			s.underTag(img, descriptor{MediaType: simpleMedia, Digest: other, Size: 10})
		}, registry.ErrBadSignature, "missing"},
		"a flood of signatures": {func(s *store, img descriptor) {
			var all []descriptor
			for i := range 101 {
				all = append(all, s.simple(theirs, bytes.Replace(simplePayload(img.Digest), []byte("null"), fmt.Appendf(nil, "{\"n\":%d}", i), 1)))
			}
			s.underTag(img, append(all, s.simple(ours, simplePayload(img.Digest)))...)
		}, registry.ErrOtherKey, "only the first 100"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, true)
			img := s.image("1.0.0", linuxAMD64)
			c.sign(s, img)
			err := s.client().VerifyCosign(t.Context(), img.image(), keys(t, ours))
			if !errors.Is(err, c.want) || (err != nil && !strings.Contains(err.Error(), c.tell)) {
				t.Fatalf("verify: %v, want %v with %q", err, c.want, c.tell)
			}
		})
	}
}

// A registry that fails must not make an image look unsigned.
func TestAFailingRegistryIsNoVerdict(t *testing.T) {
	ours := newECDSA(t, elliptic.P256(), sum256)
	for _, where := range []string{"/manifests/sha256-", "/referrers/", "/blobs/", "/manifests/sha256:"} {
		for _, status := range []int{http.StatusForbidden, http.StatusInternalServerError} {
			if status == http.StatusInternalServerError && where != "/blobs/" {
				continue // each is asked for again for seconds
			}
			s := newStore(t, true)
			img := s.image("1.0.0", linuxAMD64)
			s.refer(img, s.blob(bundleMedia, s.messageBundle(ours, img)), "")
			s.fail = func(r *http.Request) int {
				if strings.Contains(r.URL.Path, where) {
					return status
				}
				return 0
			}
			err := s.client().VerifyCosign(t.Context(), img.image(), keys(t, ours))
			if err == nil {
				t.Errorf("%s with %d: verified", where, status)
			}
			for _, verdict := range []error{registry.ErrUnsigned, registry.ErrOtherKey, registry.ErrOtherDigest, registry.ErrBadSignature} {
				if errors.Is(err, verdict) {
					t.Errorf("%s with %d: %v, want the registry's error", where, status, err)
				}
			}
			if s.fail = nil; status == http.StatusForbidden && !errors.Is(err, registry.ErrUnauthorized) {
				t.Errorf("%s with %d: %v, want ErrUnauthorized", where, status, err)
			}
		}
	}
}

func TestADigestAndAKeyAreNeeded(t *testing.T) {
	s := newStore(t, true)
	ours := keys(t, newECDSA(t, elliptic.P256(), sum256))
	for _, image := range []events.Image{{Repository: web, Tag: "1.0.0"}, {Repository: web, Digest: "sha256:abc"}, {Repository: web, Digest: "md5:" + strings.Repeat("a", 32)}} {
		if err := s.client().VerifyCosign(t.Context(), image, ours); err == nil || !strings.Contains(err.Error(), "no digest") {
			t.Errorf("%s: %v", image, err)
		}
	}
	if err := s.client().VerifyCosign(t.Context(), events.Image{Repository: web, Digest: digestOf(nil)}, nil); err == nil {
		t.Error("without keys: no error")
	}
}

func TestKeysAreReadOrRefusedClearly(t *testing.T) {
	good := newECDSA(t, elliptic.P256(), sum256)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&short.PublicKey)})
	for name, c := range map[string]struct{ text, want string }{
		"several":           {string(good.public) + "# and\n" + string(newRSA(t).public), ""},
		"empty":             {"", "there is none"},
		"nonsense":          {"hunter2", "there is none"},
		"private":           {"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\naHVudGVyMg==\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n", "public key 1: it is a private key"},
		"certificate":       {string(good.public) + "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n", `public key 2: it is a "CERTIFICATE"`},
		"broken":            {"-----BEGIN PUBLIC KEY-----\naHVudGVyMg==\n-----END PUBLIC KEY-----\n", "can't be read"},
		"cut":               {string(good.public) + string(good.public[:60]), "public key 2: it is cut"},
		"short RSA":         {string(publicPEM(t, &short.PublicKey)), "1024 bits is too short"},
		"short RSA, PKCS#1": {string(old), "1024 bits is too short"},
		"other curve":       {string(publicPEM(t, &p224.PublicKey)), "P-224"},
	} {
		all, err := registry.ParseKeys([]byte(c.text))
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "aHVud")) {
			t.Errorf("%s: the error tells the key: %v", name, err)
		}
		if err == nil && (len(all) != 2 || len(all[0].ID()) != 64) {
			t.Errorf("%s: %+v", name, all)
		}
	}
}
