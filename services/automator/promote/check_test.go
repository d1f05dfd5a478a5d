package promote_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"

	"github.com/slipway-cd/slipway/events"
	"github.com/slipway-cd/slipway/services/automator/promote"
	"github.com/slipway-cd/slipway/shared/keyless"
	"github.com/slipway-cd/slipway/shared/registry"
)

// looks are what a registry shows of images; its own tests have real ones.
type looks struct {
	mu        sync.Mutex
	platforms map[string][]string // by digest
	unsigned  error
	failing   error
	asked     int
}

func (l *looks) Platforms(_ context.Context, i events.Image) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return l.platforms[i.Digest], l.failing
}

func (l *looks) VerifyCosign(context.Context, events.Image, registry.Trust) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return errors.Join(l.unsigned, l.failing)
}

func publicKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	text, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: text}))
}

func looking(t *testing.T, rule string, files map[string]string) (*bench, *looks) {
	t.Helper()
	all := ruled(rule)
	maps.Copy(all, files)
	b := start(t, all)
	l := &looks{platforms: map[string][]string{}}
	b.deploy.Checker = &promote.Checker{Registry: l}
	b.at(time.Now())
	return b, l
}

func TestAnImageIsDeployedOnlyWhenItIsSigned(t *testing.T) {
	for name, mode := range map[string]string{"automatic": "", "manual": ", " + manual} {
		t.Run(name, func(t *testing.T) {
			b, l := looking(t, "verify: {cosign: {key: cosign.pub}}"+mode, map[string]string{"policies/cosign.pub": publicKey(t)})
			l.unsigned = registry.ErrUnsigned
			b.pushed("1.1.0", digestA)
			must(t, b.work("ghcr.io/acme/web:1.1.0"))
			if got := b.last(); !strings.HasPrefix(got, "waiting: 1.1.0 ") || b.uses() != "1.0.0" {
				t.Fatalf("decided %q", got)
			}
			// The signature arrives after its image, as a push of its own tag.
			l.unsigned = nil
			must(t, b.work("ghcr.io/acme/web:sha256-"+strings.TrimPrefix(digestA, "sha256:")+".sig", web))
			if mode != "" {
				b.vote("maria", "approved", false)
				b.vote("omar", "approved", false)
			}
			if b.uses() != "1.1.0" {
				t.Errorf("uses %s: %q", b.uses(), b.decisions())
			}
		})
	}
}

func TestASignatureByAnotherKeyBlocks(t *testing.T) {
	b, l := looking(t, "verify: {cosign: {key: cosign.pub}}", map[string]string{"policies/cosign.pub": publicKey(t)})
	l.unsigned = registry.ErrOtherKey
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if got := b.last(); !strings.HasPrefix(got, "blocked: 1.1.0 ") || b.uses() != "1.0.0" {
		t.Fatalf("decided %q", got)
	}
}

func TestAKeyThatCantBeReadBlocksItsRule(t *testing.T) {
	for says, c := range map[string]struct{ key, file string }{
		"not exist":             {"cosign.pub", ""},
		"verify.cosign.key":     {"cosign.pub", "no key"},
		"../../../etc/passwd":   {"../../../etc/passwd", ""},
		"policies/shop.yaml:1:": {"-----BEGIN PUBLIC KEY-----", ""},
	} {
		files := map[string]string{}
		if c.file != "" {
			files["policies/cosign.pub"] = c.file
		}
		b, _ := looking(t, `verify: {cosign: {key: "`+c.key+`"}}`, files)
		b.pushed("1.1.0", digestA)
		must(t, b.work("ghcr.io/acme/web:1.1.0"))
		if got := b.last(); !strings.HasPrefix(got, "blocked: ") || (!strings.Contains(got, says) && !strings.Contains(got, "invalid")) || b.uses() != "1.0.0" {
			t.Errorf("%s: decided %q", c.key, got)
		}
	}
}

func TestTheFormersPlatformsMustBeThere(t *testing.T) {
	for name, c := range map[string]struct {
		rule string
		have []string
		want string
	}{
		"those of the former":      {"pin: digest", []string{"linux/amd64", "linux/arm64"}, "1.2.0"},
		"one of them is gone":      {"pin: digest", []string{"linux/amd64"}, "1.1.0"},
		"the rule names others":    {"platforms: [linux/amd64]", []string{"linux/amd64"}, "1.2.0"},
		"the rule's are not there": {"platforms: [linux/s390x]", []string{"linux/amd64"}, "1.1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			b, l := looking(t, c.rule, nil)
			l.platforms[digestA] = []string{"linux/amd64", "linux/arm64", "linux/s390x"}
			l.platforms[digestB] = c.have
			if strings.HasPrefix(c.rule, "pin") {
				l.platforms[digestA] = []string{"linux/amd64", "linux/arm64/v8"}
			}
			b.pushed("1.1.0", digestA)
			must(t, b.work("ghcr.io/acme/web:1.1.0"))
			b.pushed("1.2.0", digestB)
			must(t, b.work("ghcr.io/acme/web:1.2.0"))
			if b.uses() != c.want {
				t.Errorf("uses %s: %q", b.uses(), b.decisions())
			}
		})
	}
}

func TestARegistryThatFailsIsAskedAgainAndHoldsUpNobody(t *testing.T) {
	b, l := looking(t, "platforms: [linux/amd64]", nil)
	l.platforms[digestA] = []string{"linux/amd64"}
	l.failing = errors.New("connection refused")
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if got := b.last(); !strings.HasPrefix(got, "waiting: 1.1.0 can't be looked into: connection refused") {
		t.Fatalf("decided %q", got)
	}
	l.failing = nil
	must(t, b.work(web))
	asked := l.asked
	must(t, b.work(web, "head"))
	if b.uses() != "1.1.0" || l.asked != asked {
		t.Errorf("uses %s; asked %d times, then %d", b.uses(), asked, l.asked)
	}
}

// trustedRoot is the trusted root of a Sigstore of our own, a new one each time.
func trustedRoot(t *testing.T) string {
	t.Helper()
	v, err := ca.NewVirtualSigstore()
	must(t, err)
	r, err := root.NewTrustedRoot(root.TrustedRootMediaType01, v.FulcioCertificateAuthorities(), nil, v.TimestampingAuthorities(), nil)
	must(t, err)
	text, err := r.MarshalJSON()
	must(t, err)
	return string(text)
}

const keylessRule = `verify: {cosign: {keyless: {roots: keys/root.json, identities: [{issuer: "https://accounts.example.com", subject: "maria@example.com"}]}}}`

// What was verified by other roots is verified again.
func TestRootsThatChangeAreAskedAgain(t *testing.T) {
	b, l := looking(t, keylessRule+", "+manual, map[string]string{"policies/keys/root.json": trustedRoot(t)})
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	asked := l.asked
	must(t, b.work(web, "head"))
	if l.asked != asked {
		t.Fatalf("asked %d times, then %d", asked, l.asked)
	}
	b.git.Commit("other roots", map[string]string{"policies/keys/root.json": trustedRoot(t)})
	l.unsigned = fmt.Errorf("%w: maria@example.com by another", registry.ErrOtherKey)
	must(t, b.work(web, "head"))
	if got := b.last(); l.asked == asked || !strings.HasPrefix(got, "blocked: 1.1.0 ") {
		t.Errorf("asked %d times, then %d; decided %q", asked, l.asked, got)
	}
}

func TestRootsThatCantBeReadBlockTheirRule(t *testing.T) {
	for says, files := range map[string]map[string]string{
		"policies/keys/root.json: file does not exist": nil,
		"policies/keys/root.json:2: ":                  {"policies/keys/root.json": "{\n\"tlogs\": 5}"},
		"no certificateAuthorities":                    {"policies/keys/root.json": "{\"mediaType\": \"application/vnd.dev.sigstore.trustedroot+json;version=0.1\"}"},
	} {
		b, _ := looking(t, keylessRule, files)
		b.pushed("1.1.0", digestA)
		must(t, b.work("ghcr.io/acme/web:1.1.0"))
		if got := b.last(); !strings.HasPrefix(got, "blocked: ") || !strings.Contains(got, says) || !strings.Contains(got, "policies/shop.yaml:1: ") || b.uses() != "1.0.0" {
			t.Errorf("decided %q, want %q", got, says)
		}
	}
}

// Who brings no roots trusts the config's Sigstore, whose file may come later and
// change.
func TestRootsThatNobodyBringsAreTheConfigs(t *testing.T) {
	b, l := looking(t, strings.Replace(keylessRule, "roots: keys/root.json, ", "", 1)+", "+manual, nil)
	file := filepath.Join(t.TempDir(), "trusted_root.json")
	b.deploy.Checker.Sigstore = keyless.NewSigstore(keyless.Options{File: file})
	b.pushed("1.1.0", digestA)
	must(t, b.work("ghcr.io/acme/web:1.1.0"))
	if got := b.last(); !strings.HasPrefix(got, "waiting: 1.1.0 can't be looked into: Sigstore's trusted root can't be had: open "+file) || l.asked != 0 {
		t.Fatalf("decided %q, asked %d times", got, l.asked)
	}
	must(t, os.WriteFile(file, []byte(trustedRoot(t)), 0o600))
	must(t, b.work(web, "head"))
	asked := l.asked
	must(t, b.work(web, "head"))
	if asked == 0 || l.asked != asked {
		t.Fatalf("asked %d times, then %d", asked, l.asked)
	}
	must(t, os.WriteFile(file, []byte(trustedRoot(t)), 0o600))
	l.unsigned = fmt.Errorf("%w: maria@example.com by another", registry.ErrOtherKey)
	must(t, b.work(web, "head"))
	if got := b.last(); l.asked == asked || !strings.HasPrefix(got, "blocked: 1.1.0 ") {
		t.Errorf("asked %d times, then %d; decided %q", asked, l.asked, got)
	}
}
