package fetch_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/slipway-cd/slipway/shared/api"
	"github.com/slipway-cd/slipway/shared/charts"
	"github.com/slipway-cd/slipway/shared/charts/fetch"
	"github.com/slipway-cd/slipway/shared/registry"
)

// signer is a key of cosign's.
type signer struct{ key *ecdsa.PrivateKey }

func newSigner(t *testing.T) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return signer{key}
}

func (s signer) trust(t *testing.T) registry.Trust {
	t.Helper()
	public, err := x509.MarshalPKIXPublicKey(s.key.Public())
	must(t, err)
	keys, err := registry.ParseKeys(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	must(t, err)
	return keys
}

// sign signs the chart of a tag, as `cosign sign --key` does, and lays it beside
// the chart of another.
func (s signer) sign(t *testing.T, repo, tag, beside string) {
	t.Helper()
	digestOf := func(tag string) string {
		ref, err := name.ParseReference(repo+":"+tag, name.Insecure)
		must(t, err)
		d, err := remote.Head(ref)
		must(t, err)
		return d.Digest.String()
	}
	text := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, repo, digestOf(tag))
	sum := sha256.Sum256(text)
	signature, err := ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	must(t, err)
	img, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
		Layer:       static.NewLayer(text, "application/vnd.dev.cosign.simplesigning.v1+json"),
		Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(signature)},
	})
	must(t, err)
	ref, err := name.ParseReference(repo+":"+strings.Replace(digestOf(beside), ":", "-", 1)+".sig", name.Insecure)
	must(t, err)
	must(t, remote.Write(ref, img))
}

func TestAChartThatMustBeSignedIsTakenWhenItIs(t *testing.T) {
	s := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	repo := host + "/acme/redis"
	one, two, three := pack(t, "1.0.0", "one"), pack(t, "1.1.0", "two"), pack(t, "1.2.0", "three")
	for tag, data := range map[string][]byte{"1.0.0": one, "1.1.0": two, "1.2.0": three} {
		push(t, host, "acme/redis", tag, helmConfig, data)
	}
	ours, theirs := newSigner(t), newSigner(t)
	c := newClient(t)
	ask := func(version string, trust registry.Trust) fetch.Question {
		return fetch.Question{ChartRef: api.ChartRef{Repository: "oci://" + host + "/acme", Name: "redis", Version: version}, Trust: trust}
	}
	// Nobody has signed it; who wants no signature has it all the same, which
	// counts for nobody else.
	fails(t, c, ask("1.0.0", ours.trust(t)), charts.ErrUntrusted, "not signed")
	is(t, c, ask("1.0.0", nil), "1.0.0", one)
	fails(t, c, ask("1.0.0", ours.trust(t)), charts.ErrUntrusted, "not signed")
	if _, known := c.Known(ask("1.0.0", ours.trust(t))); known {
		t.Error("a chart that isn't signed is known")
	}
	// It is asked for again, and is there as soon as we have signed it.
	theirs.sign(t, repo, "1.0.0", "1.0.0")
	fails(t, c, ask("1.0.0", ours.trust(t)), charts.ErrUntrusted, "signed by someone else")
	is(t, c, ask("1.0.0", theirs.trust(t)), "1.0.0", one)
	ours.sign(t, repo, "1.0.0", "1.0.0")
	is(t, c, ask("1.0.0", ours.trust(t)), "1.0.0", one)
	// A signature is of one chart, wherever it lies.
	ours.sign(t, repo, "1.0.0", "1.1.0")
	fails(t, c, ask("1.1.0", ours.trust(t)), charts.ErrUntrusted, "another digest")
	// Of a range, the greatest counts: none below it is taken in its place.
	fails(t, c, ask("1.x", ours.trust(t)), charts.ErrUntrusted, "not signed")
	ours.sign(t, repo, "1.2.0", "1.2.0")
	is(t, c, ask("1.x", ours.trust(t)), "1.2.0", three)
	// What was verified is kept, for those who trust the same.
	s.Close()
	is(t, c, ask("1.x", ours.trust(t)), "1.2.0", three)
	is(t, c, ask("1.0.0", ours.trust(t)), "1.0.0", one)
	fails(t, c, ask("1.2.0", theirs.trust(t)), charts.ErrAway, "refused")
}

// A tag that is moved is another chart: the signature of the former one isn't its.
func TestASignatureIsOfTheChartThatIsThere(t *testing.T) {
	s := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	ours := newSigner(t)
	push(t, host, "acme/redis", "1.0.0", helmConfig, pack(t, "1.0.0", "one"))
	ours.sign(t, host+"/acme/redis", "1.0.0", "1.0.0")
	push(t, host, "acme/redis", "1.0.0", helmConfig, pack(t, "1.0.0", "another"))
	q := fetch.Question{ChartRef: api.ChartRef{Repository: "oci://" + host + "/acme", Name: "redis", Version: "1.0.0"}, Trust: ours.trust(t)}
	fails(t, newClient(t), q, charts.ErrUntrusted, "not signed")
}

func TestSignaturesAreInRegistriesAlone(t *testing.T) {
	index := newSite(t, false)
	index.put("1.0.0", pack(t, "1.0.0", "one"), "", "")
	q := fetch.Question{ChartRef: index.ref("1.0.0"), Trust: newSigner(t).trust(t)}
	fails(t, newClient(t), q, charts.ErrBad, "in registries alone")
	if said := index.said(); said != "" {
		t.Errorf("it was asked: %s", said)
	}
}
